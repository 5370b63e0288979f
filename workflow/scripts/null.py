"""Draw leading eigenvectors from one null model of one network on one data set; a killed job resumes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift import numerics
    from eigendrift.data.samples import read_samples
    from eigendrift.eigenpairs.landscape import Landscape
    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.null.inputs import NullInputs, ends_of
    from eigendrift.null.sampling import draw_null, summarize_draws
    from eigendrift.stores.progress import progress_key, resumable
    from eigendrift.stores.reading import open_store
    from eigendrift.stores.writing import write_store

    settings = snakemake.params.settings
    load_plugins(snakemake.params.plugins)
    numerics.configure(snakemake.threads)
    device = numerics.resolve_device(snakemake.params.device, snakemake.resources.get("gpu", 0))
    samples = read_samples(Path(snakemake.input.data))
    landscape = Landscape(samples, settings["model"], settings["eigenpairs"], device)
    trajectories = [open_store(Path(path), "trajectory") for path in snakemake.input.trajectories]
    ends = ends_of(trajectories, settings["trainings"])
    store = Path(snakemake.output.store)
    key = progress_key({**settings, "device": device.type, "code": snakemake.params.code}, snakemake.input.manifests)
    # Everything is imported now; progress must not mix two versions of the code.
    verify_code()
    with resumable(store, key) as progress:
        inputs = NullInputs(samples, landscape, settings, device, progress, ends)
        columns = draw_null(inputs, f"null {snakemake.wildcards.null}")
        summary = {**summarize_draws(columns), "shapes": landscape.shapes}
        verify_code()
        write_store(store, "null", columns, settings, summary)
