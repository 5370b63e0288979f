"""Measure displacement and localization of the preconditioned Hessian's eigenvectors along one run."""

from pathlib import Path

from stage import logged

with logged(snakemake.log[0]):
    from eigendrift.metrics.run import measure_preconditioned
    from eigendrift.stores.reading import open_store
    from eigendrift.stores.writing import write_store

    eigenpairs = open_store(Path(snakemake.input.eigenpairs), "eigenpairs")
    measured = measure_preconditioned(eigenpairs)
    summary = {"unconverged": int((~eigenpairs["converged"].values).sum())}
    write_store(
        Path(snakemake.output.store),
        "preconditioned_metrics",
        measured,
        eigenpairs.attrs["settings"],
        summary,
    )
