"""The best minimum of each optimizer, and the curvature there, over train and test samples together.

Consumes data/<dataset>.zarr and, of the main experiment, runs/<run>/trajectory.zarr.
Produces minima/<dataset>/<model>/<optimizer>.zarr and its manifest.
"""


rule minimum:
    input:
        code=code("minimum"),
        plugins=lambda w: plugins_of(model_of(w.model)),
        plugin_code=lambda w: plugin_code(plugins_of(model_of(w.model))),
        manifests=lambda w: [
            f"results/{w.study}/data/{w.dataset}.json",
            *manifests_of(ends_of(w)),
        ],
        data=ancient("results/{study}/data/{dataset}.zarr"),
        trajectories=lambda w: ancient(ends_of(w)),
    output:
        store=directory("results/{study}/minima/{dataset}/{model}/{optimizer}.zarr"),
        manifest="results/{study}/minima/{dataset}/{model}/{optimizer}.json",
    log:
        "results/{study}/logs/minimum/{dataset}/{model}/{optimizer}.log",
    benchmark:
        "results/{study}/benchmarks/minimum/{dataset}/{model}/{optimizer}.tsv"
    wildcard_constraints:
        optimizer="|".join(config["experiments"]["main"]["optimizers"]),
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=gpus(),
    params:
        solver={**solver_settings(config, "wide_count"), "samples": "all"},
        device=config["device"],
    message:
        "The best minimum of {wildcards.optimizer} for {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/minimum.py"
