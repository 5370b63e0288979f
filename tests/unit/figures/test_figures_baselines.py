"""Key figures of made-up runs, compared with pictures that a person has checked.

After a visible change on purpose, run `python tests/unit/figures/test_figures_baselines.py` with workflow/ on
the PYTHONPATH, check the pictures in tests/unit/figures/baselines, and commit them.
"""

from pathlib import Path
from typing import Any

import pytest
from figures_helpers import collection, sweep
from matplotlib.testing.compare import compare_images

from eigendrift.figures.declarations import FIGURES as DECLARED
from eigendrift.figures.parts import produce

BASELINES = Path(__file__).parent / "baselines"
RUNS = collection(("sgd", "momentum", "adam"), seeds=3, checkpoints=9)
SWEEP = sweep("batch_size", {"sgd": (32, 64, "full"), "adam": (32, 64, "full")}, checkpoints=9)
# The source and the settings of each figure.
FIGURES: dict[str, tuple[Any, dict[str, Any]]] = {
    "fig01_displacement": (RUNS, {"dataset": "digits", "waiting_times": 3}),
    "fig03_localization": (RUNS, {}),
    "fig20_batch_size_displacement": (SWEEP, {"waiting_times": 3}),
}
# Root mean square over all pixels, from 0 to 255. Thinner lines give 3, another color of one line gives 5.
TOLERANCE = 2.0


def draw_into(directory: Path, name: str) -> Path:
    files = {ending: directory / f"{name}.{ending}" for ending in ("png", "pdf", "csv")}
    produce(DECLARED[name].draw, *FIGURES[name], {}, files)
    return files["png"]


@pytest.mark.parametrize(
    "name",
    ["fig01_displacement", *(pytest.param(name, marks=pytest.mark.slow) for name in FIGURES if name[:5] != "fig01")],
)
def test_figures_look_as_before(name: str, tmp_path: Path) -> None:
    drawn = draw_into(tmp_path, name)
    difference = compare_images(str(BASELINES / f"{name}.png"), str(drawn), TOLERANCE)
    assert difference is None, difference


if __name__ == "__main__":
    import tempfile

    for figure_name in FIGURES:
        with tempfile.TemporaryDirectory() as scratch:
            draw_into(Path(scratch), figure_name).rename(BASELINES / f"{figure_name}.png")
