"""Measure displacement and localization of the preconditioned Hessian's eigenvectors along one run."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(snakemake.scriptdir).parent))
from runtime.job import job

with job(snakemake) as verify_code:
    from eigendrift.metrics.measure import measure_preconditioned
    from eigendrift.stores.reading import open_store
    from eigendrift.stores.writing import write_store

    eigenpairs = open_store(Path(snakemake.input.eigenpairs), "eigenpairs")
    measured = measure_preconditioned(eigenpairs)
    summary = {"unconverged": int((~eigenpairs["converged"].values).sum())}
    verify_code()
    write_store(
        Path(snakemake.output.store),
        "preconditioned_metrics",
        measured,
        eigenpairs.attrs["settings"],
        summary,
    )
