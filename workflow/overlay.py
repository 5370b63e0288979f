"""Configuration files: each read and checked as a file, and laid over config.yaml as snakemake lays them."""

import json
from argparse import ArgumentParser
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

from eigendrift.errors import UserError

DEFAULT = Path(__file__).resolve().parents[1] / "config.yaml"
MERGE = "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """Takes each key once, where YAML's own would keep the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != MERGE]
        _check_once(keys)
        return super().construct_mapping(node, deep)


def read_config(path: str | Path) -> dict[str, Any]:
    """Read a configuration file, JSON or YAML.

    Raises:
        UserError: It is not there, is not UTF-8, is neither JSON nor YAML, has no keys, or a key twice.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise UserError(f"The configuration file {path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"The configuration file {path} is not UTF-8, at byte {error.start}; save it as UTF-8."
        ) from None
    try:
        content = _parsed(text)
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"The configuration file {path} is not YAML: {_spoken(error)}.") from None
    except UserError as error:
        raise UserError(f"In the configuration file {path}, {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"The configuration file {path} has to hold keys with values, such as 'study: mine'.")
    return content


def laid_over_default(studies: Iterable[str | Path]) -> dict[str, Any]:
    """Return config.yaml with studies laid over it, each over those before; values are not checked.

    Raises:
        UserError: A file is wrong as a file.
    """
    config = read_config(DEFAULT)
    for study in studies:
        update_config(config, read_config(study))
    return config


def over_default(config: object) -> dict[str, Any]:
    """Return config.yaml with the configuration of a module laid over it; values are not checked.

    Raises:
        UserError: If the configuration is no mapping.
    """
    if not isinstance(config, Mapping):
        raise UserError(
            f"The config of the module is a {type(config).__name__}, expected keys with values, such as "
            "{'study': 'mine'}."
        )
    complete = read_config(DEFAULT)
    update_config(complete, config)
    return complete


def check_workflow_profile(arguments: Sequence[str], started_in: Path, clone: Path) -> None:
    """Refuse a workflow profile that does not exist, which Snakemake ignores.

    Args:
        arguments: The command line, without the program.
        started_in: The directory that Snakemake was started in.
        clone: The directory of the Snakefile.

    Raises:
        UserError: If there is no such profile.
    """
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--workflow-profile")
    name = parser.parse_known_args(arguments)[0].workflow_profile
    if name in (None, "none"):
        return
    places = [started_in / name, started_in / "profiles" / name, clone / "profiles" / name]
    if not any(place.exists() for place in places):
        shipped = sorted(path.parent.name for path in (clone / "profiles").glob("*/config.yaml"))
        raise UserError(
            f"--workflow-profile is {name}, which is neither a path nor one of the workflow's profiles, "
            f"{' and '.join(shipped)}; correct it."
        )


def _parsed(text: str) -> Any:
    # JSON first, as snakemake does: with tabs it is no YAML.
    try:
        return json.loads(text, object_pairs_hook=_group)
    except ValueError:
        return _Loader(text).get_single_data()


def _group(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    _check_once([key for key, _ in pairs])
    return dict(pairs)


def _check_once(keys: Sequence[Any]) -> None:
    for place, key in enumerate(keys):
        if key in keys[:place]:
            raise UserError(f"key '{key}' stands twice in one group; leave one out.")


def _spoken(error: Exception) -> str:
    """Return what is wrong and where, without the lines that show it."""
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or error}{where}".replace("\n", " ")
