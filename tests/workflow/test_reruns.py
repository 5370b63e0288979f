"""A change reruns what depends on it, and nothing else."""

from contextlib import contextmanager

import pytest
import yaml

pytestmark = pytest.mark.xdist_group("smoke")

FIGURES = {f"fig0{n}": 1 for n in range(1, 8)}
REPORTED = {"claims": 1, **FIGURES}
FROM_METRICS = {"metrics": 4, "baseline": 2, **REPORTED}
FROM_EIGENPAIRS = {"eigenpairs": 4, "null": 2, **FROM_METRICS}
FROM_TRAINING = {"train": 4, "eigenpairs": 4, "metrics": 4, **REPORTED}
EVERYTHING = {"data": 1, "train": 4, **FROM_EIGENPAIRS}
OF_ONE_OPTIMIZER = {"train": 2, "eigenpairs": 2, "metrics": 2, **REPORTED}


@contextmanager
def rewritten(path, content):
    before = path.read_text()
    path.write_text(content)
    try:
        yield
    finally:
        path.write_text(before)


def changed(smoke, **changes):
    """The smoke study with keys, written a.b.c, set to other values."""
    path = smoke.path / "workflow/studies/smoke.yaml"
    study = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *groups, last = key.split("__")
        place = study
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = value
    return rewritten(path, yaml.safe_dump(study))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"figures__style": {"font.size": 9}}, FIGURES),
        ({"figures__waiting_times": 4}, {"fig01": 1}),
        ({"claims__lag": 0.25}, {"claims": 1}),
        ({"figures__null_model": "isotropic"}, REPORTED),
        ({"null_models__draws": 11}, {"null": 2, "baseline": 2, **REPORTED}),
        ({"eigenpairs__tolerance": 1e-5}, FROM_EIGENPAIRS),
        ({"optimizers__sgd__learning_rate": 0.04}, OF_ONE_OPTIMIZER),
        ({"optimizers__adam__beta2": 0.99}, OF_ONE_OPTIMIZER),
        ({"experiments__main__seeds": 3}, OF_ONE_OPTIMIZER),
        ({"training__steps": 61}, FROM_TRAINING),
        ({"data_dir": "/somewhere/else"}, {}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, dict) and value.keys() - REPORTED.keys() else "",
)
def test_a_changed_key_reruns_what_reads_it(smoke, changes, expected):
    with changed(smoke, **changes):
        assert smoke.planned() == expected


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("eigendrift/data/shipped.py", EVERYTHING),
        ("eigendrift/training/batches.py", FROM_TRAINING),
        ("eigendrift/eigenpairs/lanczos.py", FROM_EIGENPAIRS),
        ("eigendrift/null/models.py", {"null": 2, "baseline": 2, **REPORTED}),
        ("eigendrift/metrics/displacement.py", FROM_METRICS),
        ("eigendrift/metrics/alignment.py", {"metrics": 4, **REPORTED}),
        ("eigendrift/claims/estimators.py", {"claims": 1}),
        ("eigendrift/figures/style.py", FIGURES),
        ("eigendrift/figures/localization.py", {"fig03": 1}),
        ("scripts/claims.py", {"claims": 1}),
    ],
)
def test_a_changed_module_reruns_the_stages_that_use_it(smoke, module, expected):
    path = smoke.path / "workflow" / module
    with rewritten(path, path.read_text() + "\n# changed\n"):
        assert smoke.planned() == expected


def test_new_time_stamps_rerun_nothing(smoke):
    for path in (smoke.path / "workflow").rglob("*.py"):
        path.touch()
    assert smoke.planned() == {}


def test_order_and_layout_of_the_config_rerun_nothing(smoke):
    path = smoke.path / "config.yaml"
    keys = yaml.safe_load(path.read_text())
    turned = {key: keys[key] for key in reversed(keys)}
    turned["eigenpairs"] = {key: turned["eigenpairs"][key] for key in reversed(turned["eigenpairs"])}
    turned["claims"] = {key: turned["claims"][key] for key in reversed(turned["claims"])}
    with rewritten(path, yaml.safe_dump(turned, sort_keys=False, default_flow_style=True)):
        assert smoke.planned() == {}
