"""The configuration of a study, complete: as a file to run again, and as a page that explains every key."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import yaml

from eigendrift.report.page import page, row, table

STYLE = "th:nth-child(1) { width: 30%; }\nth:nth-child(2) { width: 22%; }"
HEADER = "# Study {study}, complete: `snakemake --configfile FILE` with this file runs it again.\n\n"

Schema = Mapping[str, Any]


def configuration_file(config: Mapping[str, Any]) -> str:
    """Return the configuration as YAML that snakemake reads."""
    text = yaml.safe_dump(
        dict(config), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )
    return HEADER.format(study=config["study"]) + str(text)


def configuration_page(config: Mapping[str, Any], schema: Schema) -> str:
    """Return the configuration as a page.

    Args:
        config: The configuration, which the schema accepts.
        schema: The JSON schema, whose descriptions say what each key means.
    """
    rows = [
        row(f"<code>{escape('.'.join(path))}</code>", f"<code>{escape(_text(value))}</code>", escape(meaning))
        for path, value, meaning in explained(config, schema, schema)
    ]
    body = (
        "<p>Every setting of this study, also those that its file does not name. "
        "<code>config.yaml</code> beside this page holds the same, ready to run.</p>\n"
        + table(["key", "value", "meaning"], rows)
    )
    return page(f"Configuration of the study {config['study']}", STYLE, body)


def explained(
    config: Mapping[str, Any], schema: Schema, root: Schema, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Yield path, value and meaning of every setting, in the schema's order.

    Args:
        config: A group of the configuration.
        schema: Its part of the schema.
        root: The whole schema, which references point into.
        path: Keys that lead to the group.
    """
    order = list(schema.get("properties", ()))
    for key in sorted(config, key=lambda key: order.index(key) if key in order else len(order)):
        value = config[key]
        part = _part(schema, key, root)
        if isinstance(value, Mapping) and value:
            yield from explained(value, part, root, (*path, key))
        else:
            # What has no meaning of its own, such as an entry of a list by name, has that of its group.
            yield (*path, key), value, part.get("description", schema.get("description", ""))


def _part(schema: Schema, key: str, root: Schema) -> Schema:
    part = schema.get("properties", {}).get(key, schema.get("additionalProperties", {}))
    if "$ref" not in part:
        return dict(part)
    target: Any = root
    for name in part["$ref"].removeprefix("#/").split("/"):
        target = target[name]
    # A description beside a reference is about this use of it.
    return {**target, **part}


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return value if isinstance(value, str) else json.dumps(value)
