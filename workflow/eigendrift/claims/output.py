"""The verdicts as files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from eigendrift.claims.decide import Verdict
from eigendrift.metrics.collection import Collection
from eigendrift.stores.files import write_json

SCHEMA_VERSION = 1
COLUMNS = ("claim", "dataset", "verdict", "effect", "low", "high", "smallest_effect", "unit", "n", "reason")


def write_claims(
    verdicts: Sequence[Verdict],
    settings: Mapping[str, Any],
    collection: Collection,
    json_path: Path,
    csv_path: Path,
) -> None:
    """Write all verdicts as JSON, and a table of them as CSV.

    Args:
        verdicts: The verdicts.
        settings: What they were decided with.
        collection: What they were decided on.
        json_path: Path of claims.json.
        csv_path: Path of claims.csv.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "null_model": collection.null_model,
        "settings": dict(settings),
        "notes": [note for dataset in collection.runs for note in collection.notes(dataset)],
        "claims": [verdict.as_dict() for verdict in verdicts],
    }
    rows = []
    for verdict in verdicts:
        low, high = verdict.interval or (None, None)
        rows.append(verdict.as_dict() | {"low": low, "high": high})
    pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(csv_path, index=False)
    write_json(json_path, content)
