"""Refuse a wrong configuration with one sentence, before any job starts."""

import difflib
import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match

from eigendrift.errors import UserError

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
    "maximum": "of at most {}",
    "exclusiveMinimum": "above {}",
    "exclusiveMaximum": "below {}",
    "minItems": "of at least {} items",
    "minProperties": "with at least {} entries",
    "uniqueItems": "without repetitions",
    "pattern": "that matches {}",
}


def check_config(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Check a study's configuration against the schema and against itself.

    Args:
        config: The configuration, all files merged.
        schema: The JSON schema.

    Raises:
        UserError: Names the first key that is wrong, what it is and what is allowed.
    """
    error = best_match(Draft202012Validator(schema).iter_errors(config))
    if error is not None:
        raise UserError(_sentence(error))
    _check_references(config)
    training = config["training"]
    if (count := training["checkpoints"]["count"]) > training["steps"] + 1:
        raise UserError(
            f"Config key 'training.checkpoints.count' is {count}, but a run of {training['steps']} steps has "
            f"only {training['steps'] + 1} moments to look at; lower it or raise 'training.steps'."
        )
    solver = config["eigenpairs"]
    if solver["basis_size"] < 2 * solver["count"] + 4:
        raise UserError(
            f"Config key 'eigenpairs.basis_size' is {solver['basis_size']}, expected at least "
            f"2 × count + 4 = {2 * solver['count'] + 4}; raise it or lower 'eigenpairs.count'."
        )


def _check_references(config: Mapping[str, Any]) -> None:
    for name, experiment in config["experiments"].items():
        for optimizer in experiment["optimizers"]:
            _check_known(f"experiments.{name}.optimizers", optimizer, config["optimizers"], "optimizers")
        _check_known(f"experiments.{name}.model", experiment["model"], config["models"], "models")
    names = config["null_models"]["names"]
    _check_known("figures.null_model", config["figures"]["null_model"], names, "null_models.names")


def _check_known(key: str, name: str, known: Any, where: str) -> None:
    if name not in known:
        raise UserError(
            f"Config key '{key}' names '{name}', which '{where}' does not define; expected one of "
            f"{_listing(known)}."
        )


def _sentence(error: ValidationError) -> str:
    schema: Any = error.schema
    instance: Any = error.instance
    match error.validator:
        case "additionalProperties":
            return _about_unknown_key(error, list(schema["properties"]))
        case "required":
            missing = next(key for key in schema["required"] if key not in instance)
            return f"Config key '{_key(error, missing)}' is missing; add it as config.yaml shows."
        case "pattern" if error.parent is not None:
            return (
                f"Config key '{_key(error, instance)}' has a name that is not allowed, expected lower-case "
                f"letters, digits, '-' and '_' as in {schema['pattern']}; rename it."
            )
        case _:
            found = f"Config key '{_key(error)}' is {_shown(instance)}, expected {_expected(schema)}"
            return f"{found}{_hint(instance)}."


def _about_unknown_key(error: ValidationError, allowed: list[str]) -> str:
    instance: Any = error.instance
    unknown = next(key for key in instance if key not in allowed)
    close = difflib.get_close_matches(str(unknown), allowed, n=1)
    hint = f"did you mean '{close[0]}'? Allowed here" if close else "allowed here"
    return f"Config key '{_key(error, unknown)}' is not known; {hint}: {_listing(allowed)}."


def _key(error: ValidationError, *more: object) -> str:
    return ".".join(map(str, (*error.absolute_path, *more))) or "(the whole file)"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def _listing(values: Any) -> str:
    return ", ".join(map(str, values))


def _expected(schema: Mapping[str, Any]) -> str:
    if "oneOf" in schema:
        return " or ".join(_expected(alternative) for alternative in schema["oneOf"])
    if "const" in schema:
        return _shown(schema["const"])
    if "enum" in schema:
        return f"one of {_listing(schema['enum'])}"
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    words = " or ".join(TYPES[name] for name in types)
    limits = [text.format(schema[name]) for name, text in LIMITS.items() if name in schema]
    return " ".join([words, *limits])


def _hint(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    return f"; YAML reads {value} as text, write it without quotes and with a dot, such as 1.0e-3"
