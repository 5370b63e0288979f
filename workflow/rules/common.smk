"""What the rules share: the checked configuration and the runs of the study.

Consumes config.yaml, the files laid over it, and plug-ins. Produces nothing.
"""

import functools
import os
import re
import shutil

import yaml

from eigendrift.data.datasets import DATASETS as WHOLE_DATASETS
from eigendrift.extensions.declarations import check_declarations
from eigendrift.extensions.plugins import load_plugins, plugin_files
from eigendrift.null.models import NULL_MODELS
from eigendrift.stores.arrays import METRICS
from eigendrift.study.check import check_config, check_sizes
from eigendrift.study.normalized import without_unset
from eigendrift.study.extensions import completed
from eigendrift.study.captions import facts_of
from eigendrift.study.nulls import (
    WIDE,
    null_names,
    null_settings,
    untrained_names,
    wide_name,
)
from eigendrift.study.normalized import ordered
from eigendrift.study.runs import (
    all_runs,
    data_settings,
    runs_of,
    solver_settings,
    training_settings,
)
from eigendrift.study.subsets import parts_of, with_subsets
from eigendrift.study.training_sizes import regimes_settings, runs_of_regimes

from eigendrift.training.optimizers import is_adaptive

WRITTEN = config
try:
    config = without_unset(WRITTEN)
    PLUGINS = plugin_files(config.get("plugins"))
    load_plugins(PLUGINS)
    BARE_SCHEMA = yaml.safe_load((WORKFLOW / "schemas/config.schema.yaml").read_text())
    check_declarations(
        BARE_SCHEMA["$defs"],
        [name for array in METRICS.arrays for name in (array.name, *array.dims)],
    )
    check_config(config, BARE_SCHEMA)
    SCHEMA = completed(BARE_SCHEMA, ordered(config))
    check_sizes(config, WHOLE_DATASETS)
    if config["figures"]["style"]:
        # matplotlib takes a while to import, and hardly any study changes the style.
        from eigendrift.figures.style import check_style

        check_style(config["figures"]["style"])
except UserError as error:
    raise WorkflowError(str(error)) from None

WRITTEN, config = ordered(WRITTEN), ordered(config)
STUDY = config["study"]
DATASETS = with_subsets(config, WHOLE_DATASETS)
RUNS = all_runs(config)
MAIN = runs_of(config, "main")
PRECONDITIONED = [
    run
    for run in MAIN
    if is_adaptive(run.optimizer)
    and run.seed < config["eigenpairs"]["preconditioned_seeds"]
]
NULLS = config["null_models"]["names"]
SHOWN = list(dict.fromkeys(run.dataset for run in MAIN))

# Where a user keeps files says nothing about their content, which is verified by digest. As a parameter it
# would rerun the whole study when a directory moves; as a variable it reaches the jobs and reruns nothing.
if config["data_dir"] and not os.environ.get("EIGENDRIFT_DATA"):
    os.environ.update(
        EIGENDRIFT_DATA=str(Path(config["data_dir"]).expanduser().resolve())
    )


pathvars:
    results=f"results/{STUDY}",


wildcard_constraints:
    dataset="|".join(map(re.escape, DATASETS)),
    model="|".join(map(re.escape, config["models"])),
    null="|".join(null_names(config)),
    run=r"[^/]+/[^/]+/[^/]+/batch[^/]+/seed\d+",


def gpus():
    """How many GPUs a job asks for: one if the study may compute on one and this machine shows one."""
    wanted = config["device"]
    shown = shutil.which("nvidia-smi") is not None
    return int(wanted.startswith("cuda") or (wanted == "auto" and shown))


def run_of(w):
    """The run that wildcards name."""
    if w.run not in RUNS:
        raise WorkflowError(
            f"The study {STUDY} has no run {w.run}; `snakemake --summary` lists all that it makes."
        )
    return RUNS[w.run]


def store_of(run, kind):
    return f"results/{STUDY}/runs/{run.directory}/{kind}.zarr"


def ends_of(w):
    """The trajectories of all seeds of one optimizer in the main experiment."""
    wanted = (w.dataset, w.model, w.optimizer)
    return [
        store_of(run, "trajectory")
        for run in MAIN
        if (run.dataset, run.model, run.optimizer) == wanted
    ]


def permuted_by(w):
    """The trajectories whose final weights a null model permutes; none if it makes nothing of them."""
    runs = [run for run in MAIN if (run.dataset, run.model) == (w.dataset, w.model)]
    # At untrained networks there are none.
    facts = NULL_MODELS.get(w.null.removeprefix(WIDE))
    wanted = facts is not None and facts.needs_ends
    return [store_of(run, "trajectory") for run in runs if wanted]


def baselines_of(runs, nulls):
    """The measured draws of null models for the data sets and networks of some runs."""
    return list(
        dict.fromkeys(
            f"results/{STUDY}/null/{run.dataset}/{run.model}/{null}-baseline.zarr"
            for run in runs
            for null in nulls
        )
    )


def manifests_of(stores):
    """The manifests beside stores: they decide reruns, by content, which directories cannot."""
    return [store.removesuffix(".zarr") + ".json" for store in stores]


# The group of figures. For each job in one Snakemake looks at all its inputs, of a figure several for each run, again
# whenever one is made: those of large studies are in none.
DRAWN = "drawn" if len(RUNS) <= 200 else None
BASELINES = baselines_of(MAIN, NULLS)
SHOWN_NULL = config["figures"]["null_model"]
FURTHER_NULLS = [
    null for null in config["figures"]["further_null_models"] if null != SHOWN_NULL
]


def measured(runs, kind="metrics", further=()):
    """What claims and figures read: the metrics of runs, and the baselines for them.

    Those of the chosen null model, and apart from them those of further ones that a figure shows as well.
    """
    stores = {
        "metrics": [store_of(run, kind) for run in runs],
        "baselines": baselines_of(runs, [SHOWN_NULL]),
        "further": baselines_of(runs, further),
    }
    return {
        "manifests": manifests_of(sum(stores.values(), [])),
        **{name: ancient(paths) for name, paths in stores.items() if paths},
    }


def measured_wide(runs):
    """The same with more eigenpairs at fewer checkpoints, and their baselines, by names of their own."""
    stores = {
        "wide_metrics": [store_of(run, "wide/metrics") for run in runs],
        "wide_baselines": baselines_of(runs, [wide_name(config)]),
    }
    return {
        "manifests": manifests_of(sum(stores.values(), [])),
        **{name: ancient(paths) for name, paths in stores.items()},
    }


def together(*parts):
    """What is read as one: the stores of all parts, and one list of their manifests."""
    manifests = dict.fromkeys(path for part in parts for path in part["manifests"])
    stores = {name: paths for part in parts for name, paths in part.items()}
    return {**stores, "manifests": list(manifests)}


MEASURED = measured(MAIN)
# Claims about more eigenvectors than all checkpoints have rest on the checkpoints that have more.
MOST_RANKS = max(config["claims"]["sensitivity"]["ranks"])
DECIDED = (
    together(MEASURED, measured_wide(MAIN))
    if MOST_RANKS > config["eigenpairs"]["count"]
    else MEASURED
)
