"""Refuse a wrong configuration with one sentence, before any job starts."""

import difflib
import json
import math
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import relevance
from jsonschema.validators import extend

from eigendrift.errors import UserError
from eigendrift.study.facts import widths_of
from eigendrift.study.nulls import NULL_MODELS
from eigendrift.study.runs import all_runs, parameters_of, runs_of, steps_key, steps_of
from eigendrift.study.subsets import DatasetFacts, with_subsets
from eigendrift.study.training_sizes import NAME as TRAINING_SIZES
from eigendrift.study.training_sizes import check_subsets, check_training_sizes

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


# JSON schema takes 3.0 for an integer, which Python's range does not, and YAML knows .nan and .inf.
_Validator = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


def check_config(config: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Check a study's configuration against the schema and against itself.

    Args:
        config: The configuration, all files merged.
        schema: The JSON schema.

    Raises:
        UserError: Names the first key that is wrong, what it is and what is allowed.
    """
    if errors := list(_Validator(schema).iter_errors(config)):
        raise UserError(_sentence(max(errors, key=relevance)))
    _check_references(config)
    _check_null_models(config)
    _check_sweeps(config)
    check_training_sizes(config)
    _check_lengths(config)
    solver = config["eigenpairs"]
    key = max("count", "wide_count", key=lambda name: solver[name])
    for limit, least, formula in (
        ("basis_size", 2 * solver[key] + 4, f"2 × {key} + 4"),
        ("max_products", 2 * solver[key], f"2 × {key}"),
    ):
        if solver[limit] < least:
            raise UserError(
                f"Config key 'eigenpairs.{limit}' is {solver[limit]}, expected at least {formula} = {least}; "
                f"raise it or lower 'eigenpairs.{key}'."
            )


def check_sizes(config: Mapping[str, Any], datasets: Mapping[str, DatasetFacts]) -> None:
    """Check that batches and the Hessian's sample fit into the training sets, and eigenpairs into networks.

    Args:
        config: A configuration that `check_config` accepts.
        datasets: What is known of each whole data set.

    Raises:
        UserError: Names the key, its value and the data set or network that is too small.
    """
    check_subsets(config, datasets)
    datasets = with_subsets(config, datasets)
    sizes = [
        (f"experiments.{name}.batch_size", run.batch_size, "full", run.dataset)
        for name in config["experiments"]
        for run in runs_of(config, name)
    ]
    sizes += [
        ("eigenpairs.samples", config["eigenpairs"]["samples"], "all", dataset)
        for dataset in dict.fromkeys(run.dataset for run in all_runs(config).values())
    ]
    for key, size, everything, dataset in sizes:
        if isinstance(size, int) and size > (samples := datasets[dataset].training_samples):
            raise UserError(
                f"Config key '{key}' asks for {size}, but the training set of {dataset} has "
                f"{samples} samples; lower it or set it to '{everything}'."
            )
    for model, dataset in dict.fromkeys((run.model, run.dataset) for run in all_runs(config).values()):
        parameters = parameters_of(widths_of(config, model, datasets[dataset]))
        for key in ("count", "wide_count"):
            if (pairs := config["eigenpairs"][key]) > parameters:
                raise UserError(
                    f"Config key 'eigenpairs.{key}' asks for {pairs} eigenpairs, but {model} has only "
                    f"{parameters} parameters on {dataset}; lower it."
                )


def _check_lengths(config: Mapping[str, Any]) -> None:
    """Check that the shortest run is long enough for its checkpoints, and the last has many eigenpairs."""
    count = config["training"]["checkpoints"]["count"]
    shortest = min(all_runs(config).values(), key=lambda run: steps_of(config, run))
    if count > (steps := steps_of(config, shortest)) + 1:
        raise UserError(
            f"Config key 'training.checkpoints.count' is {count}, but with batch size {shortest.batch_size} "
            f"a run of {steps} steps has only {steps + 1} moments to look at; lower it or raise "
            f"'training.{steps_key(config, shortest)}'."
        )
    if (count - 1) % (every := config["eigenpairs"]["wide_every"]):
        raise UserError(
            f"Config key 'eigenpairs.wide_every' is {every}, expected a divisor of {count - 1}, the "
            f"number of intervals between checkpoints; set it to {math.gcd(every, count - 1)} or "
            f"'training.checkpoints.count' to {(count - 1) // every * every + every + 1}."
        )


def _check_references(config: Mapping[str, Any]) -> None:
    for name, experiment in config["experiments"].items():
        for optimizer in experiment["optimizers"]:
            _check_known(f"experiments.{name}.optimizers", optimizer, config["optimizers"], "optimizers")
        _check_known(f"experiments.{name}.model", experiment["model"], config["models"], "models")
        for optimizer in experiment.get("learning_rate", {}):
            _check_known(f"experiments.{name}.learning_rate", optimizer, config["optimizers"], "optimizers")
    names = config["null_models"]["names"]
    _check_known("figures.null_model", config["figures"]["null_model"], names, "null_models.names")
    for name in config["figures"]["further_null_models"]:
        _check_known("figures.further_null_models", name, names, "null_models.names")


def _check_null_models(config: Mapping[str, Any]) -> None:
    """Check that null models of trained networks have such networks, and draws enough for a displacement."""
    main, nulls = config["experiments"]["main"], config["null_models"]
    least, shown = 2 * len(main["optimizers"]), config["figures"]["null_model"]
    drawn = {**{name: name for name in nulls["names"]}, "wide": shown}
    for name, model in drawn.items():
        if NULL_MODELS[model].of_training and nulls["draws"][name] < least:
            raise UserError(
                f"Config key 'null_models.draws.{name}' is {nulls['draws'][name]}, expected at least two for "
                f"each optimizer of the main experiment, {least}; raise it."
            )
    for name, experiment in config["experiments"].items():
        known = experiment["model"] == main["model"] and experiment["datasets"][0] in main["datasets"]
        # Nobody trains on the subsets in the main experiment.
        known = known and name != TRAINING_SIZES
        if NULL_MODELS[shown].of_training and not known:
            raise UserError(
                f"Config key 'figures.null_model' is '{shown}', a null model of trained networks of the main "
                f"experiment, but 'experiments.{name}' has another model or data set; set it to "
                "'reinitialized'."
            )


def _check_sweeps(config: Mapping[str, Any]) -> None:
    """Check that the main experiment varies nothing and that a sweep varies one setting."""
    main = config["experiments"]["main"]
    if isinstance(main["batch_size"], list):
        raise UserError(
            f"Config key 'experiments.main.batch_size' is {_shown(main['batch_size'])}, expected one batch "
            "size; put others into an experiment of their own, as 'experiments.batch_sizes' of config.yaml "
            "shows."
        )
    if "learning_rate" in main:
        raise UserError(
            "Config key 'experiments.main.learning_rate' is not for the main experiment, which takes "
            "learning rates from 'optimizers'; put others into an experiment of their own, as "
            "'experiments.learning_rates' of config.yaml shows."
        )
    for name, experiment in config["experiments"].items():
        sizes, rates = experiment["batch_size"], experiment.get("learning_rate", {})
        if isinstance(sizes, list) and len(sizes) > 1 and any(len(listed) > 1 for listed in rates.values()):
            raise UserError(
                f"Config key 'experiments.{name}.learning_rate' varies while 'experiments.{name}.batch_size' "
                "does, expected one that varies; make two experiments of it."
            )
        _check_what_varies(name, sizes, rates)


def _check_what_varies(name: str, sizes: Any, rates: Mapping[str, list[float]]) -> None:
    """Check that the two sweeps that figures are drawn of vary what their names say."""
    several_rates = any(len(listed) > 1 for listed in rates.values())
    if name == "batch_sizes" and several_rates:
        raise UserError(
            "Config key 'experiments.batch_sizes.learning_rate' varies, expected the batch size alone to; "
            "move it to 'experiments.learning_rates'."
        )
    if name == "learning_rates" and isinstance(sizes, list) and len(sizes) > 1:
        raise UserError(
            "Config key 'experiments.learning_rates.batch_size' varies, expected learning rates alone to; "
            "move it to 'experiments.batch_sizes'."
        )


def _check_known(key: str, name: str, known: Any, where: str) -> None:
    if name not in known:
        raise UserError(
            f"Config key '{key}' names '{name}', which is not in '{where}'; expected one of "
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
        case _ if "propertyNames" in error.absolute_schema_path:
            key = _key(error, instance)
            return (
                f"Config key '{key}' has a name that is not allowed, expected {schema['title']}; rename it."
            )
        case _:
            expected = _expected(schema)
            verb = "contains" if error.path and isinstance(error.path[-1], int) else "is"
            found = f"Config key '{_key(error)}' {verb} {_shown(instance)}, expected {expected}"
            return f"{found}{_hint(instance, expected)}."


def _about_unknown_key(error: ValidationError, allowed: list[str]) -> str:
    instance: Any = error.instance
    unknown = next(key for key in instance if key not in allowed)
    close = difflib.get_close_matches(str(unknown), allowed, n=1)
    hint = f"did you mean '{close[0]}'? Allowed here" if close else "allowed here"
    return f"Config key '{_key(error, unknown)}' is not known; {hint}: {_listing(allowed)}."


def _key(error: ValidationError, *more: object) -> str:
    names = [part for part in error.absolute_path if not isinstance(part, int)]
    return ".".join(map(str, (*names, *more)))


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"


def _listing(values: Any) -> str:
    return ", ".join(map(str, values))


def _expected(schema: Mapping[str, Any]) -> str:
    if "oneOf" in schema:
        return " or ".join(_expected(alternative) for alternative in schema["oneOf"])
    if "const" in schema:
        return str(schema["const"])
    if "enum" in schema:
        return f"one of {_listing(schema['enum'])}"
    if "title" in schema:
        return str(schema["title"])
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    limits = " and ".join(text.format(schema[name]) for name, text in LIMITS.items() if name in schema)
    return f"{' or '.join(TYPES[name] for name in types)} {limits}".rstrip()


def _hint(value: Any, expected: str) -> str:
    """Say how to write what was meant as a number, if that is what is wrong."""
    if not isinstance(value, str | float) or not ("number" in expected or "integer" in expected):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    if not math.isfinite(number):
        return ""
    whole = "integer" in expected and number.is_integer()
    text = str(int(number)) if whole else repr(number)
    if isinstance(value, str):
        # Without a dot, YAML would read 1e-08 as text again.
        dotted = text if "." in text else text.replace("e", ".0e")
        # Snakemake makes text of the numbers inside a --config value.
        return f"; it is read as text, write {dotted} without quotes and in a file, not after --config"
    return f"; write {text}" if whole else ""
