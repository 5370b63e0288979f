"""What the rules share: the checked configuration, the runs of the study, and the code of jobs.

Consumes config.yaml, the files merged into it, and plug-ins. Produces logs/snakemake.lock and logs/code.json.
"""

import functools
import gc
import logging
import os
import re
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake_interface_executor_plugins.settings import SharedFSUsage

# If another workflow uses eigendrift as a module, workflow.basedir is that workflow's directory.
WORKFLOW = Path(workflow.current_basedir.get_path_or_uri(secret_free=False)).parent
IS_MODULE = not workflow.modifier.is_main_snakefile()
if not (WORKFLOW / "eigendrift").is_dir():
    raise WorkflowError(
        "eigendrift is a library as well as a workflow, so its Snakefile must be on this machine; clone the repository "
        "and give the path of the clone's Snakefile, or give path='workflow/Snakefile', which fetches the repository."
    )
sys.path.insert(0, str(WORKFLOW))

from eigendrift.data.datasets import DATASETS as WHOLE_DATASETS
from eigendrift.errors import UserError
from eigendrift.extensions import (
    Dataset,
    Figure,
    Metric,
    Model,
    NullModel,
    Optimizer,
)
from eigendrift.extensions.registry import known, source_of
from eigendrift.figures.declarations import FIGURES
from eigendrift.null.models import NULL_MODELS
from eigendrift.stores.checksums import checksum_path
from eigendrift.study.captions import caption_of, facts_of, is_wanted, settings_of
from eigendrift.study.check import ordered
from eigendrift.study.runs import (
    WIDE,
    all_runs,
    data_settings,
    null_names,
    null_settings,
    parts_of,
    regimes_settings,
    runs_of,
    runs_of_regimes,
    solver_settings,
    training_settings,
    untrained_names,
    wide_name,
    with_subsets,
)
from eigendrift.training.networks import kind_of
from eigendrift.training.optimizers import is_adaptive
from runtime import code_digest, configuration, lock
from runtime.start import start

# The plan of a large study consists of millions of objects that stay. Looking for garbage among them as often as Python
# does would take a tenth of the planning.
gc.set_threshold(50_000, 20, 50)
# For each line that Snakemake's log has no room for, Python would print a call stack; the terminal shows the line.
logging.raiseExceptions = False

try:
    # Jobs get the configuration that the main process has checked.
    if workflow.is_main_process and not IS_MODULE:
        configuration.check_workflow_profile(sys.argv[1:], Path(workflow.rundir))
        for file in [configuration.DEFAULT, *workflow.configfiles]:
            configuration.check_file(file)
except UserError as error:
    raise WorkflowError(str(error)) from None


configfile: f"{WORKFLOW.parent}/config.yaml"


if IS_MODULE and workflow.modifier.path_modifier.replace_prefix("results/") != "results/":
    raise WorkflowError(
        "eigendrift's results are in results/<study>; leave out prefix and replace_prefix of the module."
    )
try:
    WRITTEN_CONFIG = ordered(configuration.merged_module_config(config) if IS_MODULE else config)
    config, PLUGINS, SCHEMA = configuration.checked(WRITTEN_CONFIG)
except UserError as error:
    raise WorkflowError(str(error)) from None

STUDY = config["study"]
RESULTS_DIRECTORY = Path(f"results/{STUDY}")
DATASETS = with_subsets(config, WHOLE_DATASETS)
RUNS = all_runs(config)
MAIN = runs_of(config, "main")
PRECONDITIONED = [
    run for run in MAIN if is_adaptive(run.optimizer) and run.seed < config["eigenpairs"]["preconditioned_seeds"]
]
NULLS = config["null_models"]["names"]
SHOWN_NULL = config["figures"]["null_model"]
FURTHER_NULLS = [null for null in config["figures"]["further_null_models"] if null != SHOWN_NULL]
MAIN_DATASETS = list(dict.fromkeys(run.dataset for run in MAIN))

# The directory of data files does not change their content, which is verified by checksum. As a parameter, a new
# directory would rerun the whole study; as an environment variable, it reaches the jobs and reruns nothing.
if config["data_dir"] and not os.environ.get("EIGENDRIFT_DATA"):
    os.environ.update(EIGENDRIFT_DATA=str(Path(config["data_dir"]).expanduser().resolve()))


pathvars:
    results=f"results/{STUDY}",


wildcard_constraints:
    dataset="|".join(map(re.escape, DATASETS)),
    model="|".join(map(re.escape, config["models"])),
    null="|".join(null_names(config)),
    run=r"[^/]+/[^/]+/[^/]+/batch[^/]+/seed\d+",


# The code of jobs. A job on a cluster is a snakemake of its own, which takes the digests of the one that submitted it.
SHARES_RESULTS = SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage
try:
    DIGESTS = code_digest.digests_at_start(PLUGINS, [WRITTEN_CONFIG, list(map(str, PLUGINS))])
    if not workflow.is_main_process and SHARES_RESULTS and not IS_MODULE:
        DIGESTS = code_digest.recorded_digests(RESULTS_DIRECTORY, DIGESTS)
except UserError as error:
    raise WorkflowError(str(error)) from None


@functools.cache
def code(script, *modules, plugins=()):
    """Return the digest of a script, the modules that it imports, and plug-ins: a parameter of every rule.

    Listing the files as inputs would lengthen the planning of a large study by half.
    """
    if callable(plugins):
        return by_wildcards(lambda w: code(script, *modules, plugins=plugins(w)), code(script, *modules))
    return code_digest.digest_of(code_digest.code_of(script, modules, plugins), DIGESTS)


def by_wildcards(function, otherwise=()):
    """Return a function of wildcards if the study has plug-ins, else a constant, which is faster to plan."""
    return function if PLUGINS else otherwise


def plugins_of(*extensions):
    """Return the files of plug-ins that extensions, each given by kind and name, come from."""
    sources = dict.fromkeys(source_of(kind, name) for kind, name in extensions)
    return tuple(str(source) for source in sources if source)


def plugins_for_training(w):
    run = run_of(w)
    return plugins_of((Optimizer, run.optimizer), (Model, kind_of(config["models"][run.model])))


def plugins_for_data(w):
    return plugins_of((Dataset, parts_of(w.dataset)[0]))


def plugins_for_null(w):
    """Return the plug-ins of the network, the null model, and the optimizers of its trainings."""
    settings = null_settings(config, w.dataset, w.model, w.null)
    optimizers = [training["optimizer"]["name"] for training in settings["trainings"]]
    return plugins_of(
        (Model, kind_of(config["models"][w.model])),
        (NullModel, settings["null_model"]),
        *((Optimizer, name) for name in optimizers),
    )


def plugins_for_minimum(w):
    return plugins_of((Model, kind_of(config["models"][w.model])))


def plugins_for_metric(w):
    return plugins_of((Metric, w.metric))


def gpus():
    """Return how many GPUs a job needs: one if the study may use one and this machine has one."""
    wanted = config["device"]
    present = shutil.which("nvidia-smi") is not None
    return int(wanted.startswith("cuda") or (wanted == "auto" and present))


def run_of(w):
    """Return the run that wildcards name."""
    if w.run not in RUNS:
        raise WorkflowError(f"The study {STUDY} has no run {w.run}; `snakemake --summary` lists all runs.")
    return RUNS[w.run]


def store_of(run, kind):
    return f"results/{STUDY}/runs/{run.directory}/{kind}.zarr"


def trajectories_of_optimizer(w):
    """Return the trajectories of all seeds of one optimizer in the main experiment."""
    wanted = (w.dataset, w.model, w.optimizer)
    return [store_of(run, "trajectory") for run in MAIN if (run.dataset, run.model, run.optimizer) == wanted]


def trajectories_to_permute(w):
    """Return the trajectories whose final weights a null model permutes; none for other null models."""
    model = NULL_MODELS.get(w.null.removeprefix(WIDE))
    # Null models of untrained networks have a prefix of their own, and read no trajectory.
    if model is None or not model.needs_ends:
        return []
    return [store_of(run, "trajectory") for run in MAIN if (run.dataset, run.model) == (w.dataset, w.model)]


def plugin_stores(metrics):
    """Return the stores of metrics that plug-ins declare, for all runs of the main experiment."""
    return [store_of(run, f"plugins/{metric}") for metric in metrics for run in MAIN]


def baselines_of(runs, nulls):
    """Return the stores of measured null models for the data sets and networks of some runs."""
    return list(
        dict.fromkeys(
            f"results/{STUDY}/null/{run.dataset}/{run.model}/{null}-baseline.zarr" for run in runs for null in nulls
        )
    )


def manifests_of(stores):
    """Return the manifests next to stores; their content decides reruns, which a directory's time stamp cannot."""
    return [store.removesuffix(".zarr") + ".json" for store in stores]


def checksums_of(*tables):
    """Return the checksum files next to tables that a later stage reads."""
    return [str(checksum_path(Path(table))) for table in tables]


# Null models and runs that several rules read.
BASELINES = baselines_of(MAIN, NULLS)


if workflow.is_main_process and (process := lock.holder(RESULTS_DIRECTORY)):
    # Snakemake's own refusal follows; it advises to unlock, because it does not know that someone is working.
    logger.warning(lock.refusal(RESULTS_DIRECTORY, process))


onstart:
    if workflow.is_main_process:
        try:
            start(workflow, RESULTS_DIRECTORY, DIGESTS)
        except UserError as error:
            raise WorkflowError(str(error)) from None
