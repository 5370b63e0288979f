"""Null models, and the untrained networks that they are compared with.

Consumes data/<dataset>.zarr, and runs/<run>/trajectory.zarr of the main experiment for the null model `permuted`.
Produces null/<dataset>/<model>/<null>.zarr, the draws, and their manifest.
"""


rule null_model:
    input:
        data=ancient("<results>/data/{dataset}.zarr"),
        trajectories=lambda w: ancient(trajectories_to_permute(w)),
        manifests=lambda w: [
            f"<results>/data/{w.dataset}.json",
            *manifests_of(trajectories_to_permute(w)),
        ],
    output:
        store=directory("<results>/null/{dataset}/{model}/{null}.zarr"),
        manifest="<results>/null/{dataset}/{model}/{null}.json",
    log:
        "<results>/logs/null_model/{dataset}/{model}/{null}.log",
    benchmark:
        "<results>/benchmarks/null_model/{dataset}/{model}/{null}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=gpus(),
    params:
        code=code("null", plugins=plugins_for_null),
        plugins=by_wildcards(plugins_for_null),
        settings=lambda w: null_settings(config, w.dataset, w.model, w.null),
        device=config["device"],
    message:
        "Drawing from the null model {wildcards.null} of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/null.py"
