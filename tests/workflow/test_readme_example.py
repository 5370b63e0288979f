"""The README's worked example, AdamW beside the others, on the smoke study."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from clone import ROOT, SMOKE, Clone
from snakemake.utils import update_config

pytestmark = pytest.mark.xdist_group("smoke")

FIGURE = "results/smoke/figures/fig03_localization.png"
RUN = re.compile(r"/runs/\w+/mlp-8/(\w+)/")


@pytest.fixture(scope="module")
def changed(smoke: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The smoke study, run, with the example laid over it."""
    path = tmp_path_factory.mktemp("readme") / "clone"
    shutil.copytree(smoke.path, path, symlinks=True)
    study = yaml.safe_load((path / SMOKE).read_text())
    update_config(study, yaml.safe_load((path / "docs/adamw.yaml").read_text()))
    # Its settings of momentum are config.yaml's; of each optimizer there must be two draws.
    study["null_models"]["draws"]["shuffled_labels"] = 8
    (path / SMOKE).write_text(yaml.safe_dump(study))
    return Clone(path)


def test_the_page_shows_the_file() -> None:
    shown = re.search(r"```yaml\n(experiments:.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert shown
    assert yaml.safe_load(shown[1]) == yaml.safe_load((ROOT / "docs/adamw.yaml").read_text())


def test_it_runs_what_the_page_says(changed: Clone) -> None:
    outputs = changed.outputs()
    pending = {path: output for path, output in outputs.items() if output.pending}
    # Smoke has no momentum either.
    assert {match[1] for path in pending if (match := RUN.search(path))} == {"momentum", "adamw"}
    for rule in ("train", "eigenpairs", "wide_eigenpairs", "metrics"):
        own = [path for path in pending if "/adamw/" in path and outputs[path].rule == rule]
        assert len(own) == 2 * 2 * 2, rule
    assert any("/adamw/" in path for path in pending if outputs[path].rule == "preconditioned_eigenpairs")
    nulls = {Path(path).stem for path in pending if outputs[path].rule == "null_model"}
    assert nulls == {"permuted", "shuffled_labels"}
    assert {"minimum", "claims", "fig01", "fig03", "ext05"} <= {output.rule for output in pending.values()}


def test_the_figure_has_four_optimizers(changed: Clone) -> None:
    result = changed.snakemake(FIGURE)
    assert result.returncode == 0, result.stdout
    table = pd.read_csv((changed.path / FIGURE).with_suffix(".csv"))
    assert set(table["optimizer"].dropna()) == {"sgd", "momentum", "adam", "adamw"}
