"""Displacement, localization and alignment, of runs and of null models.

Consumes runs/<run>/{trajectory,eigenpairs}.zarr and null/<dataset>/<model>/<null>.zarr.
Produces runs/<run>/metrics.zarr, also in wide/ and preconditioned/, runs/<run>/plugins/<metric>.zarr, and null/<dataset>/<model>/<null>-baseline.zarr, and their manifests.
Where jobs are submitted, these short ones go together, as many as a profile says.
"""


rule metrics:
    input:
        **to_measure(rules.eigenpairs.output),
        code=code("metrics"),
        manifests=[rules.train.output.manifest, rules.eigenpairs.output.manifest],
        trajectory=ancient(rules.train.output.store),
    output:
        store=directory("results/{study}/runs/{run}/metrics.zarr"),
        manifest="results/{study}/runs/{run}/metrics.json",
    log:
        "results/{study}/logs/metrics/{run}.log",
    benchmark:
        "results/{study}/benchmarks/metrics/{run}.tsv"
    group:
        "measured"
    conda:
        "../../envs/analysis.yaml"
    message:
        "Measuring {wildcards.run}"
    script:
        "../scripts/metrics.py"


use rule metrics as wide_metrics with:
    input:
        **to_measure(rules.wide_eigenpairs.output),
        code=code("metrics"),
        manifests=[rules.train.output.manifest, rules.wide_eigenpairs.output.manifest],
        trajectory=ancient(rules.train.output.store),
    output:
        store=directory("results/{study}/runs/{run}/wide/metrics.zarr"),
        manifest="results/{study}/runs/{run}/wide/metrics.json",
    log:
        "results/{study}/logs/wide_metrics/{run}.log",
    benchmark:
        "results/{study}/benchmarks/wide_metrics/{run}.tsv"
    message:
        "Measuring many leading eigenpairs along {wildcards.run}"


rule preconditioned_metrics:
    input:
        **to_measure(rules.preconditioned_eigenpairs.output),
        code=code("preconditioned_metrics"),
        manifest=rules.preconditioned_eigenpairs.output.manifest,
    output:
        store=directory("results/{study}/runs/{run}/preconditioned/metrics.zarr"),
        manifest="results/{study}/runs/{run}/preconditioned/metrics.json",
    log:
        "results/{study}/logs/preconditioned_metrics/{run}.log",
    benchmark:
        "results/{study}/benchmarks/preconditioned_metrics/{run}.tsv"
    group:
        "measured"
    conda:
        "../../envs/analysis.yaml"
    message:
        "Measuring the preconditioned Hessian's eigenpairs along {wildcards.run}"
    script:
        "../scripts/preconditioned_metrics.py"


rule plugin_metric:
    input:
        **to_measure(rules.eigenpairs.output),
        code=code("plugin_metric"),
        plugins=lambda w: plugins_of((Metric, w.metric)),
        plugin_code=lambda w: plugin_code(plugins_of((Metric, w.metric))),
        manifests=[rules.train.output.manifest, rules.eigenpairs.output.manifest],
        trajectory=ancient(rules.train.output.store),
    output:
        store=directory("results/{study}/runs/{run}/plugins/{metric}.zarr"),
        manifest="results/{study}/runs/{run}/plugins/{metric}.json",
    log:
        "results/{study}/logs/plugin_metric/{run}/{metric}.log",
    benchmark:
        "results/{study}/benchmarks/plugin_metric/{run}/{metric}.tsv"
    group:
        "measured"
    conda:
        "../../envs/analysis.yaml"
    message:
        "Measuring {wildcards.metric} of {wildcards.run}"
    script:
        "../scripts/plugin_metric.py"


rule baseline:
    input:
        code=code("baseline"),
        manifest=rules.null.output.manifest,
        draws=ancient(rules.null.output.store),
    output:
        store=directory("results/{study}/null/{dataset}/{model}/{null}-baseline.zarr"),
        manifest="results/{study}/null/{dataset}/{model}/{null}-baseline.json",
    log:
        "results/{study}/logs/baseline/{dataset}/{model}/{null}.log",
    benchmark:
        "results/{study}/benchmarks/baseline/{dataset}/{model}/{null}.tsv"
    group:
        "measured"
    conda:
        "../../envs/analysis.yaml"
    message:
        "Measuring the null model {wildcards.null} of {wildcards.model} on {wildcards.dataset}"
    script:
        "../scripts/baseline.py"
