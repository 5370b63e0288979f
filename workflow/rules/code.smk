"""The code that jobs run, as inputs: the library's modules and plug-ins, by what each job uses of them.

Consumes and produces nothing.
"""

from eigendrift.extensions.plugins import package_of
from imports import Imports

IMPORTS = Imports([WORKFLOW / "scripts", WORKFLOW])


@functools.cache
def code(script, *modules):
    """The script of a stage and every library module that it imports, also indirectly.

    As inputs they rerun their stage when their content changes, and only then. Modules that the script chooses
    while it runs are given by name.
    """
    return [from_here(file) for file in IMPORTS.files([script, *modules])]


@functools.cache
def plugin_code(plugins):
    """The same of plug-ins, which import what lies beside them, and modules of the library."""
    for file in map(Path, plugins):
        IMPORTS.add_package(package_of(file), file.parent)
    return [
        from_here(file)
        for file in IMPORTS.files(
            [f"{package_of(file)}.{file.stem}" for file in map(Path, plugins)]
        )
    ]


def from_here(file):
    """The path of a file, as rules have paths: from the working directory where it lies below it."""
    relative = os.path.relpath(file)
    return os.path.abspath(file) if relative.startswith(os.pardir) else relative
