"""Data sets, whole or with fewer training samples.

Consumes data sets that installed packages ship, files of the user, or a download.
Produces data/<dataset>.zarr and its manifest.
"""


rule data:
    output:
        store=directory("<results>/data/{dataset}.zarr"),
        manifest="<results>/data/{dataset}.json",
    log:
        "<results>/logs/data/{dataset}.log",
    benchmark:
        "<results>/benchmarks/data/{dataset}.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        code=code("data", plugins=plugins_for_data),
        plugins=by_wildcards(plugins_for_data),
        settings=lambda w: data_settings(config, w.dataset),
    message:
        "Loading the data set {wildcards.dataset}"
    script:
        "../scripts/data.py"
