"""Displacement, localization and alignment, of runs and of null models.

Consumes runs/<run>/{trajectory,eigenpairs}.zarr and null/<dataset>/<model>/<null>.zarr.
Produces runs/<run>/metrics.zarr, also in wide/ and preconditioned/, runs/<run>/plugins/<metric>.zarr, and null/<dataset>/<model>/<null>-baseline.zarr, and their manifests.
A cluster profile may put several of these short jobs into one group.
"""

# All eigenpairs that there are: metrics do not depend on how many are kept.
WHOLE_MANIFEST = {
    folder: {"whole_manifest": ancient(f"<results>/runs/{{run}}/{folder}whole/eigenpairs.json")}
    for folder in ("", "wide/", "preconditioned/")
    if KEEPS_SOME
}


rule metrics:
    input:
        **WHOLE_MANIFEST.get("", {}),
        trajectory=ancient("<results>/runs/{run}/trajectory.zarr"),
        eigenpairs=ancient(f"<results>/runs/{{run}}/{WHOLE}eigenpairs.zarr"),
        manifests=[
            "<results>/runs/{run}/trajectory.json",
            "<results>/runs/{run}/eigenpairs.json",
        ],
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
        **WHOLE_MANIFEST.get("wide/", {}),
        trajectory=ancient("<results>/runs/{run}/trajectory.zarr"),
        eigenpairs=ancient(f"<results>/runs/{{run}}/wide/{WHOLE}eigenpairs.zarr"),
        manifests=[
            "<results>/runs/{run}/trajectory.json",
            "<results>/runs/{run}/wide/eigenpairs.json",
        ],
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
        **WHOLE_MANIFEST.get("preconditioned/", {}),
        eigenpairs=ancient(f"<results>/runs/{{run}}/preconditioned/{WHOLE}eigenpairs.zarr"),
        manifest="<results>/runs/{run}/preconditioned/eigenpairs.json",
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
        **WHOLE_MANIFEST.get("", {}),
        trajectory=ancient("<results>/runs/{run}/trajectory.zarr"),
        eigenpairs=ancient(f"<results>/runs/{{run}}/{WHOLE}eigenpairs.zarr"),
        manifests=[
            "<results>/runs/{run}/trajectory.json",
            "<results>/runs/{run}/eigenpairs.json",
        ],
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
        draws=ancient("<results>/null/{dataset}/{model}/{null}.zarr"),
        manifest="<results>/null/{dataset}/{model}/{null}.json",
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
