"""Figures, numbered as in the paper, fig01 to fig21, or ours, extNN. Each has a rule, made from an entry of the table FIGURES.

Consumes the stores that a figure shows; most read runs/<run>/metrics.zarr and the chosen null model's baselines.
Produces figures/figNN_<name> or extNN_<name>.png, .pdf and .csv, the numbers plotted.
"""

from eigendrift.training.networks import DEFAULT_KIND

# For each job in a group, Snakemake examines all of its inputs again whenever one is created. Figures of large studies
# have several inputs per run, so they are in no group.
DRAWN = "drawn" if len(RUNS) <= 200 else None
MEASURED = measured(MAIN)
# The lines of optimizers and null models that plug-ins declare depend on the whole study.
USED = list(dict.fromkeys(run.optimizer for run in RUNS.values()))
STYLED = {
    "optimizers": USED if plugins_of(*((Optimizer, name) for name in USED)) else [],
    "null_models": NULLS if NULL_PLUGINS else [],
}


def shown_by_plugin(figure):
    """The same for a figure of a plug-in."""
    stores = plugin_stores(figure.metrics)
    own = {"manifests": manifests_of(stores)} | (
        {"plugin_metrics": ancient(stores)} if stores else {}
    )
    plugins = plugins_of((Figure, figure.name))
    return shown(figure.name, "Plug-ins", MAIN, together(MEASURED, own)) | {
        "plugins": plugins,
        "modules": [],
        "caption": "plugin",
        "text": figure.caption,
    }


def shown(draw, category, runs, stores=None, sample=None, nulls=(), **settings):
    """One figure: its module in eigendrift.figures, the runs it is about, what it reads, and its settings.

    Its caption names the Hessian's samples and the null models, where they are not those of most figures.
    """
    return {
        "draw": draw,
        "modules": [f"eigendrift.figures.{draw}"],
        "category": category,
        "facts": facts_of(config, runs, DATASETS, sample, nulls),
        "stores": stores or measured(runs),
        "settings": settings,
    }


# In the order of the alphabet, which is the report's.
FILES = {"png": "picture", "pdf": "print (pdf)", "csv": "table (csv)"}


def picture(name, category, caption=None):
    """The files of one figure, as the report shows them."""
    return {
        ending: report(
            f"<results>/figures/{name}.{ending}",
            caption=f"../report/{caption or name}.rst",
            category=category,
            labels={
                "figure": name.removeprefix("fig").replace("_", " "),
                "file": file,
            },
        )
        for ending, file in FILES.items()
    }


def of_one_dataset(runs):
    """The runs on the first data set; a sweep's figures show one."""
    return [run for run in runs if run.dataset == runs[0].dataset]


TIMES = config["figures"]["waiting_times"]
ALL_SHOWN = [SHOWN_NULL, *FURTHER_NULLS]
FIRST = [run for run in MAIN if run.dataset == SHOWN[0]]
EXAMPLES = [run for run in FIRST if run.seed == 0]
LAST_VECTORS = [store_of(run, "eigenpairs") for run in EXAMPLES]
MINIMA = list(
    dict.fromkeys(
        f"results/{STUDY}/minima/{run.dataset}/{run.model}/{run.optimizer}.zarr"
        for run in MAIN
    )
)
OTHER_NULLS = [null for null in NULLS if null != SHOWN_NULL]
EVERY_STORE = [store_of(run, "metrics") for run in RUNS.values()]
PRECONDITIONED_STORES = [
    store_of(run, "preconditioned/metrics") for run in PRECONDITIONED
]

FIGURES = {
    "fig01_displacement": shown(
        "displacement",
        "Displacement",
        FIRST,
        measured(FIRST, further=FURTHER_NULLS),
        nulls=ALL_SHOWN,
        dataset=SHOWN[0],
        waiting_times=TIMES,
    ),
    "fig02_alignment": shown("alignment", "Alignment", MAIN),
    "fig03_localization": shown(
        "localization",
        "Localization",
        MAIN,
        measured(MAIN, further=FURTHER_NULLS),
        nulls=ALL_SHOWN,
    ),
    "fig04_training_loss": shown("training_loss", "Training", MAIN),
    "fig05_test_accuracy": shown("accuracy", "Training", MAIN),
    "fig06_eigenvalues": shown("eigenvalues", "Training", MAIN),
    "fig07_convergence": shown("convergence", "Displacement", MAIN),
    "fig08_minima": shown(
        "minima",
        "Training",
        MAIN,
        {"manifests": manifests_of(MINIMA), "minima": ancient(MINIMA)},
        sample="all training and test samples together",
    ),
    "fig10_weight_displacement": shown(
        "weight_displacement",
        "Displacement",
        FIRST,
        dataset=SHOWN[0],
        waiting_times=TIMES,
    ),
    "fig11_weight_change_alignment": shown(
        "weight_change_alignment",
        "Alignment",
        FIRST,
        dataset=SHOWN[0],
        waiting_times=TIMES,
    ),
    "fig12_raw_alignment": shown(
        "raw_alignment", "Alignment", EXAMPLES, dataset=SHOWN[0]
    ),
    "fig13_alignment_means": shown(
        "alignment_means", "Alignment", FIRST, dataset=SHOWN[0]
    ),
    "fig15_wide_localization": shown(
        "wide_localization",
        "Localization",
        EXAMPLES,
        measured(EXAMPLES, "wide/metrics"),
        dataset=SHOWN[0],
    ),
    "ext01_tracked_displacement": shown(
        "tracked_displacement",
        "Displacement",
        MAIN,
        together(MEASURED, measured_wide(MAIN)),
        lag=config["claims"]["lag"],
    ),
    "ext02_subspace_displacement": shown(
        "subspace_displacement",
        "Displacement",
        MAIN,
        together(MEASURED, measured_wide(MAIN)),
        lag=config["claims"]["lag"],
        ranks=config["claims"]["sensitivity"]["ranks"],
    ),
    "ext04_anatomy": shown(
        "anatomy",
        "Localization",
        MAIN,
        measured(MAIN, further=OTHER_NULLS),
        nulls=[SHOWN_NULL, *OTHER_NULLS],
    ),
    "ext06_flatness": shown(
        "flatness",
        "Curvature",
        list(RUNS.values()),
        {"manifests": manifests_of(EVERY_STORE), "metrics": ancient(EVERY_STORE)},
        lag=config["claims"]["lag"],
        confidence=config["claims"]["confidence"],
        resamples=config["claims"]["resamples"],
    ),
    "ext07_claims": shown(
        "claims",
        "Claims",
        MAIN,
        {
            "manifests": checksums_of(VERDICTS),
            "verdicts": VERDICTS,
        },
    ),
    "ext08_null_models": shown(
        "null_models",
        "Null models",
        MAIN,
        {
            "manifests": checksums_of(
                NULL_VALUES,
                VALIDATION,
            ),
            "values": NULL_VALUES,
            "verdicts": VALIDATION,
        },
        nulls=NULLS,
    ),
}
# Its panels are the layers of a perceptron.
if kind_of(config["models"][EXAMPLES[0].model]) == DEFAULT_KIND:
    FIGURES |= {
        "fig16_leading_eigenvector": shown(
            "leading_eigenvector",
            "Localization",
            EXAMPLES,
            {
                "manifests": manifests_of(LAST_VECTORS),
                "eigenpairs": ancient(LAST_VECTORS),
            },
            image_shape=list(DATASETS[SHOWN[0]].image_shape),
            classes=DATASETS[SHOWN[0]].classes,
        ),
    }
if PRECONDITIONED:
    FIGURES |= {
        "ext05_preconditioned": shown(
            "preconditioned",
            "Curvature",
            MAIN,
            {
                **MEASURED,
                "manifests": MEASURED["manifests"]
                + manifests_of(PRECONDITIONED_STORES),
                "preconditioned": ancient(PRECONDITIONED_STORES),
            },
            lag=config["claims"]["lag"],
        )
        # It tells optimizers apart by what they declare.
        | {"plugins": plugins_of(*((Optimizer, run.optimizer) for run in MAIN))},
    }
if len(SHOWN) > 1:
    SECOND = [run for run in MAIN if run.dataset == SHOWN[1]]
    FIGURES |= {
        "fig09_displacement": shown(
            "displacement",
            "Displacement",
            SECOND,
            measured(SECOND, further=FURTHER_NULLS),
            nulls=ALL_SHOWN,
            dataset=SHOWN[1],
            waiting_times=TIMES,
        ),
        "fig14_alignment_means": shown(
            "alignment_means", "Alignment", SECOND, dataset=SHOWN[1]
        ),
    }

if "batch_sizes" in config["experiments"]:
    BATCH_SIZES = of_one_dataset(runs_of(config, "batch_sizes"))
    FIGURES |= {
        "fig18_batch_size_localization": shown(
            "batch_size_localization", "Sweeps", BATCH_SIZES
        ),
        "fig20_batch_size_displacement": shown(
            "batch_size_displacement", "Sweeps", BATCH_SIZES, waiting_times=TIMES
        ),
    }
if "learning_rates" in config["experiments"]:
    LEARNING_RATES = of_one_dataset(runs_of(config, "learning_rates"))
    FIGURES |= {
        "fig17_learning_rate_alignment": shown(
            "learning_rate_alignment", "Sweeps", LEARNING_RATES
        ),
        "fig19_learning_rate_localization": shown(
            "learning_rate_localization", "Sweeps", LEARNING_RATES
        ),
        "fig21_learning_rate_displacement": shown(
            "learning_rate_displacement", "Sweeps", LEARNING_RATES, waiting_times=TIMES
        ),
    }
if REGIME_RUNS:
    REGIMES = [run for run in REGIME_RUNS if parts_of(run.dataset)[0] == REGIMES_OF]
    FIGURES |= {
        "ext03_regimes": shown(
            "regimes",
            "Claims",
            REGIMES,
            {
                "manifests": checksums_of(REGIMES_TABLE),
                "regimes": REGIMES_TABLE,
            },
            dataset=REGIMES_OF,
        ),
    }

FIGURES |= {figure.name: shown_by_plugin(figure) for figure in known(Figure).values()}

# A figure is found by its name, such as fig03_localization. What it reads, and the module of eigendrift.figures that
# draws it, stand in its entry of FIGURES, and Snakemake knows it by the first part of the name, fig03.
# Those of plug-ins may have any name, also a rule's.
for name, figure in FIGURES.items():

    rule:
        name:
            f"figure_{name}" if name in known(Figure) else name.partition("_")[0]
        input:
            **figure["stores"],
        output:
            **picture(name, figure["category"], figure.get("caption")),
        log:
            f"<results>/logs/figures/{name}.log",
        benchmark:
            f"<results>/benchmarks/figures/{name}.tsv"
        group:
            DRAWN
        conda:
            "../../envs/figures.yaml"
        params:
            code=code("figure", *figure["modules"], plugins=figure.get("plugins", ())),
            plugins=figure.get("plugins", ()),
            modules=figure["modules"],
            draw=figure["draw"],
            settings=figure["settings"],
            style=config["figures"]["style"],
            study=STYLED,
            facts=figure["facts"]
            | ({"text": figure["text"]} if "text" in figure else {}),
        message:
            f"Drawing {name}"
        script:
            "../scripts/figure.py"
