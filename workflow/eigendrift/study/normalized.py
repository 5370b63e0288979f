"""The configuration in one form: without unset experiments, its keys in one order."""

from collections.abc import Mapping
from typing import Any

from eigendrift.errors import UserError


def without_unset(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration without the experiments that are null in it, which a study leaves out.

    Args:
        config: The configuration, all files merged, before it is checked.

    Raises:
        UserError: The main experiment is null.
    """
    experiments = config.get("experiments")
    if not isinstance(experiments, Mapping):
        return dict(config)
    if experiments.get("main", {}) is None:
        raise UserError(
            "Config key 'experiments.main' is null, which leaves an experiment out, but no study can do "
            "without this one; remove the line."
        )
    chosen = {name: experiment for name, experiment in experiments.items() if experiment is not None}
    return {**config, "experiments": chosen}


def ordered(value: Any) -> Any:
    """Return a configuration with its keys in alphabetical order at every level; lists keep theirs.

    Settings become parameters of jobs and parts of manifests, where another order would look like a change.
    """
    if isinstance(value, dict):
        return {key: ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [ordered(item) for item in value]
    return value
