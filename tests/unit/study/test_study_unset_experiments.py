"""Experiments that a study leaves out."""

import pytest
from study_helpers import CONFIG, SCHEMA, changed, merged

from eigendrift.errors import UserError
from eigendrift.study.check import check_config, without_unset

SWEEPS = [name for name in CONFIG["experiments"] if name != "main"]


@pytest.mark.parametrize("left_out", [SWEEPS[:1], SWEEPS])
def test_null_in_a_study_file_leaves_experiments_out(left_out: list[str]) -> None:
    config = merged(CONFIG, {"experiments": dict.fromkeys(left_out)})
    chosen = without_unset(config)
    kept = {name: value for name, value in CONFIG["experiments"].items() if name not in left_out}
    assert chosen == {**CONFIG, "experiments": kept}
    check_config(chosen, SCHEMA)
    assert config["experiments"][left_out[0]] is None


def test_without_the_main_experiment_there_is_no_study() -> None:
    with pytest.raises(UserError, match=r"'experiments\.main' is null, which .* but every study needs this one"):
        without_unset(changed("experiments.main", None))


@pytest.mark.parametrize("wrong", [{}, {"experiments": 3}, {"experiments": None}, {"experiments": {}}])
def test_what_is_wrong_otherwise_is_left_to_the_check(wrong: dict[str, object]) -> None:
    assert without_unset(wrong) == wrong
