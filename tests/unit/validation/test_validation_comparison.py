"""Verdicts on made-up null models whose truth is known."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from eigendrift.validation.comparison import departures, validate

SETTINGS = {"names": ["reinitialized", "permuted"], "significance": 0.05, "largest_shift": 1.0, "resamples": 60}


def networks(name: str, count: int, shift: float = 0.0, optimizer: str = "", seed: int = 0) -> pd.DataFrame:
    """Normal values of two statistics and two ranks; only rank 1 of the first statistic is shifted."""
    random = np.random.default_rng([seed, *name.encode(), *optimizer.encode()])
    known = product(("log10 IPR", "displacement"), (1, 2), range(count))
    table = pd.DataFrame(known, columns=["statistic", "rank", "number"])
    is_shifted = (table["statistic"] == "log10 IPR") & (table["rank"] == 1)
    values = random.normal(size=len(table)) + shift * is_shifted
    return table.assign(dataset="digits", networks=name, optimizer=optimizer, value=values)


def untrained_world(shift: float = 0.0, count: int = 60, seed: int = 0) -> pd.DataFrame:
    return pd.concat(
        [
            networks("observed", count, seed=seed),
            networks("reinitialized", count, shift, seed=seed),
            networks("untrained permuted", count, seed=seed),
        ]
    )


def trained_world(shift: float, draws: int = 60) -> pd.DataFrame:
    """Adam leaves both null models at the end, SGD none."""
    return pd.concat(
        [
            untrained_world(),
            *(networks("start", 5, optimizer=name, seed=1) for name in ("sgd", "adam")),
            networks("end", 5, optimizer="sgd", seed=1),
            networks("end", 5, shift, "adam", seed=1),
            # The end of Adam's permuted networks is where Adam's runs are; that of SGD's is elsewhere.
            networks("permuted", draws, shift, "adam", seed=1),
            networks("permuted", draws, 30, "sgd", seed=1),
        ]
    )


class TestValidation:
    def test_a_null_model_that_holds_is_alike_and_a_planted_shift_is_different(self) -> None:
        table = validate(untrained_world(shift=2), SETTINGS).set_index(["null_model", "statistic", "rank"])
        assert len(table) == 8
        assert table.loc[("reinitialized", "log10 IPR", 1), "verdict"] == "different"
        others = table.drop(("reinitialized", "log10 IPR", 1))
        assert (others["verdict"] == "alike").all()

    def test_moments_numbers_and_power_are_stated(self) -> None:
        values = untrained_world(shift=2)
        row = validate(values, SETTINGS).iloc[0]
        chosen = values[(values["statistic"] == "log10 IPR") & (values["rank"] == 1)]
        for prefix, name in (("observed", "observed"), ("null", "reinitialized")):
            sample = chosen.loc[chosen["networks"] == name, "value"]
            assert row[f"{prefix}_n"] == 60
            assert row[f"{prefix}_mean"] == pytest.approx(sample.mean())
            assert row[f"{prefix}_standard_deviation"] == pytest.approx(sample.std())
        assert row["level"] == pytest.approx(0.05 / 4)
        assert 0.5 < row["detectable_shift"] < 1.0

    def test_few_draws_cannot_tell(self) -> None:
        assert set(validate(untrained_world(count=10, seed=1), SETTINGS)["verdict"]) == {"cannot tell"}

    @pytest.mark.slow
    def test_seldom_is_any_statistic_of_a_true_null_model_different(self) -> None:
        """Two null models, 60 worlds: at most 5 % of the 120 families have a false alarm, give or take."""
        alarms = 0
        for seed in range(60):
            table = validate(untrained_world(count=30, seed=seed), SETTINGS)
            alarms += table.groupby("null_model")["verdict"].apply(lambda v: (v == "different").any()).sum()
        assert alarms <= 0.05 * 120 + 3 * np.sqrt(120 * 0.05 * 0.95)

    def test_data_sets_are_judged_apart(self) -> None:
        values = pd.concat([untrained_world(), untrained_world(shift=9).assign(dataset="mnist5k")])
        table = validate(values, SETTINGS)
        different = table[table["verdict"] == "different"]
        assert list(different["dataset"]) == ["mnist5k"]

    def test_a_null_model_without_a_spectrum_has_no_row_for_it(self) -> None:
        values = untrained_world()
        values = values[(values["networks"] != "reinitialized") | (values["statistic"] != "displacement")]
        table = validate(values, SETTINGS)
        assert list(table.loc[table["null_model"] == "reinitialized", "statistic"]) == ["log10 IPR"] * 2


class TestDepartures:
    def verdicts(self, table: pd.DataFrame) -> pd.Series:
        keys = ["null_model", "optimizer", "moment", "statistic", "rank"]
        return table.drop_duplicates(keys).set_index(keys)["verdict"]

    def test_runs_start_inside_and_those_that_leave_end_outside(self) -> None:
        verdicts = self.verdicts(departures(trained_world(shift=8), SETTINGS))
        outside = set(verdicts[verdicts == "outside"].index)
        assert outside == {
            ("reinitialized", "adam", "end", "log10 IPR", 1),
            # Where SGD's permuted networks are, its runs are not; Adam's are where its own are.
            ("permuted", "sgd", "end", "log10 IPR", 1),
        }
        assert set(verdicts) == {"inside", "outside"}

    def test_each_run_has_its_value_and_p(self) -> None:
        values = trained_world(shift=8)
        table = departures(values, SETTINGS)
        keys = {"null_model": "reinitialized", "optimizer": "adam", "moment": "end", "statistic": "log10 IPR"}
        own = table[(table[list(keys)] == pd.Series(keys)).all(axis=1) & (table["rank"] == 1)]
        assert list(own["seed"]) == list(range(5))
        assert (own["inside"].any(), own["share_inside"].max()) == (False, 0)
        assert own["p"].tolist() == pytest.approx([2 / 61] * 5)
        assert ((own["low"] < 0) & (own["high"] > 0) & (own["value"] > own["high"])).all()

    def test_so_few_draws_that_no_p_could_be_small_cannot_tell(self) -> None:
        verdicts = self.verdicts(departures(trained_world(shift=8, draws=4), SETTINGS))
        assert set(verdicts["permuted", :, "end"]) == {"cannot tell"}
        assert set(verdicts["permuted", :, "start"]) == {"inside"}
