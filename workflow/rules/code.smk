"""The code that jobs run, as inputs: the library's modules and plug-ins, by what each job uses of them.

Consumes and produces nothing.
"""

from modulefinder import ModuleFinder

from eigendrift.extensions import (
    Dataset,
    Figure,
    Metric,
    Model,
    NullModel,
    Optimizer,
)
from eigendrift.extensions.plugins import package_of
from eigendrift.extensions.registry import known, source_of
from eigendrift.training.networks import kind_of


@functools.cache
def code(script, *modules):
    """The script of a stage and every library module that it imports, also indirectly.

    As inputs they rerun their stage when their content changes, and only then. Modules that the script chooses
    while it runs are given by name.
    """
    finder = ModuleFinder(path=[str(WORKFLOW / "scripts"), str(WORKFLOW)])
    finder.run_script(str(WORKFLOW / "scripts" / f"{script}.py"))
    for module in modules:
        finder.import_hook(module)
    return files_of(finder)


@functools.cache
def plugin_code(plugins):
    """The same of plug-ins, which import what lies beside them, and modules of the library."""
    finder = ModuleFinder(path=[str(WORKFLOW)])
    for file in map(Path, plugins):
        package = finder.add_module(package_of(file))
        package.__path__ = [str(file.parent)]
        finder.import_hook(f"{package_of(file)}.{file.stem}")
    return files_of(finder)


def files_of(finder):
    """The files of what was found, as rules have paths: from the working directory where they lie below it."""
    files = (module.__file__ for module in finder.modules.values())
    return sorted(from_here(file) for file in files if file)


def from_here(file):
    relative = os.path.relpath(file)
    return os.path.abspath(file) if relative.startswith(os.pardir) else relative


def plugins_of(*used):
    """The plug-ins that some extensions, each given by kind and name, come from; most come from none."""
    sources = dict.fromkeys(source_of(kind, name) for kind, name in used)
    return tuple(str(source) for source in sources if source)


def model_of(name):
    """What network a name from ``models`` stands for, as an extension."""
    return Model, kind_of(config["models"][name])


def plugins_for_data(w):
    return plugins_of((Dataset, parts_of(w.dataset)[0]))


def plugins_for_training(run):
    return plugins_of((Optimizer, run.optimizer), model_of(run.model))


def plugins_for_null(w):
    """The network, the null model, and what its trainings are made with."""
    settings = null_settings(config, w.dataset, w.model, w.null)
    trained = [
        (Optimizer, training["optimizer"]["name"]) for training in settings["trainings"]
    ]
    return plugins_of(model_of(w.model), (NullModel, settings["null_model"]), *trained)
