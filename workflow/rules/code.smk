"""The code that jobs run, as a parameter of each: the library's modules and plug-ins, by what it uses of them.

Consumes and produces nothing.
"""

import hashlib

import unedited
from eigendrift.extensions.plugins import package_of
from imports import Imports

IMPORTS = Imports([WORKFLOW / "scripts", WORKFLOW])

# Each job on a cluster reads these, and makes conda's environments.
READ_AGAIN = [
    WORKFLOW.parent / "Snakefile",
    *WORKFLOW.rglob("*.smk"),
    *WORKFLOW.glob("schemas/*"),
    *WORKFLOW.parent.glob("envs/*.yaml"),
]


def code(script, *modules, plugins=()):
    """A digest of the script of a stage, of every library module that it imports, also indirectly, and of plug-ins.

    As a parameter it reruns its stage when their content is another than when the Snakemake that made it began, and
    only then: jobs run no other (workflow/unedited.py). As inputs of every job, files would take a third of the time
    in which a large study is planned. Modules that the script chooses while it runs are given by name; plug-ins as
    they are, or as a function of wildcards.
    """
    if callable(plugins):
        return of_job(
            lambda w: digest_of((script, *modules), plugins(w)),
            digest_of((script, *modules)),
        )
    return digest_of((script, *modules), plugins)


def of_job(function, otherwise=()):
    """A function of wildcards if the study has plug-ins, else a constant, which a thousand jobs need not ask for."""
    return function if PLUGINS else otherwise


@functools.cache
def digest_of(modules, plugins=()):
    """A digest of names and contents of all their files, wherever the clone and the plug-ins lie."""
    contents = sorted(content_of(file) for file in files_of(modules, plugins))
    return hashlib.sha256(repr(contents).encode()).hexdigest()


@functools.cache
def content_of(file):
    """What a file is called, in the workflow or beside a plug-in, and a digest of what it holds."""
    name = unedited.name_of(file)
    own = Path(file).is_relative_to(WORKFLOW)
    return name if own else Path(file).name, BEGAN_WITH[name]


def files_of(modules, plugins=()):
    """The files of modules and of plug-ins, and of all that they import from the library or from beside them."""
    for file in map(Path, plugins):
        IMPORTS.add_package(package_of(file), file.parent)
    plugged = [f"{package_of(file)}.{file.stem}" for file in map(Path, plugins)]
    return IMPORTS.files([*modules, *plugged])


def beside(plugins):
    """What plug-ins may import without that it is seen, by names that they make up while they run."""
    places = {file.parent for file in map(Path, plugins)}
    return [
        file
        for place in places
        for find in ("*.py", "*/*.py")
        for file in place.glob(find)
    ]


# All that this snakemake begins with; rules come later and ask for parts of it.
BEGAN_WITH = unedited.digests_of(
    [
        *READ_AGAIN,
        *WORKFLOW.rglob("*.py"),
        *map(Path, files_of((), PLUGINS)),
        *beside(PLUGINS),
    ],
    [WRITTEN, PLUGINS],
)
