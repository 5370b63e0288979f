"""Training.

Consumes data/<dataset>.zarr.
Produces runs/<run>/trajectory.zarr and its manifest.
"""


rule train:
    input:
        code=code("train"),
        plugins=lambda w: plugins_for_training(RUNS[w.run]),
        plugin_code=lambda w: plugin_code(plugins_for_training(RUNS[w.run])),
        manifest=lambda w: f"results/{w.study}/data/{RUNS[w.run].dataset}.json",
        data=lambda w: ancient(f"results/{w.study}/data/{RUNS[w.run].dataset}.zarr"),
    output:
        store=directory("results/{study}/runs/{run}/trajectory.zarr"),
        manifest="results/{study}/runs/{run}/trajectory.json",
    log:
        "results/{study}/logs/train/{run}.log",
    benchmark:
        "results/{study}/benchmarks/train/{run}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=gpus(),
    params:
        settings=lambda w: training_settings(config, RUNS[w.run]),
        device=config["device"],
    message:
        "Training {wildcards.run}"
    script:
        "../scripts/train.py"
