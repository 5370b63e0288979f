"""What jobs take from plug-ins: which file an optimizer, a network, a data set, a null model, a metric or a figure comes from.

Consumes and produces nothing.
"""

from eigendrift.extensions import (
    Dataset,
    Figure,
    Metric,
    Model,
    NullModel,
    Optimizer,
)
from eigendrift.extensions.registry import known, source_of
from eigendrift.training.networks import kind_of


def plugins_of(*used):
    """The plug-ins that some extensions, each given by kind and name, come from; most come from none."""
    sources = dict.fromkeys(source_of(kind, name) for kind, name in used)
    return tuple(str(source) for source in sources if source)


def model_of(name):
    """What network a name from ``models`` stands for, as an extension."""
    return Model, kind_of(config["models"][name])


def plugins_for_data(w):
    return plugins_of((Dataset, parts_of(w.dataset)[0]))


def plugins_for_training(w):
    run = run_of(w)
    return plugins_of((Optimizer, run.optimizer), model_of(run.model))


def plugins_for_null(w):
    """The network, the null model, and what its trainings are made with."""
    settings = null_settings(config, w.dataset, w.model, w.null)
    trained = [
        (Optimizer, training["optimizer"]["name"]) for training in settings["trainings"]
    ]
    return plugins_of(model_of(w.model), (NullModel, settings["null_model"]), *trained)


def plugins_for_minimum(w):
    return plugins_of(model_of(w.model))


def plugins_for_metric(w):
    return plugins_of((Metric, w.metric))


def plugin_stores(metrics):
    """The stores of metrics of plug-ins, of all runs of the main experiment."""
    return [store_of(run, f"plugins/{metric}") for metric in metrics for run in MAIN]


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


NULL_PLUGINS = plugins_of(*((NullModel, name) for name in NULLS))
# Which lines optimizers and null models of plug-ins have depends on all of the study.
USED = list(dict.fromkeys(run.optimizer for run in RUNS.values()))
STYLED = {
    "optimizers": USED if plugins_of(*((Optimizer, name) for name in USED)) else [],
    "null_models": NULLS if NULL_PLUGINS else [],
}
