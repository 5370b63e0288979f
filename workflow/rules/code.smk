"""The code that jobs run, as a parameter of each: the library's modules and plug-ins, by what it uses of them.

Consumes and produces nothing.
"""

import hashlib

from eigendrift.extensions.plugins import package_of
from imports import Imports

IMPORTS = Imports([WORKFLOW / "scripts", WORKFLOW])


def code(script, *modules, plugins=()):
    """A digest of the script of a stage, of every library module that it imports, also indirectly, and of plug-ins.

    As a parameter it reruns its stage when their content changes, also while its job runs, and only then; as inputs
    of every job, files would take half of the time in which a large study is planned. Modules that the script
    chooses while it runs are given by name; plug-ins as they are, or as a function of wildcards.
    """
    if callable(plugins):
        return of_job(
            lambda w: digest_of((script, *modules), plugins(w)),
            digest_of((script, *modules)),
        )
    return digest_of((script, *modules), plugins)


def of_job(function, otherwise=()):
    """A parameter that depends on the plug-ins of a job; without any in the study nobody has to ask for each job."""
    return function if PLUGINS else otherwise


@functools.cache
def digest_of(modules, plugins=()):
    digests = {content_of(file) for file in files_of(modules, plugins)}
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


@functools.cache
def content_of(file):
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def files_of(modules, plugins=()):
    """The files of modules and of plug-ins, and of all that they import from the library or from beside them."""
    for file in map(Path, plugins):
        IMPORTS.add_package(package_of(file), file.parent)
    plugged = [f"{package_of(file)}.{file.stem}" for file in map(Path, plugins)]
    return IMPORTS.files([*modules, *plugged])
