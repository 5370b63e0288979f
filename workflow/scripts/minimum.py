"""Find the best minimum of one optimizer, and measure the curvature there."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift import numerics
    from eigendrift.data.samples import read_samples
    from eigendrift.eigenpairs.minimum import End, best_minimum
    from eigendrift.extensions.plugins import load_plugins
    from eigendrift.stores.reading import open_store
    from eigendrift.stores.writing import write_store

    solver = snakemake.params.solver
    load_plugins(snakemake.params.plugins)
    numerics.configure(snakemake.threads)
    device = numerics.resolve_device(snakemake.params.device, snakemake.resources.get("gpu", 0))
    trajectories = [open_store(Path(path), "trajectory") for path in snakemake.input.trajectories]
    measured = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
    ends = [
        End(
            seed=trajectory.attrs["settings"]["seed"],
            weights=trajectory["weights"][-1].values,
            **{name: float(trajectory[name][-1]) for name in measured},
        )
        for trajectory in trajectories
    ]
    training = {key: value for key, value in trajectories[0].attrs["settings"].items() if key != "seed"}
    samples = read_samples(Path(snakemake.input.data))
    minimum = best_minimum(samples, ends, training["model"], solver, device)
    settings = {"training": training, "seeds": [end.seed for end in ends], "eigenpairs": solver}
    verify_code()
    write_store(Path(snakemake.output.store), "minimum", minimum.columns, settings, minimum.summary)
