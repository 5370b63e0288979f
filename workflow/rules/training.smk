"""Training.

Consumes data/<dataset>.zarr.
Produces runs/<run>/trajectory.zarr and its manifest.
"""


rule train:
    input:
        data=lambda w: ancient(f"<results>/data/{run_of(w).dataset}.zarr"),
        manifest=lambda w: f"<results>/data/{run_of(w).dataset}.json",
    output:
        store=directory("<results>/runs/{run}/trajectory.zarr"),
        manifest="<results>/runs/{run}/trajectory.json",
    log:
        "<results>/logs/train/{run}.log",
    benchmark:
        "<results>/benchmarks/train/{run}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=gpus(),
    params:
        code=code("train", plugins=plugins_for_training),
        plugins=by_wildcards(plugins_for_training),
        settings=lambda w: training_settings(config, run_of(w)),
        device=config["device"],
    message:
        "Training {wildcards.run}"
    script:
        "../scripts/train.py"
