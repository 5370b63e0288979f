"""Take the leading eigenpairs of the Hessian, preconditioned or not, along one run; a killed job resumes."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift import numerics
    from eigendrift.data.storage import read_samples
    from eigendrift.eigenpairs.decompose import decompose
    from eigendrift.eigenpairs.landscape import Landscape
    from eigendrift.eigenpairs.storage import write_eigenpairs
    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.stores.progress import progress_key, resumable
    from eigendrift.stores.reading import open_store
    from eigendrift.training.optimizers import OPTIMIZERS
    from eigendrift.training.preconditioners import preconditioners_along

    solver, every = snakemake.params.solver, snakemake.params.every
    preconditioned = snakemake.params.preconditioned
    load_plugins(snakemake.params.plugins)
    numerics.configure(snakemake.threads)
    device = numerics.resolve_device(snakemake.params.device, snakemake.resources.get("gpu", 0))
    trajectory = open_store(Path(snakemake.input.trajectory), "trajectory")
    training = trajectory.attrs["settings"]
    settings = {"training": training, "eigenpairs": solver, "every": every, "preconditioned": preconditioned}
    looked_at = trajectory.isel(checkpoint=slice(None, None, every))
    diagonals = (
        preconditioners_along(
            OPTIMIZERS[training["optimizer"]["name"]].preconditioner,
            training["optimizer"],
            looked_at["second_moment"],
            looked_at["gradient"],
            looked_at["step"].values,
        )
        if preconditioned
        else None
    )
    landscape = Landscape(read_samples(Path(snakemake.input.data)), training["model"], solver, device)
    store = Path(snakemake.output.store)
    key = progress_key(
        {**settings, "device": device.type, "code": snakemake.params.code}, snakemake.input.manifests
    )
    with resumable(store, key) as progress:
        pairs = decompose(
            landscape,
            looked_at["weights"],
            looked_at["step"].values,
            progress,
            training["seed"],
            f"eigenpairs {snakemake.wildcards.run}",
            diagonals,
        )
        summary = {**pairs.summary, "shapes": landscape.shapes}
        whole = snakemake.output.get("whole")
        write_eigenpairs(
            store, Path(whole) if whole else None, pairs.columns, settings, summary, snakemake.params.storage
        )
