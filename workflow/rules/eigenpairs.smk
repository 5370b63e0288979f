"""Leading eigenpairs of the Hessian along training.

Consumes data/<dataset>.zarr and runs/<run>/trajectory.zarr.
Produces runs/<run>/eigenpairs.zarr; runs/<run>/wide/eigenpairs.zarr with more pairs at fewer checkpoints;
runs/<run>/preconditioned/eigenpairs.zarr for the preconditioned Hessian; and their manifests.
"""

STORAGE = config["storage"]
# If `storage` keeps only some eigenvectors, all of them are in `whole/` next to the store until they are measured.
KEEPS_SOME = STORAGE["ranks"] != "all" or STORAGE["every"] != 1
WHOLE = "whole/" if KEEPS_SOME else ""


WHOLE_EIGENPAIRS = {
    folder: {
        "whole": temp(directory(f"<results>/runs/{{run}}/{folder}whole/eigenpairs.zarr")),
        "whole_manifest": temp(f"<results>/runs/{{run}}/{folder}whole/eigenpairs.json"),
    }
    for folder in ("", "wide/", "preconditioned/")
    if KEEPS_SOME
}


rule eigenpairs:
    input:
        data=lambda w: ancient(f"<results>/data/{run_of(w).dataset}.zarr"),
        trajectory=ancient("<results>/runs/{run}/trajectory.zarr"),
        manifests=lambda w: [
            "<results>/runs/{run}/trajectory.json",
            f"<results>/data/{run_of(w).dataset}.json",
        ],
    output:
        **WHOLE_EIGENPAIRS.get("", {}),
        store=directory("<results>/runs/{run}/eigenpairs.zarr"),
        manifest="<results>/runs/{run}/eigenpairs.json",
    log:
        "<results>/logs/eigenpairs/{run}.log",
    benchmark:
        "<results>/benchmarks/eigenpairs/{run}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=gpus(),
    params:
        code=code("eigenpairs", plugins=plugins_for_training),
        plugins=by_wildcards(plugins_for_training),
        settings={
            "eigenpairs": solver_settings(config),
            "every": 1,
            "preconditioned": False,
        },
        storage=STORAGE,
        device=config["device"],
    message:
        "Leading eigenpairs along {wildcards.run}"
    script:
        "../scripts/eigenpairs.py"


use rule eigenpairs as wide_eigenpairs with:
    output:
        **WHOLE_EIGENPAIRS.get("wide/", {}),
        store=directory("<results>/runs/{run}/wide/eigenpairs.zarr"),
        manifest="<results>/runs/{run}/wide/eigenpairs.json",
    log:
        "<results>/logs/wide_eigenpairs/{run}.log",
    benchmark:
        "<results>/benchmarks/wide_eigenpairs/{run}.tsv"
    params:
        code=code("eigenpairs", plugins=plugins_for_training),
        plugins=by_wildcards(plugins_for_training),
        settings={
            "eigenpairs": solver_settings(config, "wide_count"),
            "every": config["eigenpairs"]["wide_every"],
            "preconditioned": False,
        },
        storage=STORAGE,
        device=config["device"],
    message:
        "Many leading eigenpairs along {wildcards.run}"


use rule eigenpairs as preconditioned_eigenpairs with:
    output:
        **WHOLE_EIGENPAIRS.get("preconditioned/", {}),
        store=directory("<results>/runs/{run}/preconditioned/eigenpairs.zarr"),
        manifest="<results>/runs/{run}/preconditioned/eigenpairs.json",
    log:
        "<results>/logs/preconditioned_eigenpairs/{run}.log",
    benchmark:
        "<results>/benchmarks/preconditioned_eigenpairs/{run}.tsv"
    params:
        code=code("eigenpairs", plugins=plugins_for_training),
        plugins=by_wildcards(plugins_for_training),
        settings={
            "eigenpairs": solver_settings(config),
            "every": 1,
            "preconditioned": True,
        },
        storage=STORAGE,
        device=config["device"],
    message:
        "Leading eigenpairs of the preconditioned Hessian along {wildcards.run}"
