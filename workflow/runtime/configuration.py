"""Configuration files: each checked as a file, and merged into config.yaml as Snakemake merges them."""

import warnings
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError, YAMLWarning
from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

from eigendrift.data.datasets import DATASETS
from eigendrift.errors import UserError, first_line
from eigendrift.extensions.declarations import check_declarations
from eigendrift.extensions.plugins import load_plugins, plugin_files
from eigendrift.stores.arrays import METRICS
from eigendrift.study.check import check_config, check_sizes, ordered, without_unset
from eigendrift.study.schema import completed

WORKFLOW = Path(__file__).resolve().parents[1]
DEFAULT = WORKFLOW.parent / "config.yaml"
SCHEMA = WORKFLOW / "schemas/config.schema.yaml"


def check_file(path: str | Path) -> None:
    """Check a configuration file, YAML or JSON, as a file; Snakemake accepts a key that is there twice.

    Raises:
        UserError: If the file cannot be read, is not UTF-8, is not YAML, is not a mapping, or has a key twice.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise UserError(f"The configuration file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"The configuration file {path} is not UTF-8, at byte {error.start}; save it as UTF-8."
        ) from None
    checker = YAML(typ="safe", pure=True)
    checker.version = (1, 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", YAMLWarning)
            content = checker.load(text)
    except DuplicateKeyError as error:
        key = str(error.problem).partition('"')[2].rpartition('" with value')[0]
        raise UserError(
            f"The configuration file {path} has the key '{key}' twice in one mapping, in line "
            f"{error.problem_mark.line + 1}; delete one of them."
        ) from None
    except (YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or first_line(error)
        raise UserError(f"The configuration file {path} is not YAML: {what}{where}.") from None
    if not isinstance(content, dict):
        raise UserError(f"The configuration file {path} must consist of keys with values, such as 'study: mine'.")


def read_config(path: str | Path) -> dict[str, Any]:
    """Return the content of a configuration file as Snakemake reads it.

    Raises:
        UserError: If the file is wrong as a file, see `check_file`.
    """
    check_file(path)
    try:
        return dict(load_configfile(path))
    except WorkflowError as error:
        raise UserError(f"The configuration file {path} is not valid: {first_line(error)}") from None


def merged(studies: Iterable[str | Path]) -> dict[str, Any]:
    """Return config.yaml with study files merged into it, each over those before; values are not checked.

    Raises:
        UserError: If a file is wrong as a file.
    """
    config = read_config(DEFAULT)
    for study in studies:
        update_config(config, read_config(study))
    return config


def merged_module_config(config: object) -> dict[str, Any]:
    """Return config.yaml with the configuration of a Snakemake module merged into it; values are not checked.

    Raises:
        UserError: If the configuration is not a mapping.
    """
    if not isinstance(config, Mapping):
        raise UserError(
            f"The config of the module is a {type(config).__name__}; it must consist of keys with values, such "
            "as {'study': 'mine'}."
        )
    complete = read_config(DEFAULT)
    update_config(complete, config)
    return complete


def checked(written: Mapping[str, Any]) -> tuple[dict[str, Any], list[Path], dict[str, Any]]:
    """Load the plug-ins of a configuration, and check every value.

    Args:
        written: The configuration as the user wrote it, merged into config.yaml.

    Returns:
        The configuration without unset experiments and with its keys in order, the files of its plug-ins, and the
        schema with what the plug-ins add to it.

    Raises:
        UserError: If a plug-in cannot be loaded, or a key or value is wrong.
    """
    config = without_unset(written)
    plugins = plugin_files(config.get("plugins"))
    load_plugins(plugins)
    schema = yaml.safe_load(SCHEMA.read_text("utf-8"))
    check_declarations(schema["$defs"], [name for array in METRICS.arrays for name in (array.name, *array.dims)])
    check_config(config, schema)
    check_sizes(config, DATASETS)
    if config["figures"]["style"]:
        # matplotlib takes a while to import, and few studies change the style.
        from eigendrift.figures.style import check_style

        check_style(config["figures"]["style"])
    config = ordered(config)
    return config, plugins, completed(schema, config)


def check_workflow_profile(arguments: Sequence[str], started_in: Path) -> None:
    """Refuse a workflow profile that does not exist, which Snakemake ignores.

    Args:
        arguments: The command line of snakemake, without the program.
        started_in: The directory in which snakemake was started.

    Raises:
        UserError: If there is no such profile.
    """
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--workflow-profile")
    name = parser.parse_known_args(arguments)[0].workflow_profile
    if name in (None, "none"):
        return
    profiles = WORKFLOW.parent / "profiles"
    places = [started_in / name, started_in / "profiles" / name, profiles / name]
    if not any(place.exists() for place in places):
        shipped = sorted(path.parent.name for path in profiles.glob("*/config.yaml"))
        raise UserError(
            f"--workflow-profile is {name}, which is neither a path nor one of the workflow's profiles, "
            f"{' and '.join(shipped)}; correct it."
        )
