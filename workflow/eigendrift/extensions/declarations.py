"""Checks of what plug-ins declare, against the schema and against everything else that is declared."""

import re
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from typing import Any

from eigendrift.errors import UserError
from eigendrift.extensions.kinds import Figure, Metric, Model, NullModel, Optimizer
from eigendrift.extensions.registry import added, known

DEFINITIONS = "#/$defs/"
# Names of files and directories that the package itself uses.
USED: dict[Any, str] = {Figure: r"(fig|ext)\d.*", NullModel: r"(untrained|wide)-.*|.*-baseline|observed|wide"}
# Variables of a data set's runs, in addition to the arrays of metrics stores.
OF_RUNS = ("optimizer", "seed", "diverged_at", "unconverged")


def check_declarations(definitions: Mapping[str, Any], arrays: Iterable[str]) -> None:
    """Check the declarations of plug-ins against each other, after all were read.

    Args:
        definitions: ``$defs`` of the configuration's schema, to which settings may refer.
        arrays: Names of arrays and dimensions that metrics stores have.

    Raises:
        UserError: If a name is used for something else, a figure's metric does not exist, a caption is not
            reStructuredText, or the schema of a setting is not a JSON schema.
    """
    used = {**USED, Metric: "|".join(map(re.escape, (*arrays, *OF_RUNS)))}
    for source, extension in added():
        names = [names for kind, names in used.items() if isinstance(extension, kind)]
        if any(re.fullmatch(pattern, extension.name) for pattern in names):
            raise UserError(
                f"Plug-in {source} adds the {extension.KIND} '{extension.name}', a name that eigendrift "
                "itself uses; choose another."
            )
        for metric in extension.metrics if isinstance(extension, Figure) else ():
            if metric not in known(Metric):
                raise UserError(
                    f"Plug-in {source} has a figure of the metric '{metric}', which no plug-in declares; add "
                    "that plug-in, or remove the metric from the figure's metrics."
                )
        if isinstance(extension, Figure) and (wrong := _wrong_in(extension.caption)):
            raise UserError(
                f"Plug-in {source} declares the figure '{extension.name}', whose caption is not "
                f"reStructuredText: {wrong} Fix it."
            )
        settings = extension.settings if isinstance(extension, Optimizer | Model) else {}
        for setting, schema in settings.items():
            if wrong := _wrong_in_schema(schema, definitions):
                raise UserError(
                    f"Plug-in {source} declares the {extension.KIND} '{extension.name}', whose setting '{setting}' "
                    f"{wrong}; fix it."
                )


def _wrong_in(text: str) -> str | None:
    """Return the first mistake in a reStructuredText; None if there is none."""
    from docutils.core import publish_doctree
    from docutils.utils import Reporter, SystemMessage

    alone = {"file_insertion_enabled": False, "raw_enabled": False, "warning_stream": StringIO()}
    try:
        publish_doctree(text, settings_overrides={**alone, "halt_level": Reporter.WARNING_LEVEL})
    except SystemMessage as error:
        # The message starts with place and level: <string>:1: (WARNING/2) …
        return str(error).partition(") ")[2]
    return None


def _wrong_in_schema(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str | None:
    """Return the first mistake in the schema of a setting; None if there is none."""
    from jsonschema import Draft202012Validator, SchemaError

    for reference in _references(schema):
        if str(reference).removeprefix(DEFINITIONS) not in definitions:
            known_ones = ", ".join(f"{DEFINITIONS}{name}" for name in definitions)
            return f"refers to {reference!r}, expected one of {known_ones}"
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return f"has an invalid schema: {error.message}"
    return None


def _references(schema: Any) -> Iterator[Any]:
    if isinstance(schema, Mapping):
        yield from (value for key, value in schema.items() if key == "$ref")
        schema = list(schema.values())
    for part in schema if isinstance(schema, list) else ():
        yield from _references(part)
