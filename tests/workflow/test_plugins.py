"""Plug-ins of every kind from another directory: figures that use them, and what a change of a plug-in reruns."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from clone import ROOT, SMOKE, Clone, copy_repository, rewritten

from eigendrift.figures.style import LINES
from eigendrift.stores.reading import open_store

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("plugins")]

# Changes of the smoke study.
OVERLAY = {
    "experiments": {
        "main": {
            "datasets": ["bars"],
            "model": "narrow",
            "optimizers": ["sgd", "signs"],
            "batch_size": 20,
            "seeds": 1,
        },
        **dict.fromkeys(("batch_sizes", "learning_rates", "training_sizes")),
    },
    "optimizers": {"signs": {"learning_rate": 0.01, "shrinkage": 0.1}},
    "models": {"narrow": {"kind": "bottleneck", "width": 5}},
    "null_models": {"names": ["flipped"], "draws": {"flipped": 4}},
    "figures": {"null_model": "flipped"},
}
STUDY = (SMOKE, "mine.yaml")
RUNS = "results/smoke/runs/bars/narrow"
SIGNS = f"{RUNS}/signs/batch20-lr0.01/seed0"
FIGURES = [f"results/smoke/figures/{name}.png" for name in ("entropy", "fig03_localization")]
# Outputs of the other scripts that read plug-ins.
FURTHER = ["results/smoke/minima/bars/narrow/signs.json", "results/smoke/null_validation.csv"]
SHOWN = """
from eigendrift.extensions import Figure
def draw(collection):
    import pandas as pd
    from eigendrift.figures import parts, style
    figure, _ = parts.panels(1, 1)
    line = style.optimizer_lines(["signs"])["signs"]
    return parts.Plotted(figure, pd.DataFrame([{"color": line["color"]}]))
EXTENSIONS = [Figure(name="train", draw=draw, caption="A colour.")]
"""
BROKEN = """
from eigendrift.extensions import Metric
def measure(trajectory, eigenpairs):
    return trajectory.weights / eigenpairs.wrong
EXTENSIONS = [Metric(name="broken", measure=measure, meaning="Nothing.")]
"""


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The smoke study with a plug-in of every kind, run as far as figures, a minimum and the validation."""
    clone = copy_repository(tmp_path_factory.mktemp("plugins"))
    plugins = tmp_path_factory.mktemp("elsewhere") / "plugins"
    shutil.copytree(ROOT / "examples", plugins)
    (clone.path / "mine.yaml").write_text(yaml.safe_dump(OVERLAY | {"plugins": [str(plugins)]}))
    (plugins / "shown.py").write_text(SHOWN)
    shown = "results/smoke/figures/train.png"
    result = clone.snakemake(*FIGURES, *FURTHER, shown, study=STUDY)
    assert result.returncode == 0, result.stdout
    return clone


@pytest.fixture
def plugins(mine: Clone) -> Path:
    return Path(yaml.safe_load((mine.path / "mine.yaml").read_text())["plugins"][0])


def test_figures_show_the_plugins(mine: Clone) -> None:
    table = pd.read_csv(mine.path / "results/smoke/figures/entropy.csv")
    assert set(table["optimizer"]) == {"sgd", "signs"}
    eigenpairs = open_store(mine.path / SIGNS / "eigenpairs.zarr", "eigenpairs")
    shares = eigenpairs["eigenvector"].isel(rank=0).values.astype(float) ** 2
    expected = -(shares * np.log(shares, where=shares > 0, out=np.zeros_like(shares))).sum(-1)
    drawn = table[table["optimizer"] == "signs"].set_index("step")["mean"]
    np.testing.assert_allclose(drawn.loc[eigenpairs["step"].values], expected)
    shown = pd.read_csv(mine.path / "results/smoke/figures/fig03_localization.csv")
    assert set(shown["null_model"].dropna()) == {"flipped"}
    assert set(shown["optimizer"].dropna()) == {"sgd", "signs"}


def test_an_optimizer_of_a_plugin_has_one_line_in_all_figures(mine: Clone) -> None:
    (color,) = pd.read_csv(mine.path / "results/smoke/figures/train.csv")["color"]
    assert color == LINES[1]["color"]  # SGD has the first color.


def test_an_error_in_a_plugin_is_reported_with_its_file_and_line(mine: Clone, plugins: Path) -> None:
    broken = plugins / "broken.py"
    broken.write_text(BROKEN)
    result = mine.snakemake(f"{SIGNS}/plugins/broken.json", study=STUDY)
    broken.unlink()
    assert result.returncode == 1
    assert f"ERROR Plug-in {broken}, line 4: AttributeError: " in result.stdout
    assert "; fix it and run the same command again." in result.stdout
    assert "not the user's doing" not in result.stdout


def test_training_uses_the_optimizer_of_the_plugin(mine: Clone) -> None:
    run = open_store(mine.path / SIGNS / "trajectory.zarr", "trajectory")
    weights, gradient = run["weights"].values[0], run["gradient"].values[0]
    expected = -0.01 * (np.sign(gradient) + 0.1 * weights)
    np.testing.assert_allclose(run["update"].values[0], expected, atol=1e-7)


@pytest.mark.parametrize(
    ("file", "first", "apart"),
    [
        ("signs.py", f"{SIGNS}/trajectory", "/sgd/"),
        ("entropy.py", f"{SIGNS}/plugins/entropy", "/trajectory"),
        ("flipped.py", "results/smoke/null/bars/narrow/flipped", "/runs/"),
        ("bars.py", "results/smoke/data/bars", ""),
        ("bottleneck.py", f"{RUNS}/sgd/batch20-lr0.05/seed0/trajectory", "/data/"),
        # bottleneck.py imports this file.
        ("_shared.py", f"{RUNS}/sgd/batch20-lr0.05/seed0/trajectory", "/data/"),
    ],
)
def test_a_changed_plugin_reruns_what_uses_it(mine: Clone, plugins: Path, file: str, first: str, apart: str) -> None:
    with rewritten(plugins / file, (plugins / file).read_text() + "\n# changed\n"):
        pending = mine.pending(*FIGURES, study=STUDY)
    assert f"{first}.zarr" in pending
    assert "results/smoke/figures/entropy.png" in pending or file == "flipped.py"
    assert not apart or not [path for path in pending if apart in path]


def test_touched_and_added_plugins_rerun_nothing(mine: Clone, plugins: Path) -> None:
    assert mine.pending(*FIGURES, study=STUDY) == set()
    (plugins / "signs.py").touch()
    another = plugins / "another.py"
    another.write_text(
        "from eigendrift.extensions import Optimizer\nEXTENSIONS = [Optimizer(name='another', build=print)]\n"
    )
    assert mine.pending(*FIGURES, study=STUDY) == set()
    another.unlink()


def test_a_network_whose_plugin_is_not_listed_is_refused(mine: Clone) -> None:
    (mine.path / "wrong.yaml").write_text(yaml.safe_dump(OVERLAY | {"plugins": []}))
    result = mine.plan("--dry-run", study=(SMOKE, "wrong.yaml"))
    assert result.returncode == 1
    assert "'models.narrow.kind' is 'bottleneck', expected one of mlp, cnn" in result.stdout
    assert "Traceback" not in result.stdout
