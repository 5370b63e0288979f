"""Compute the leading eigenpairs of the Hessian, preconditioned or not, along one run; a killed job resumes."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift import numerics
    from eigendrift.data.samples import read_samples
    from eigendrift.eigenpairs.decompose import decompose_run
    from eigendrift.eigenpairs.storage import write_eigenpairs
    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.stores.progress import progress_key, resumable
    from eigendrift.stores.reading import open_store

    load_plugins(snakemake.params.plugins)
    numerics.configure(snakemake.threads)
    device = numerics.resolve_device(snakemake.params.device, snakemake.resources.get("gpu", 0))
    trajectory = open_store(Path(snakemake.input.trajectory), "trajectory")
    samples = read_samples(Path(snakemake.input.data))
    settings = {"training": trajectory.attrs["settings"], **snakemake.params.settings}
    store, whole = Path(snakemake.output.store), snakemake.output.get("whole")
    key = progress_key({**settings, "device": device.type, "code": snakemake.params.code}, snakemake.input.manifests)
    # Everything is imported now; progress must not mix two versions of the code.
    verify_code()
    with resumable(store, key) as progress:
        label = f"eigenpairs {snakemake.wildcards.run}"
        pairs = decompose_run(trajectory, samples, settings, device, progress, label)
        verify_code()
        write_eigenpairs(store, Path(whole) if whole else None, pairs, settings, snakemake.params.storage)
