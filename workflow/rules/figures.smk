"""Figures: a rule for each declaration. fig01 to fig21 have the numbers of the paper; extNN are additions.

Consumes what the declarations in eigendrift/figures/declarations.py and in plug-ins name, in the words explained below.
Produces figures/<name>.png, .pdf and .csv, the numbers plotted.
"""

from eigendrift.extensions.kinds import lazy

# For each job in a group, Snakemake examines all of its inputs again whenever one is created. Figures of large studies
# have several inputs per run, so they are in no group.
FIGURES_GROUP = "drawn" if len(RUNS) <= 200 else None
# The lines of optimizers and null models that plug-ins declare depend on the whole study.
OPTIMIZERS_USED = list(dict.fromkeys(run.optimizer for run in RUNS.values()))
PLUGIN_STYLES = {
    "optimizers": OPTIMIZERS_USED if plugins_of(*((Optimizer, name) for name in OPTIMIZERS_USED)) else [],
    "null_models": NULLS if NULL_PLUGINS else [],
}
FIRST_DATASET = [run for run in MAIN if run.dataset == MAIN_DATASETS[0]]
# The words that a declaration may use for runs, null models and stores; the docstring of Figure explains them.
RUNS_SHOWN = {
    "main": MAIN,
    "first data set": FIRST_DATASET,
    "second data set": [run for run in MAIN if run.dataset in MAIN_DATASETS[1:2]],
    "examples": [run for run in FIRST_DATASET if run.seed == 0],
    "all": list(RUNS.values()),
    "training_sizes": [run for run in REGIME_RUNS if parts_of(run.dataset)[0] == REGIMES_OF],
}
for sweep in ("batch_sizes", "learning_rates"):
    swept = runs_of(config, sweep) if sweep in config["experiments"] else []
    RUNS_SHOWN[sweep] = [run for run in swept if run.dataset == swept[0].dataset]
NULLS_SHOWN = {
    "null model": [SHOWN_NULL],
    "further null models": FURTHER_NULLS,
    "other null models": [null for null in NULLS if null != SHOWN_NULL],
    "null_values.csv": NULLS,
}
STORES = {
    "metrics": lambda runs: [store_of(run, "metrics") for run in runs],
    "wide metrics": lambda runs: [store_of(run, "wide/metrics") for run in runs],
    "preconditioned metrics": lambda runs: [
        store_of(run, "preconditioned/metrics") for run in runs if run in PRECONDITIONED
    ],
    "eigenpairs": lambda runs: [store_of(run, "eigenpairs") for run in runs],
    "minima": lambda runs: [
        f"results/{STUDY}/minima/{dataset}/{model}/{optimizer}.zarr"
        for dataset, model, optimizer in dict.fromkeys((run.dataset, run.model, run.optimizer) for run in runs)
    ],
    "null model": lambda runs: baselines_of(runs, [SHOWN_NULL]),
    "further null models": lambda runs: baselines_of(runs, FURTHER_NULLS),
    "other null models": lambda runs: baselines_of(runs, NULLS_SHOWN["other null models"]),
    "wide null model": lambda runs: baselines_of(runs, [wide_name(config)]),
}
TABLES_READ = (
    "claims.json",
    "regimes.csv",
    "null_values.csv",
    "null_validation.csv",
)
# In alphabetical order, which is the report's.
FILES = {"png": "picture", "pdf": "print (pdf)", "csv": "table (csv)"}


def check_words(figure):
    """Refuse a figure of a plug-in that names runs, stores or tables that no study has."""
    if figure.runs not in RUNS_SHOWN:
        raise WorkflowError(
            f"The figure '{figure.name}' shows the runs '{figure.runs}', expected one of {', '.join(RUNS_SHOWN)}; fix its runs."
        )
    # Run times are collected after all other figures are drawn.
    known_words = {*STORES, *TABLES_READ, *(["benchmarks.csv"] if figure.name == "ext09_run_times" else [])}
    for wrong in {*figure.reads.values()} - known_words:
        raise WorkflowError(
            f"The figure '{figure.name}' reads '{wrong}', expected one of {', '.join((*STORES, *TABLES_READ))}; fix its reads."
        )


def is_in_study(figure):
    """Return whether the study has the runs and the table that a figure reads, and the figure wants to be drawn."""
    if not RUNS_SHOWN[figure.runs] or ("regimes.csv" in figure.reads.values() and not REGIME_RUNS):
        return False
    try:
        return is_wanted(figure, config)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def files_read(figure):
    """Return the inputs of a figure: stores and tables by the arguments of its function read, and their manifests."""
    runs, manifests, files = RUNS_SHOWN[figure.runs], [], {}
    for argument, source in figure.reads.items():
        if source not in STORES:
            files[argument] = f"<results>/{source}"
            manifests += checksums_of(files[argument])
        # A study may have no further null models.
        elif stores := STORES[source](runs):
            files[argument] = ancient(stores)
            manifests += manifests_of(stores)
    if stores := plugin_stores(figure.metrics):
        files["plugin_metrics"] = ancient(stores)
        manifests += manifests_of(stores)
    return {"manifests": list(dict.fromkeys(manifests)), **files}


def pictures_of(figure):
    """Return the files of a figure, as the report shows them."""
    return {
        ending: report(
            f"<results>/figures/{figure.name}.{ending}",
            caption="../report/figure.rst",
            category=figure.category,
            labels={
                "figure": figure.name.removeprefix("fig").replace("_", " "),
                "file": file,
            },
        )
        for ending, file in FILES.items()
    }


def figure_params(figure):
    """Return the parameters of a figure's rule: its code, functions, settings, style and caption."""
    optimizers = {run.optimizer for run in RUNS_SHOWN[figure.runs]}
    asked = sorted(optimizers) if figure.asks_optimizers else []
    own = plugins_of((Figure, figure.name))
    plugins = tuple(dict.fromkeys((*own, *plugins_of(*((Optimizer, name) for name in asked)))))
    functions = {
        name: [function.module, function.function]
        for name, function in (("read", figure.read), ("draw", figure.draw))
        if isinstance(function, lazy)
    }
    nulls = [n for read in figure.reads.values() for n in NULLS_SHOWN.get(read, [])]
    facts = facts_of(config, RUNS_SHOWN[figure.runs], DATASETS, nulls)
    caption = figure.caption
    if own:
        caption += "\n\n*A figure of a plug-in.* {{ runs }} Baseline: {{ null }}."
    try:
        settings = settings_of(figure, config)
        text = caption_of(figure.name, caption, facts, settings, config)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    modules = list(dict.fromkeys(module for module, _ in functions.values()))
    return {
        "code": code("figure", *modules, plugins=plugins),
        "plugins": plugins,
        "modules": modules,
        # Functions of the library, or the name of a plug-in's figure.
        "functions": functions,
        "plugin_figure": figure.name if own else None,
        "settings": settings,
        "style": config["figures"]["style"],
        "study": PLUGIN_STYLES,
        # In a dict, because Snakemake would take braces in a plain text for wildcards.
        "caption": {"text": text},
    }


for figure in FIGURES.values():
    check_words(figure)

# Run times have a rule in report.smk, after all others.
FIGURES_DRAWN = {
    name: figure
    for name, figure in FIGURES.items()
    if is_in_study(figure) and "benchmarks.csv" not in figure.reads.values()
}

# Snakemake knows a figure by the first part of its name, such as fig03 for fig03_localization. A plug-in's figure may
# have any name, also a rule's.
for name, figure in FIGURES_DRAWN.items():

    rule:
        name:
            f"figure_{name}" if plugins_of((Figure, name)) else name.partition("_")[0]
        input:
            **files_read(figure),
        output:
            **pictures_of(figure),
        log:
            f"<results>/logs/figures/{name}.log",
        benchmark:
            f"<results>/benchmarks/figures/{name}.tsv"
        group:
            FIGURES_GROUP
        conda:
            "../../envs/figures.yaml"
        params:
            **figure_params(figure),
        message:
            f"Drawing {name}"
        script:
            "../scripts/figure.py"
