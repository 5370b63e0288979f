"""The best minimum of each optimizer, and the curvature there, over train and test samples together.

Consumes data/<dataset>.zarr, and runs/<run>/trajectory.zarr of the main experiment.
Produces minima/<dataset>/<model>/<optimizer>.zarr and its manifest.
"""


rule minimum:
    input:
        data=ancient("<results>/data/{dataset}.zarr"),
        trajectories=lambda w: ancient(trajectories_of_optimizer(w)),
        manifests=lambda w: [
            f"<results>/data/{w.dataset}.json",
            *manifests_of(trajectories_of_optimizer(w)),
        ],
    output:
        store=directory("<results>/minima/{dataset}/{model}/{optimizer}.zarr"),
        manifest="<results>/minima/{dataset}/{model}/{optimizer}.json",
    log:
        "<results>/logs/minimum/{dataset}/{model}/{optimizer}.log",
    benchmark:
        "<results>/benchmarks/minimum/{dataset}/{model}/{optimizer}.tsv"
    wildcard_constraints:
        optimizer="|".join(config["experiments"]["main"]["optimizers"]),
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=gpus(),
    params:
        code=code("minimum", plugins=plugins_for_minimum),
        plugins=by_wildcards(plugins_for_minimum),
        solver={**solver_settings(config, "wide_count"), "samples": "all"},
        device=config["device"],
    message:
        "The best minimum of {wildcards.optimizer} for {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/minimum.py"
