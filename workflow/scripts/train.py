"""Train one run and record its trajectory; a killed job resumes from its progress."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift import numerics
    from eigendrift.data.samples import read_samples
    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.stores.progress import progress_key, resumable
    from eigendrift.stores.writing import write_store
    from eigendrift.training.trajectory import train

    settings = snakemake.params.settings
    load_plugins(snakemake.params.plugins)
    numerics.configure(snakemake.threads)
    device = numerics.resolve_device(snakemake.params.device, snakemake.resources.get("gpu", 0))
    samples = read_samples(Path(snakemake.input.data))
    store = Path(snakemake.output.store)
    key = progress_key({**settings, "device": device.type, "code": snakemake.params.code}, [snakemake.input.manifest])
    # Everything is imported now; progress must not mix two versions of the code.
    verify_code()
    with resumable(store, key) as progress:
        run = train(samples, settings, device, progress, f"train {snakemake.wildcards.run}")
        verify_code()
        write_store(store, "trajectory", run.columns, settings, {"diverged_at": run.diverged_at})
