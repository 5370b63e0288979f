"""Leading eigenpairs of the Hessian along training.

Consumes data/<dataset>.zarr and runs/<run>/trajectory.zarr.
Produces runs/<run>/eigenpairs.zarr; with more pairs at fewer checkpoints runs/<run>/wide/eigenpairs.zarr; of the
preconditioned Hessian runs/<run>/preconditioned/eigenpairs.zarr; and their manifests.
"""


rule eigenpairs:
    input:
        manifests=lambda w: [
            rules.train.output.manifest,
            f"<results>/data/{run_of(w).dataset}.json",
        ],
        data=lambda w: ancient(f"<results>/data/{run_of(w).dataset}.zarr"),
        trajectory=ancient(rules.train.output.store),
    output:
        **whole_eigenpairs(""),
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
        plugins=of_job(plugins_for_training),
        solver=solver_settings(config),
        preconditioned=False,
        every=1,
        storage=STORAGE,
        device=config["device"],
    message:
        "Leading eigenpairs along {wildcards.run}"
    script:
        "../scripts/eigenpairs.py"


use rule eigenpairs as wide_eigenpairs with:
    output:
        **whole_eigenpairs("wide/"),
        store=directory("<results>/runs/{run}/wide/eigenpairs.zarr"),
        manifest="<results>/runs/{run}/wide/eigenpairs.json",
    log:
        "<results>/logs/wide_eigenpairs/{run}.log",
    benchmark:
        "<results>/benchmarks/wide_eigenpairs/{run}.tsv"
    params:
        code=code("eigenpairs", plugins=plugins_for_training),
        plugins=of_job(plugins_for_training),
        solver=solver_settings(config, "wide_count"),
        every=config["eigenpairs"]["wide_every"],
        preconditioned=False,
        storage=STORAGE,
        device=config["device"],
    message:
        "Many leading eigenpairs along {wildcards.run}"


use rule eigenpairs as preconditioned_eigenpairs with:
    output:
        **whole_eigenpairs("preconditioned/"),
        store=directory("<results>/runs/{run}/preconditioned/eigenpairs.zarr"),
        manifest="<results>/runs/{run}/preconditioned/eigenpairs.json",
    log:
        "<results>/logs/preconditioned_eigenpairs/{run}.log",
    benchmark:
        "<results>/benchmarks/preconditioned_eigenpairs/{run}.tsv"
    params:
        code=code("eigenpairs", plugins=plugins_for_training),
        plugins=of_job(plugins_for_training),
        solver=solver_settings(config),
        every=1,
        preconditioned=True,
        storage=STORAGE,
        device=config["device"],
    message:
        "Leading eigenpairs of the preconditioned Hessian along {wildcards.run}"
