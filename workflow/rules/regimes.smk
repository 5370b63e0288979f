"""Where the claims hold: over sizes of the training set, learning rates and lengths of training.

Consumes runs/<run>/metrics.zarr of the experiment training_sizes, further seeds of the same settings, and the baselines
of the chosen null model on each training set.
Produces regimes.csv and its digest, in a study that has the experiment.
"""

REGIMES_TABLE = "<results>/regimes.csv"
REGIME_RUNS = (
    runs_of_regimes(config) if "training_sizes" in config["experiments"] else []
)
# Nobody asks for the table where there are none.
REGIMES_OF = parts_of(REGIME_RUNS[0].dataset)[0] if REGIME_RUNS else None
REGIME_SETTINGS = regimes_settings(config, DATASETS) if REGIME_RUNS else {}


rule regimes:
    input:
        **measured(REGIME_RUNS),
    output:
        table=report(
            REGIMES_TABLE,
            caption="../report/regimes.rst",
            category="Claims",
            labels={"figure": "regimes", "file": "table (csv)"},
        ),
        seals=checksums_of(REGIMES_TABLE),
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
