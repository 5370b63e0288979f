"""Data sets, whole or with fewer training samples.

Consumes what installed packages ship, files of the user, or a download.
Produces data/<dataset>.zarr and its manifest.
"""


rule data:
    input:
        code=code("data"),
        plugins=plugins_for_data,
        plugin_code=lambda w: plugin_code(plugins_for_data(w)),
    output:
        store=directory("results/{study}/data/{dataset}.zarr"),
        manifest="results/{study}/data/{dataset}.json",
    log:
        "results/{study}/logs/data/{dataset}.log",
    benchmark:
        "results/{study}/benchmarks/data/{dataset}.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        settings=lambda w: data_settings(config, w.dataset),
    message:
        "Loading the data set {wildcards.dataset}"
    script:
        "../scripts/data.py"
