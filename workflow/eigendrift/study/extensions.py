"""The configuration's schema with what extensions add to it: their names and their settings."""

import copy
from collections.abc import Mapping
from typing import Any

from eigendrift.data.datasets import DATASETS
from eigendrift.errors import UserError
from eigendrift.null.models import NULL_MODELS
from eigendrift.training.networks import DEFAULT_KIND, MODELS
from eigendrift.training.optimizers import OPTIMIZERS

RATE = {"learning_rate": {"$ref": "#/$defs/learning_rate"}}


def completed(schema: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema that a configuration has to meet.

    Args:
        schema: The schema as it is written down, which knows no extension by name.
        config: The configuration, not checked yet: what its networks may set depends on their kind.

    Raises:
        UserError: A network is of a kind that does not exist.
    """
    complete: dict[str, Any] = copy.deepcopy(dict(schema))
    keys = complete["properties"]
    keys["experiments"]["additionalProperties"]["properties"]["datasets"]["items"] = {"enum": list(DATASETS)}
    keys["optimizers"]["properties"] = {
        name: _group({**RATE, **spec.settings}, spec.description) for name, spec in OPTIMIZERS.items()
    }
    keys["models"]["properties"] = _networks(config.get("models"))
    nulls = keys["null_models"]["properties"]
    nulls["names"]["items"] = {"enum": list(NULL_MODELS)}
    draws = nulls["draws"]
    for name, facts in NULL_MODELS.items():
        draws["properties"].setdefault(
            name, {"description": f"{facts.draws.format('Number of')}.", "$ref": "#/$defs/draws"}
        )
    draws["required"] = [*draws["required"], *_further_nulls(config, draws["required"])]
    return complete


def _networks(models: Any) -> dict[str, Any]:
    """Return what each network of a configuration may set."""
    found = {}
    for name, settings in models.items() if isinstance(models, Mapping) else ():
        kind = settings.get("kind", DEFAULT_KIND) if isinstance(settings, Mapping) else DEFAULT_KIND
        if not isinstance(kind, str) or kind not in MODELS:
            raise UserError(
                f"Config key 'models.{name}.kind' is {kind!r}, expected one of {', '.join(MODELS)}; add the "
                "plug-in that has it to 'plugins', or choose another."
            )
        chosen = {"kind": {"description": f"Kind of the network, by default {DEFAULT_KIND}.", "const": kind}}
        group = _group(chosen | dict(MODELS[kind].settings), "A network.")
        group["required"].remove("kind")
        found[str(name)] = group
    return found


def _group(settings: Mapping[str, Any], description: str) -> dict[str, Any]:
    return {
        "description": description,
        "type": "object",
        "additionalProperties": False,
        "required": list(settings),
        "properties": dict(settings),
    }


def _further_nulls(config: Mapping[str, Any], required: list[str]) -> list[str]:
    """Return the null models of plug-ins that a configuration names, which need a number of draws, too."""
    named = config.get("null_models")
    names = named.get("names") if isinstance(named, Mapping) else None
    listed = names if isinstance(names, list) else []
    return [name for name in NULL_MODELS if name in listed and name not in required]
