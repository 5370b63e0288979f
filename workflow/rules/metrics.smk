"""Displacement, localization and alignment, of runs and of null models.

Consumes runs/<run>/{trajectory,eigenpairs}.zarr and null/<dataset>/<model>/<null>.zarr.
Produces runs/<run>/metrics.zarr, also in wide/ and preconditioned/, runs/<run>/plugins/<metric>.zarr, and null/<dataset>/<model>/<null>-baseline.zarr, and their manifests.
Where jobs are submitted, these short ones go together, as many as a profile says.
"""


rule metrics:
    input:
        **to_measure(rules.eigenpairs.output),
        manifests=[rules.train.output.manifest, rules.eigenpairs.output.manifest],
        trajectory=ancient(rules.train.output.store),
    output:
        store=directory("<results>/runs/{run}/metrics.zarr"),
        manifest="<results>/runs/{run}/metrics.json",
    log:
        "<results>/logs/metrics/{run}.log",
    benchmark:
        "<results>/benchmarks/metrics/{run}.tsv"
    group:
        "measured"
    conda:
        "../../envs/analysis.yaml"
    params:
        code=code("metrics"),
    message:
        "Measuring {wildcards.run}"
    script:
        "../scripts/metrics.py"


use rule metrics as wide_metrics with:
    input:
        **to_measure(rules.wide_eigenpairs.output),
        manifests=[rules.train.output.manifest, rules.wide_eigenpairs.output.manifest],
        trajectory=ancient(rules.train.output.store),
    output:
        store=directory("<results>/runs/{run}/wide/metrics.zarr"),
        manifest="<results>/runs/{run}/wide/metrics.json",
    log:
        "<results>/logs/wide_metrics/{run}.log",
    benchmark:
        "<results>/benchmarks/wide_metrics/{run}.tsv"
    message:
        "Measuring many leading eigenpairs along {wildcards.run}"


rule preconditioned_metrics:
    input:
        **to_measure(rules.preconditioned_eigenpairs.output),
        manifest=rules.preconditioned_eigenpairs.output.manifest,
    output:
        store=directory("<results>/runs/{run}/preconditioned/metrics.zarr"),
        manifest="<results>/runs/{run}/preconditioned/metrics.json",
    log:
        "<results>/logs/preconditioned_metrics/{run}.log",
    benchmark:
        "<results>/benchmarks/preconditioned_metrics/{run}.tsv"
    group:
        "measured"
    conda:
        "../../envs/analysis.yaml"
    params:
        code=code("preconditioned_metrics"),
    message:
        "Measuring the preconditioned Hessian's eigenpairs along {wildcards.run}"
    script:
        "../scripts/preconditioned_metrics.py"


rule plugin_metric:
    input:
        **to_measure(rules.eigenpairs.output),
        manifests=[rules.train.output.manifest, rules.eigenpairs.output.manifest],
        trajectory=ancient(rules.train.output.store),
    output:
        store=directory("<results>/runs/{run}/plugins/{metric}.zarr"),
        manifest="<results>/runs/{run}/plugins/{metric}.json",
    log:
        "<results>/logs/plugin_metric/{run}/{metric}.log",
    benchmark:
        "<results>/benchmarks/plugin_metric/{run}/{metric}.tsv"
    group:
        "measured"
    conda:
        "../../envs/analysis.yaml"
    params:
        code=code("plugin_metric", plugins=plugins_for_metric),
        plugins=plugins_for_metric,
    message:
        "Measuring {wildcards.metric} of {wildcards.run}"
    script:
        "../scripts/plugin_metric.py"


rule baseline:
    input:
        manifest=rules.null_model.output.manifest,
        draws=ancient(rules.null_model.output.store),
    output:
        store=directory("<results>/null/{dataset}/{model}/{null}-baseline.zarr"),
        manifest="<results>/null/{dataset}/{model}/{null}-baseline.json",
    log:
        "<results>/logs/baseline/{dataset}/{model}/{null}.log",
    benchmark:
        "<results>/benchmarks/baseline/{dataset}/{model}/{null}.tsv"
    group:
        "measured"
    conda:
        "../../envs/analysis.yaml"
    params:
        code=code("baseline"),
    message:
        "Measuring the null model {wildcards.null} of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/baseline.py"
