"""The schema of a configuration, with what extensions add to it, and the sentences about mistakes."""

import copy
import difflib
import json
import math
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import relevance
from jsonschema.validators import extend

from eigendrift.data.datasets import DATASETS
from eigendrift.errors import UserError
from eigendrift.null.models import NULL_MODELS
from eigendrift.training.networks import DEFAULT_KIND, MODELS
from eigendrift.training.optimizers import OPTIMIZERS


def completed(schema: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a configuration, with the names and settings of all extensions.

    Args:
        schema: The schema file, which names no extension.
        config: The configuration, not checked yet: the settings of its networks depend on their kind.

    Raises:
        UserError: If a network's kind does not exist.
    """
    complete: dict[str, Any] = copy.deepcopy(dict(schema))
    keys = complete["properties"]
    keys["experiments"]["additionalProperties"]["properties"]["datasets"]["items"] = {"enum": list(DATASETS)}
    rate = {"learning_rate": {"$ref": "#/$defs/learning_rate"}}
    keys["optimizers"]["properties"] = {
        name: _group({**rate, **spec.settings}, spec.description) for name, spec in OPTIMIZERS.items()
    }
    keys["models"]["properties"] = _networks(config.get("models"))
    nulls = keys["null_models"]["properties"]
    nulls["names"]["items"] = {"enum": list(NULL_MODELS)}
    draws = nulls["draws"]
    for name, facts in NULL_MODELS.items():
        draws["properties"].setdefault(
            name, {"description": f"{facts.draws.format('Number of')}.", "$ref": "#/$defs/draws"}
        )
    # Null models of plug-ins need a number of draws, too, if the study has them.
    named = config.get("null_models")
    listed = named.get("names") if isinstance(named, Mapping) else None
    if isinstance(listed, list):
        draws["required"] += [name for name in NULL_MODELS if name in listed and name not in draws["required"]]
    return complete


def _networks(models: Any) -> dict[str, Any]:
    """Return the settings of each network of a configuration."""
    found = {}
    for name, settings in models.items() if isinstance(models, Mapping) else ():
        kind = settings.get("kind", DEFAULT_KIND) if isinstance(settings, Mapping) else DEFAULT_KIND
        if not isinstance(kind, str) or kind not in MODELS:
            raise UserError(
                f"Config key 'models.{name}.kind' is {kind!r}, expected one of {', '.join(MODELS)}; add a "
                "plug-in that declares it to 'plugins', or choose another."
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


LONGEST_SHOWN = 80
TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "an integer",
    "null": "null",
    "number": "a number",
    "object": "a group of keys",
    "string": "text",
}
LIMITS = {
    "minimum": "of at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minItems": "with {} or more entries",
    "uniqueItems": "without repetitions",
    "minProperties": "with {} or more entries",
}


def _is_integer(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(_: object, value: object) -> bool:
    return _is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


# In JSON schema 3.0 is an integer, but Python's range refuses it; and YAML has .nan and .inf.
_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_integer, "number": _is_number}),
)


def check_schema(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Check a configuration against the schema alone.

    Args:
        config: The configuration, all files merged.
        schema: The JSON schema.

    Raises:
        UserError: If a key is wrong; names the key, its value and what is allowed.
    """
    if isinstance(claims := config.get("claims"), Mapping) and "lag" in claims:
        raise UserError("Config key 'claims.lag' is now 'metrics.lag'; move its value there and delete 'claims.lag'.")
    if errors := list(_Validator(schema).iter_errors(config)):
        raise UserError(_sentence(max(errors, key=_relevance)))


def _relevance(error: ValidationError) -> Any:
    # Equally relevant errors are compared by their paths, whose keys may not be text.
    key: Any = relevance(error)
    return key[0], tuple(map(str, key[1])), *key[2:]


def _sentence(error: ValidationError) -> str:
    schema: Any = error.schema
    instance: Any = error.instance
    match error.validator:
        case "additionalProperties":
            return _about_unknown_key(error, list(schema["properties"]))
        case "required":
            missing = next(key for key in schema["required"] if key not in instance)
            how = _what_to_add(schema.get("properties", {}).get(missing, {}))
            return f"Config key '{_key(error, missing)}' is missing{how}"
        case _ if "propertyNames" in error.absolute_schema_path:
            key = _key(error, instance)
            return f"Config key '{key}' has a name that is not allowed, expected {schema['title']}; rename it."
        case _:
            expected = expected_values(schema)
            verb = "contains" if error.path and isinstance(error.path[-1], int) else "is"
            found = f"Config key '{_key(error)}' {verb} {shown(instance)}, expected {expected}"
            return f"{found}{_hint(instance, expected)}."


def _about_unknown_key(error: ValidationError, allowed: list[str]) -> str:
    instance: Any = error.instance
    unknown = next(key for key in instance if key not in allowed)
    close = difflib.get_close_matches(str(unknown), allowed, n=1)
    hint = f"did you mean '{close[0]}'? Allowed here" if close else "allowed here"
    more = ", and the optimizers of 'plugins'" if _key(error) == "optimizers" else ""
    return f"Config key '{_key(error, unknown)}' is not known; {hint}: {listing(allowed)}{more}."


def _key(error: ValidationError, *more: object) -> str:
    names = [part for part in error.absolute_path if not isinstance(part, int)]
    return ".".join(map(str, (*names, *more)))


def shown(value: Any) -> str:
    """Return a value as a message shows it, cut where it is long."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def listing(values: Any) -> str:
    """Return values as a message lists them."""
    return ", ".join(map(str, values))


def expected_values(schema: Mapping[str, Any]) -> str:
    """Return the values that a schema allows, as a message or the reference of keys names them."""
    if "oneOf" in schema:
        return " or ".join(expected_values(alternative) for alternative in schema["oneOf"])
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return f"one of {listing(schema['enum'])}"
    if "title" in schema:
        return str(schema["title"])
    if "type" not in schema:
        return f"a value that fits its schema, {shown(schema)}"
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    limits = " and ".join(text.format(schema[name]) for name, text in LIMITS.items() if name in schema)
    return f"{' or '.join(TYPES[name] for name in types)} {limits}".rstrip()


def _what_to_add(schema: Mapping[str, Any]) -> str:
    """Return the end of a sentence about a missing key. A plug-in's keys are not in config.yaml."""
    if {"oneOf", "const", "enum", "title"} & set(schema) or schema.get("type", "object") != "object":
        return f", expected {expected_values(schema)}; add it."
    if "$ref" in schema and "description" in schema:
        return f": {schema['description']} Add it."
    return "; add it as config.yaml shows."


def _hint(value: Any, expected: str) -> str:
    """Return how to write a number that is given as text or as 3.0; empty for other mistakes."""
    try:
        number = float(value) if isinstance(value, str | float) else math.nan
    except ValueError:
        return ""
    whole = "integer" in expected and number.is_integer()
    if not math.isfinite(number) or not (whole or "number" in expected):
        return ""
    text = str(int(number)) if whole else repr(number)
    if isinstance(value, str):
        # Without a dot, YAML would read 1e-08 as text again.
        dotted = text if "." in text else text.replace("e", ".0e")
        # Snakemake turns numbers inside a --config value into text.
        return f"; it is read as text, write {dotted} without quotes and in a file, not after --config"
    return f"; write {text}" if whole else ""
