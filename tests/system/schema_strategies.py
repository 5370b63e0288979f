"""Hypothesis strategies for values that a JSON schema allows.

hypothesis-jsonschema does the same for any schema, but its last release, 0.23.1, does not run with current versions of
hypothesis. This module supports only the keywords that the schema of configurations uses.
"""

import math
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

LARGEST = 300
KNOWN = {
    *(
        "type",
        "enum",
        "const",
        "oneOf",
        "pattern",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
    ),
    *("items", "minItems", "uniqueItems", "properties", "required", "propertyNames", "minProperties"),
    *("additionalProperties", "title", "description", "$ref", "$schema", "$defs"),
}


def allowed_by(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for values that a schema allows, with numbers up to `LARGEST` and short lists and groups."""
    assert set(schema) <= KNOWN, set(schema) - KNOWN
    if "$ref" in schema:
        return allowed_by(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    if "oneOf" in schema:
        return st.one_of([allowed_by(one, definitions) for one in schema["oneOf"]])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return st.one_of([OF_TYPE[kind](schema, definitions) for kind in kinds])


def _integer(schema: Mapping[str, Any], _: Mapping[str, Any]) -> st.SearchStrategy[int]:
    least = schema.get("minimum", 0)
    # The number of initializations multiplies the size of a study, so it stays small.
    most = 3 if "initializations" in schema.get("description", "") else LARGEST
    return st.integers(least, min(schema.get("maximum", LARGEST), max(most, least)))


def _number(schema: Mapping[str, Any], _: Mapping[str, Any]) -> st.SearchStrategy[float]:
    low = schema.get("minimum", schema.get("exclusiveMinimum", -LARGEST))
    high = schema.get("maximum", schema.get("exclusiveMaximum", LARGEST))
    open_ends = {
        "exclude_min": "exclusiveMinimum" in schema,
        "exclude_max": "exclusiveMaximum" in schema,
    }
    return st.floats(low, high, allow_nan=False, **open_ends).filter(math.isfinite)


def _text(schema: Mapping[str, Any], _: Mapping[str, Any]) -> st.SearchStrategy[str]:
    return st.from_regex(schema["pattern"], fullmatch=True) if "pattern" in schema else st.text(max_size=8)


def _list(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> st.SearchStrategy[list[Any]]:
    items = allowed_by(schema["items"], definitions)
    unique = {"unique_by": repr} if schema.get("uniqueItems") else {}
    return st.lists(items, min_size=schema.get("minItems", 0), max_size=3, **unique)


def _group(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    named = {key: allowed_by(part, definitions) for key, part in schema.get("properties", {}).items()}
    required = set(schema.get("required", []))
    free = schema.get("additionalProperties")
    if not isinstance(free, Mapping):
        return st.fixed_dictionaries(
            {key: named[key] for key in named if key in required},
            optional={key: named[key] for key in named if key not in required},
        ).filter(lambda group: len(group) >= schema.get("minProperties", 0))
    values = allowed_by(free, definitions)
    names = allowed_by({"type": "string", **schema.get("propertyNames", {})}, definitions)
    least = schema.get("minProperties", 0)
    others = st.dictionaries(names, values, min_size=least, max_size=max(2, least))
    return st.builds(lambda own, more: {**more, **own}, st.fixed_dictionaries(dict.fromkeys(required, values)), others)


OF_TYPE = {
    "array": _list,
    "boolean": lambda *_: st.booleans(),
    "integer": _integer,
    "null": lambda *_: st.none(),
    "number": _number,
    "object": _group,
    "string": _text,
}
