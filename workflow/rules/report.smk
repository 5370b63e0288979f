"""What the report shows next to figures: the verdicts as a page, run times, and the configuration.

Consumes claims.json, the benchmark files of all jobs, and the configuration.
Produces claims.html, benchmarks.csv, figures/ext09_run_times.png, .pdf and .csv, config.yaml and config.html.
"""

from snakemake.io import strip_wildcard_constraints

# Tables that a later stage or a reader of the results uses.
TABLES = [
    "<results>/null_validation.csv",
    "<results>/null_departure.csv",
    "<results>/null_values.csv",
    *(["<results>/regimes.csv"] if REGIME_RUNS else []),
]
# The targets of `rule all`: everything that the study measures is upstream of them.
RESULTS = [
    *expand(
        "<results>/figures/{name}.{ending}",
        name=FIGURES_DRAWN,
        ending=["png", "pdf", "csv"],
    ),
    *expand(
        "<results>/{name}",
        name=["claims.json", "claims.csv", "claims_sensitivity.csv"],
    ),
    *TABLES,
    *checksums_of(*TABLES),
    *manifests_of(BASELINES),
    # Some experiments are in no figure.
    *manifests_of([f"results/{STUDY}/runs/{run}/metrics.zarr" for run in RUNS]),
    *manifests_of(plugin_stores(known(Metric))),
]

# As an input, a missing benchmark file would make Snakemake run its job again. As a parameter, it is read if it exists.
BENCHMARKS = {
    timed.name: strip_wildcard_constraints(timed.benchmark)
    for timed in workflow.rules
    if timed.benchmark and timed.benchmark.startswith(f"results/{STUDY}/")
}


rule claims_page:
    input:
        verdicts="<results>/claims.json",
        checksum="<results>/claims.json.sha256",
    output:
        page=report(
            "<results>/claims.html",
            caption="../report/claims.rst",
            category="Claims",
            labels={"figure": "verdicts", "file": "page"},
        ),
    log:
        "<results>/logs/claims_page.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        code=code("claims_page"),
    message:
        "Making a page of the verdicts"
    script:
        "../scripts/claims_page.py"


rule configuration:
    output:
        file=report(
            "<results>/config.yaml",
            caption="../report/configuration.rst",
            category="Configuration",
            labels={"file": "study to run again (yaml)"},
        ),
        page=report(
            "<results>/config.html",
            caption="../report/configuration.rst",
            category="Configuration",
            labels={"file": "page"},
        ),
    log:
        "<results>/logs/configuration.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        code=code("configuration"),
        # The directory of a user's files is private, and not a part of the study. Experiments that are null stay in the
        # file, so that merging the file into config.yaml leaves them out again.
        config={**WRITTEN_CONFIG, "data_dir": None},
        schema=SCHEMA,
    message:
        "Writing the configuration"
    script:
        "../scripts/configuration.py"


rule benchmarks:
    input:
        results=RESULTS,
    output:
        table=report(
            "<results>/benchmarks.csv",
            caption="../report/benchmarks.rst",
            category="Run times",
            labels={"figure": "every job", "file": "table (csv)"},
        ),
        checksum="<results>/benchmarks.csv.sha256",
    log:
        "<results>/logs/benchmarks.log",
    conda:
        "../../envs/analysis.yaml"
    params:
        code=code("benchmarks"),
        patterns=BENCHMARKS,
        known={
            "run": list(RUNS),
            "dataset": sorted({run.dataset for run in RUNS.values()}),
            "model": sorted({run.model for run in RUNS.values()}),
            "null": null_names(config),
            "metric": list(known(Metric)),
        },
    message:
        "Collecting run times"
    script:
        "../scripts/benchmarks.py"


rule ext09:
    input:
        **files_read(FIGURES["ext09_run_times"]),
    output:
        **pictures_of(FIGURES["ext09_run_times"]),
    log:
        "<results>/logs/figures/ext09_run_times.log",
    conda:
        "../../envs/figures.yaml"
    params:
        **figure_params(FIGURES["ext09_run_times"]),
    message:
        "Drawing ext09_run_times"
    script:
        "../scripts/figure.py"


rule reported:
    input:
        RESULTS,
        expand(
            "<results>/{name}",
            name=[
                "claims.html",
                "config.html",
                "config.yaml",
                "benchmarks.csv",
                "figures/ext09_run_times.png",
            ],
        ),
    message:
        f"What the report of the study {STUDY} shows is in results/{STUDY}"
