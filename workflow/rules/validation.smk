"""Validation of the null models: do they hold before training, and does training depart from them?

Consumes null/<dataset>/<model>/<null>-baseline.zarr, also for untrained networks, and metrics.zarr and eigenpairs.zarr of
the main experiment's runs.
Produces null_validation.csv, null_departure.csv, and null_values.csv with the values compared, with their checksums.
"""

NULL_PLUGINS = plugins_of(*((NullModel, name) for name in NULLS))
UNTRAINED_BASELINES = baselines_of(MAIN, untrained_names(config))
MAIN_EIGENPAIRS = [store_of(run, "eigenpairs") for run in MAIN]
MAIN_METRICS = [store_of(run, "metrics") for run in MAIN]


# Other rules read the tables by path. If `rules.validation.output.departure` were among its inputs, Snakemake would
# compare it with the list of all metrics once for each of them, which takes seconds in a study of a thousand runs.
rule validation:
    input:
        baselines=ancient(BASELINES),
        untrained=ancient(UNTRAINED_BASELINES),
        metrics=ancient(MAIN_METRICS),
        eigenpairs=ancient(MAIN_EIGENPAIRS),
        manifests=manifests_of(BASELINES + UNTRAINED_BASELINES + MAIN_METRICS + MAIN_EIGENPAIRS),
    output:
        validation=report(
            "<results>/null_validation.csv",
            caption="../report/null_validation.rst",
            category="Null models",
            labels={"figure": "null validation", "file": "table (csv)"},
        ),
        departure=report(
            "<results>/null_departure.csv",
            caption="../report/null_departure.rst",
            category="Null models",
            labels={"figure": "null departure", "file": "table (csv)"},
        ),
        values_compared="<results>/null_values.csv",
        checksums=[
            "<results>/null_validation.csv.sha256",
            "<results>/null_departure.csv.sha256",
            "<results>/null_values.csv.sha256",
        ],
    log:
        "<results>/logs/validation.log",
    benchmark:
        "<results>/benchmarks/validation.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        code=code("validation", plugins=NULL_PLUGINS),
        plugins=NULL_PLUGINS,
        settings={**config["null_models"]["validation"], "names": NULLS},
    message:
        "Validating the null models"
    script:
        "../scripts/validation.py"
