"""The verdicts of a study, as a record and as files."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from jsonschema import Draft202012Validator

from eigendrift.claims.decide import Outcome, Verdict, decide_claims
from eigendrift.claims.evidence import Variant, notes_on_lags, read_evidence
from eigendrift.stores.checksums import write_checksummed
from eigendrift.stores.files import json_text
from eigendrift.stores.tables import write_table

SCHEMA_VERSION = 3
TESTED = (
    *("verdict", "effect", "low", "high", "n"),
    *("p", "corrected_p", "smallest_corrected_p", "detectable_effect"),
)
COLUMNS = ("claim", "dataset", *TESTED, "smallest_effect", "equivalence", "unit", "reason")
SENSITIVITY_COLUMNS = (
    *("claim", "dataset", "ranks", "lag", "checkpoints"),
    *TESTED,
    *("smallest_effect", "unit", "reason"),
)


def decide_study(settings: Mapping[str, Any], **stores: Any) -> dict[str, Any]:
    """Decide the claims of a study from its stores.

    Args:
        settings: ``claims`` of the configuration, and ``lag``, which is its ``metrics.lag``.
        **stores: Paths of stores and tables, see `eigendrift.claims.evidence.read_evidence`.

    Returns:
        What claims.json holds, see `claims_record`.

    Raises:
        UserError: If a store or table is missing or damaged.
    """
    collection, evidence = read_evidence(**stores)
    lags = [settings["lag"], *settings["sensitivity"]["lags"]]
    notes = []
    for dataset, data in evidence.items():
        validity = data.null_validity.notes(dataset) if data.null_validity else []
        notes += [*collection.notes(dataset), *validity, *notes_on_lags(data.runs, dataset, lags)]
    return claims_record(decide_claims(evidence, settings), settings, collection.null_model, notes)


def claims_record(
    verdicts: Sequence[Verdict], settings: Mapping[str, Any], null_model: str, notes: Sequence[str]
) -> dict[str, Any]:
    """Return what claims.json holds, as workflow/schemas/claims.schema.json describes it."""
    return {
        "schema_version": SCHEMA_VERSION,
        "null_model": null_model,
        "settings": dict(settings),
        "notes": list(notes),
        "claims": [_entry(verdict) for verdict in verdicts],
    }


def write_claims(
    record: Mapping[str, Any], schema: Mapping[str, Any], json_path: Path, csv_path: Path, sensitivity_path: Path
) -> None:
    """Write all verdicts as JSON, and tables of them as CSV.

    Args:
        record: What `claims_record` returns.
        schema: Its JSON schema.
        json_path: Path of claims.json.
        csv_path: Path of claims.csv.
        sensitivity_path: Path of claims_sensitivity.csv.

    Raises:
        jsonschema.ValidationError: If the record does not match the schema.
    """
    # Users rely on the documented form.
    Draft202012Validator(schema).validate(record)
    rows = [_row(entry) for entry in record["claims"]]
    variants = [_row({**entry, **variant}) for entry in record["claims"] for variant in entry["sensitivity"]]
    write_table(csv_path, pd.DataFrame(rows, columns=list(COLUMNS)))
    write_table(sensitivity_path, pd.DataFrame(variants, columns=list(SENSITIVITY_COLUMNS)))
    write_checksummed(json_path, json_text(record))


def _entry(verdict: Verdict) -> dict[str, Any]:
    claim = verdict.claim
    return {
        "claim": claim.name,
        "dataset": verdict.dataset,
        "statement": claim.statement,
        "estimator": claim.estimator,
        "formula": claim.formula,
        "unit": claim.unit,
        "smallest_effect": verdict.smallest_effect,
        "equivalence": claim.equivalence,
        **_plain(verdict.outcome),
        "sensitivity": [_variant(variant, claim.uses_lag, outcome) for variant, outcome in verdict.sensitivity.items()],
    }


def _variant(variant: Variant, uses_lag: bool, outcome: Outcome) -> dict[str, Any]:
    left_out = ("seeds", "excluded", "details")
    measured = {key: value for key, value in _plain(outcome).items() if key not in left_out}
    return {"ranks": variant.ranks, "lag": variant.lag if uses_lag else None, **measured}


def _plain(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome in JSON's own types."""
    plain = asdict(outcome) | {"n": outcome.n}
    for name in ("seeds", "excluded"):
        plain[name] = {str(seed): value for seed, value in plain[name].items()}
    return plain | {"interval": list(outcome.interval) if outcome.interval else None}


def _row(entry: Mapping[str, Any]) -> dict[str, Any]:
    low, high = entry["interval"] or (None, None)
    return {**entry, "low": low, "high": high}
