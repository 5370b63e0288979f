"""The README's worked example, AdamW next to the other optimizers, on the smoke study."""

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from clone import ROOT, SMOKE, Clone, copy_of

FIGURE = "results/smoke/figures/fig03_localization.png"
RUN = re.compile(r"/runs/\w+/mlp-8/(\w+)/")
EXAMPLE = yaml.safe_load((ROOT / "docs/adamw.yaml").read_text())


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> tuple[str | Path, ...]:
    """The configuration files of the smoke study with the example's changes."""
    # Each optimizer needs two draws of this null model.
    draws = tmp_path_factory.mktemp("example") / "draws.yaml"
    draws.write_text("null_models: {draws: {shuffled_labels: 8}}")
    return SMOKE, ROOT / "docs/adamw.yaml", draws


def test_the_readme_shows_the_file() -> None:
    shown = re.search(r"```yaml\n(experiments:.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert shown
    assert yaml.safe_load(shown[1]) == EXAMPLE


def test_the_example_runs_what_the_readme_says(smoke: Clone, study: tuple[str | Path, ...]) -> None:
    outputs = smoke.outputs(study=study)
    pending = {path: output for path, output in outputs.items() if output.pending}
    # The smoke study has no runs with momentum, so those are pending as well.
    assert {match[1] for path in pending if (match := RUN.search(path))} == {"momentum", "adamw"}
    for rule in ("train", "eigenpairs", "wide_eigenpairs", "metrics"):
        own = [path for path in pending if "/adamw/" in path and outputs[path].rule == rule]
        assert len(own) == 2 * 2 * 2, rule
    assert any("/adamw/" in path for path in pending if outputs[path].rule == "preconditioned_eigenpairs")
    nulls = {Path(path).stem for path in pending if outputs[path].rule == "null_model"}
    assert nulls == {"permuted", "shuffled_labels"}
    assert {"minimum", "claims", "fig01", "fig03", "ext05"} <= {output.rule for output in pending.values()}


@pytest.mark.slow
def test_the_figure_has_four_optimizers(smoke: Clone, study: tuple[str | Path, ...], tmp_path: Path) -> None:
    clone = copy_of(smoke, tmp_path / "clone")
    result = clone.snakemake(FIGURE, study=study)
    assert result.returncode == 0, result.stdout
    table = pd.read_csv((clone.path / FIGURE).with_suffix(".csv"))
    assert set(table["optimizer"].dropna()) == {"sgd", "momentum", "adam", "adamw"}
