"""The null models of a study: what is drawn, with what settings, and what readers are told."""

import pytest
from study_helpers import CONFIG, SCHEMA, changed, refusal

from eigendrift.null.models import NULL_MODELS
from eigendrift.study.check import check_config
from eigendrift.study.runs import null_names, null_settings, runs_of, solver_settings, training_settings

NAMES = SCHEMA["properties"]["null_models"]["properties"]["names"]["items"]["enum"]


def test_every_null_model_says_what_it_keeps_and_destroys() -> None:
    assert list(NULL_MODELS) == NAMES
    for facts in NULL_MODELS.values():
        assert "17" in facts.sentence(17)
        assert facts.sentence(17).endswith(f"; keeps {facts.keeps}, destroys {facts.destroys}")


def test_null_models_are_drawn_and_what_validates_them() -> None:
    others = ["untrained-observed", "untrained-permuted", "untrained-shuffled_labels", "wide-reinitialized"]
    assert null_names(CONFIG) == [*NAMES, *others]
    few = changed("null_models.names", ["reinitialized", "shuffled_labels"])
    assert null_names(few) == [
        "reinitialized",
        "shuffled_labels",
        "untrained-observed",
        "untrained-shuffled_labels",
        "wide-reinitialized",
    ]


@pytest.mark.parametrize(
    ("null", "name", "draws"),
    [
        ("isotropic", "isotropic", CONFIG["null_models"]["draws"]["isotropic"]),
        ("untrained-observed", "observed", CONFIG["null_models"]["validation"]["draws"]),
        ("untrained-permuted", "permuted", CONFIG["null_models"]["validation"]["draws"]),
    ],
)
def test_settings_of_draws_without_training_are_complete(null: str, name: str, draws: int) -> None:
    assert null_settings(CONFIG, "digits", "mlp-32-32", null) == {
        "dataset": "digits",
        "model": {"name": "mlp-32-32", **CONFIG["models"]["mlp-32-32"]},
        "null_model": name,
        "draws": draws,
        "trainings": [],
        "eigenpairs": solver_settings(CONFIG),
    }


@pytest.mark.parametrize("null", NAMES)
def test_wide_draws_are_the_same_with_more_eigenpairs(null: str) -> None:
    few, many = (null_settings(CONFIG, "digits", "mlp-32-32", name) for name in (null, f"wide-{null}"))
    own = {
        "draws": CONFIG["null_models"]["draws"]["wide"],
        "eigenpairs": solver_settings(CONFIG, "wide_count"),
    }
    assert many == few | own


@pytest.mark.parametrize("null", ["permuted", "shuffled_labels"])
def test_draws_of_trained_networks_know_the_trainings_of_the_main_experiment(null: str) -> None:
    settings = null_settings(CONFIG, "digits", "mlp-32-32", null)
    assert settings["draws"] == CONFIG["null_models"]["draws"][null]
    assert [training["optimizer"]["name"] for training in settings["trainings"]] == [
        "sgd",
        "momentum",
        "adam",
    ]
    run = next(run for run in runs_of(CONFIG, "main") if run.dataset == "digits" and run.optimizer == "adam")
    expected = training_settings(CONFIG, run)
    del expected["seed"], expected["checkpoints"]
    assert settings["trainings"][2] == expected


def test_each_optimizer_needs_two_draws() -> None:
    assert refusal(changed("null_models.draws.permuted", 5)) == (
        "Config key 'null_models.draws.permuted' is 5, expected at least two for each optimizer of the main "
        "experiment, 6; raise it."
    )


def test_wide_draws_of_trained_networks_are_enough_for_each_optimizer_as_well() -> None:
    config = changed("null_models.draws.wide", 5)
    assert check_config(config, SCHEMA) is None
    config["figures"]["null_model"] = "permuted"
    assert refusal(config).startswith("Config key 'null_models.draws.wide' is 5, expected at least two for each")


def test_a_null_model_of_trained_networks_is_not_shown_with_others() -> None:
    config = changed("figures.null_model", "permuted")
    config["experiments"]["batch_sizes"]["datasets"] = ["mnist"]
    assert refusal(config) == (
        "Config key 'figures.null_model' is 'permuted', a null model of trained networks of the main "
        "experiment, but 'experiments.batch_sizes' has another model or data set; set it to 'reinitialized' "
        "or 'isotropic', or leave that experiment out."
    )


def test_further_null_models_are_drawn_ones() -> None:
    config = changed("null_models.names", ["isotropic", "reinitialized"])
    config["figures"]["further_null_models"] = ["permuted"]
    assert refusal(config) == (
        "Config key 'figures.further_null_models' names 'permuted', which is not in 'null_models.names', "
        "expected one of isotropic, reinitialized; fix the name, or add it to 'null_models.names'."
    )
