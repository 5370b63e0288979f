"""Where the claims hold: over sizes of the training set, learning rates and lengths of training.

Consumes runs/<run>/metrics.zarr of the experiment training_sizes, with more seeds of the same settings, and the
baselines of the configured null model on each training set.
Produces regimes.csv and its checksum, in a study with that experiment.
"""

REGIME_RUNS = runs_of_regimes(config) if "training_sizes" in config["experiments"] else []
REGIME_METRICS = [store_of(run, "metrics") for run in REGIME_RUNS]
REGIME_BASELINES = baselines_of(REGIME_RUNS, [SHOWN_NULL])
# Without these runs, no rule needs the table.
REGIMES_OF = parts_of(REGIME_RUNS[0].dataset)[0] if REGIME_RUNS else None
REGIME_SETTINGS = regimes_settings(config, DATASETS) if REGIME_RUNS else {}


rule regimes:
    input:
        metrics=ancient(REGIME_METRICS),
        baselines=ancient(REGIME_BASELINES),
        manifests=manifests_of(REGIME_METRICS + REGIME_BASELINES),
    output:
        table=report(
            "<results>/regimes.csv",
            caption="../report/regimes.rst",
            category="Claims",
            labels={"figure": "regimes", "file": "table (csv)"},
        ),
        checksum="<results>/regimes.csv.sha256",
    log:
        "<results>/logs/regimes.log",
    benchmark:
        "<results>/benchmarks/regimes.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        code=code("regimes"),
        settings=REGIME_SETTINGS,
    message:
        "Deciding the claims over training sets, learning rates and lengths"
    script:
        "../scripts/regimes.py"
