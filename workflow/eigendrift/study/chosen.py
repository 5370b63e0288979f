"""Which experiments a study has: files laid over each other merge, so one of them can only be unset."""

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
