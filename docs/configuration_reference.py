"""Writes the tables of keys in config/README.md from workflow/schemas/config.schema.yaml and config.yaml.

`python docs/configuration_reference.py` updates the page after a change of the schema or of a default.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from eigendrift.study.schema import completed, expected_values  # noqa: E402
from eigendrift.training.networks import MODELS  # noqa: E402

PAGE = Path("config/README.md")
START = "<!-- keys: written by docs/configuration_reference.py -->\n"
HEADS = "| key | values | default | meaning |\n| --- | --- | --- | --- |\n"
NAMED = "<name>"


def reference() -> str:
    """Return the tables of all keys: first the keys outside groups, then each group."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text("utf-8"))
    bare = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text("utf-8"))
    # One network of each kind, because the keys of a network depend on its kind.
    kinds = {name: {"kind": name} for name in MODELS}
    schema = completed(bare, {**config, "models": kinds})
    groups = {name: part for name, part in schema["properties"].items() if part.get("type") == "object"}
    single = {name: part for name, part in schema["properties"].items() if name not in groups}
    tables = ["\n" + HEADS + "".join(_rows(single, schema, config, ()))]
    for name, group in groups.items():
        tables.append(f"\n## `{name}`\n\n{group['description']}\n")
        if name == "models":
            for kind, network in group["properties"].items():
                rows = "".join(_rows(network["properties"], schema, config, (name, NAMED)))
                tables.append(f"\nA network of kind `{kind}` has these keys:\n\n{HEADS}{rows}")
        else:
            parts = group["properties"] if "properties" in group else {NAMED: group["additionalProperties"]}
            tables.append("\n" + HEADS + "".join(_rows(parts, schema, config, (name,))))
    return "".join(tables)


def with_reference(page: str) -> str:
    """Return the page with its tables up to date."""
    return page.partition(START)[0] + START + reference()


def _rows(
    parts: Mapping[str, Any], schema: Mapping[str, Any], config: Mapping[str, Any], above: tuple[str, ...]
) -> Iterator[str]:
    for name, part in parts.items():
        entry, path = _resolved(part, schema), (*above, name)
        meaning = entry.get("description", "")
        if "properties" in entry:
            if meaning:
                yield _row(path, "", "", meaning)
            yield from _rows(entry["properties"], schema, config, path)
        else:
            yield _row(path, _values(entry, schema), _default(config, path), meaning)


def _resolved(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    definition = schema["$defs"][entry["$ref"].rpartition("/")[2]] if "$ref" in entry else {}
    return {**definition, **entry}


def _values(entry: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    items = entry.get("items")
    each = _resolved(items, schema) if items and entry.get("type") == "array" else {}
    if each.keys() & {"enum", "oneOf", "type"} and each.get("type") != "string":
        return f"{expected_values(entry)}; each {expected_values(each)}"
    return expected_values(entry)


def _default(config: Any, path: tuple[str, ...]) -> str:
    for key in path:
        if not isinstance(config, Mapping) or key not in config:
            return ""
        config = config[key]
    return f"`{json.dumps(config)}`"


def _row(path: tuple[str, ...], *cells: str) -> str:
    key = ".".join(path[1:] if len(path) > 1 else path)
    # In Markdown, | ends a cell and <word> is a tag.
    escaped = [cell.replace("|", "\\|").replace("<", "\\<") for cell in cells]
    return f"| `{key}` | {' | '.join(escaped)} |\n"


if __name__ == "__main__":
    page = ROOT / PAGE
    page.write_text(with_reference(page.read_text("utf-8")), "utf-8")
