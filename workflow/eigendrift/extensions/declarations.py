"""What plug-ins declare, held against all else that there is; each by itself is checked as it is made."""

import re
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, SchemaError

from eigendrift.errors import UserError
from eigendrift.extensions.base import Extension
from eigendrift.extensions.kinds import Figure, Metric, NullModel
from eigendrift.extensions.registry import added, known

DEFINITIONS = "#/$defs/"
# Names of files and of directories, beside those of what the package ships.
USED: dict[Any, str] = {
    Figure: r"(fig|ext)\d.*",
    NullModel: r"(untrained|wide)-.*|.*-baseline|observed|wide",
}
# What figures find in a data set's runs beside the arrays of metrics stores.
OF_RUNS = ("optimizer", "seed", "diverged_at", "unconverged")


def check_declarations(definitions: Mapping[str, Any], arrays: Iterable[str]) -> None:
    """Check what plug-ins declare, after all were read.

    Args:
        definitions: ``$defs`` of the configuration's schema, to which settings may refer.
        arrays: Names of arrays and dimensions that metrics stores have.

    Raises:
        UserError: A name is used for something else, a figure's metric does not exist, or the schema of a
            setting is none.
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
                    "that plug-in, or remove it from the figure's metrics."
                )
        if isinstance(extension, Figure) and (wrong := _wrong_in(extension.caption)):
            raise UserError(
                f"Plug-in {source} declares the figure '{extension.name}', whose caption is no "
                f"reStructuredText: {wrong} Mend it."
            )
        for setting, schema in getattr(extension, "settings", {}).items():
            _check_schema(source, extension, setting, schema, definitions)


def _wrong_in(text: str) -> str | None:
    """Return the first thing that the report would complain of in a text; None if there is none."""
    from docutils.core import publish_doctree
    from docutils.utils import Reporter, SystemMessage

    alone = {"file_insertion_enabled": False, "raw_enabled": False, "warning_stream": StringIO()}
    try:
        publish_doctree(text, settings_overrides={**alone, "halt_level": Reporter.WARNING_LEVEL})
    except SystemMessage as error:
        # It begins with where it is, in a text without a name, and how bad: <string>:1: (WARNING/2) …
        return str(error).partition(") ")[2]
    return None


def _check_schema(
    source: Path,
    extension: Extension,
    setting: str,
    schema: Mapping[str, Any],
    definitions: Mapping[str, Any],
) -> None:
    wrong = None
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        wrong = f"has a schema that is none: {error.message}"
    for reference in _references(schema):
        if str(reference).removeprefix(DEFINITIONS) not in definitions:
            known_ones = ", ".join(f"{DEFINITIONS}{name}" for name in definitions)
            wrong = f"refers to {reference!r}, expected one of {known_ones}"
    if wrong:
        raise UserError(
            f"Plug-in {source} declares the {extension.KIND} '{extension.name}', whose setting '{setting}' "
            f"{wrong}; mend it."
        )


def _references(schema: Any) -> Iterator[Any]:
    if isinstance(schema, Mapping):
        yield from (value for key, value in schema.items() if key == "$ref")
    within = schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ()
    for part in within:
        yield from _references(part)
