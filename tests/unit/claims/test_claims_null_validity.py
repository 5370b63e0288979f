"""Claims that use a null model need a valid one."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from claims_helpers import NAMES, SETTINGS, as_the_paper_says, evidence_of

from eigendrift.claims.decide import decide_claims
from eigendrift.claims.null_validity import NullValidity, read_null_validity
from eigendrift.stores.tables import write_checksummed_table

HOLDS, LEAVES = ("alike",) * 3, ("outside",) * 3


def verdict_of(
    before: tuple[str, ...], after: tuple[str, ...], verdict: str = "supported", ranks: int = 1
) -> tuple[str, str]:
    return NullValidity("permuted", before, after).restrict(verdict, "it lies above", ranks)


@pytest.mark.parametrize("verdict", ["supported", "contradicted", "undecided", "not measured"])
def test_a_valid_null_model_does_not_change_a_verdict(verdict: str) -> None:
    assert verdict_of(HOLDS, LEAVES, verdict) == (verdict, "it lies above")


@pytest.mark.parametrize("verdict", ["supported", "contradicted"])
def test_a_null_model_that_differs_from_untrained_networks_decides_nothing(verdict: str) -> None:
    found, reason = verdict_of(("different", "alike"), LEAVES, verdict)
    assert found == "undecided"
    assert reason.startswith("it lies above, but the null model 'permuted' is different from untrained")


@pytest.mark.parametrize("after", [("inside",), ("cannot tell",), ()])
def test_runs_that_may_not_leave_the_null_model_support_nothing(after: tuple[str, ...]) -> None:
    found, reason = verdict_of(HOLDS, after)
    assert found == "undecided"
    assert reason.endswith("not shown to leave the null model 'permuted' (null_departure.csv)")
    assert verdict_of(HOLDS, after, "contradicted")[0] == "contradicted"


def test_only_the_ranks_of_the_effect_count() -> None:
    before, after = ("alike", "different"), ("inside", "outside")
    assert verdict_of(before, LEAVES, ranks=1)[0] == "supported"
    assert verdict_of(before, LEAVES, ranks=2)[0] == "undecided"
    assert verdict_of(HOLDS, after, ranks=1)[0] == "undecided"
    assert verdict_of(HOLDS, after, ranks=3)[0] == "supported"


def test_few_draws_and_differences_are_noted() -> None:
    assert NullValidity("permuted", HOLDS, LEAVES).notes("digits") == []
    (note,) = NullValidity("permuted", ("alike", "cannot tell"), LEAVES).notes("digits")
    assert note == "digits: the null model permuted has too few draws to tell whether it is like untrained networks"
    (note,) = NullValidity("permuted", ("different", "cannot tell"), LEAVES).notes("digits")
    assert note.startswith("digits: the null model permuted is different from untrained networks")


def test_only_claims_that_use_the_null_model_are_restricted() -> None:
    evidence = evidence_of(as_the_paper_says(), sweeps=True)
    validity = NullValidity("permuted", ("different",), LEAVES)
    restricted = {dataset: replace(one, null_validity=validity) for dataset, one in evidence.items()}
    before, after = (decide_claims(each, SETTINGS) for each in (evidence, restricted))
    verdicts = {verdict.claim.name: verdict.outcome.verdict for verdict in after}
    assert verdicts == dict.fromkeys(NAMES, "supported") | {"C3": "undecided", "C4": "undecided"}
    assert [one.outcome.interval for one in after] == [one.outcome.interval for one in before]


def test_the_tables_of_the_validation_are_read_by_rank(tmp_path: Path) -> None:
    validation, departure = tmp_path / "validation.csv", tmp_path / "departure.csv"
    before = pd.DataFrame(
        [
            ("digits", "permuted", "log10 IPR", 2, "cannot tell"),
            ("digits", "permuted", "log10 IPR", 1, "alike"),
            ("digits", "permuted", "displacement", 1, "different"),
            ("digits", "isotropic", "log10 IPR", 1, "different"),
            ("mnist5k", "permuted", "log10 IPR", 1, "different"),
        ],
        columns=["dataset", "null_model", "statistic", "rank", "verdict"],
    )
    after = pd.DataFrame(
        [("digits", "permuted", "adam", "end", "log10 IPR", 1, seed, "outside") for seed in (0, 1)]
        + [
            ("digits", "permuted", "adam", "start", "log10 IPR", 1, 0, "inside"),
            ("digits", "permuted", "sgd", "end", "log10 IPR", 1, 0, "inside"),
        ],
        columns=["dataset", "null_model", "optimizer", "moment", "statistic", "rank", "seed", "verdict"],
    )
    write_checksummed_table(validation, before)
    write_checksummed_table(departure, after)
    found = read_null_validity(validation, departure, "permuted", ["digits", "mnist5k", "mnist"])
    assert found == {
        "digits": NullValidity("permuted", ("alike", "cannot tell"), ("outside",)),
        "mnist5k": NullValidity("permuted", ("different",), ()),
        "mnist": NullValidity("permuted", (), ()),
    }
