"""Null models.

Consumes data/<dataset>.zarr.
Produces null/<dataset>/<model>/<null>.zarr, the draws, and their manifest.
"""


rule null:
    input:
        code=code("null"),
        manifest="results/{study}/data/{dataset}.json",
        data=ancient("results/{study}/data/{dataset}.zarr"),
    output:
        store=directory("results/{study}/null/{dataset}/{model}/{null}.zarr"),
        manifest="results/{study}/null/{dataset}/{model}/{null}.json",
    log:
        "results/{study}/logs/null/{dataset}/{model}/{null}.log",
    benchmark:
        "results/{study}/benchmarks/null/{dataset}/{model}/{null}.tsv"
    wildcard_constraints:
        null="|".join(config["null_models"]["names"]),
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        gpu=gpus(),
    params:
        settings=lambda w: null_settings(config, w.dataset, w.model, w.null),
        device=config["device"],
    message:
        "Drawing from the null model {wildcards.null} of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/null.py"
