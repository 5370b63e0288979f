"""The code that jobs run, as inputs: the library's modules and plug-ins, by what each job uses of them.

Consumes and produces nothing.
"""

from modulefinder import ModuleFinder

from eigendrift.extensions.plugins import package_of


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
