"""The pages for readers, held against what they speak of."""

import base64
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from docs import configuration_reference, estimate, float16, gallery, rulegraph, scale
from PIL import Image
from snakemake.cli import get_argument_parser

from eigendrift.stores.arrays import STORES
from eigendrift.stores.writing import write_store
from eigendrift.study.runs import all_runs, runs_of
from runtime.configuration import merged

ROOT = Path(__file__).resolve().parents[2]


def test_the_reference_of_configuration_keys_is_up_to_date():
    page = (ROOT / configuration_reference.PAGE).read_text()
    expected = configuration_reference.with_reference(page)
    assert page == expected, "run `python docs/configuration_reference.py`"


def test_the_table_of_figures_is_up_to_date():
    page = (ROOT / gallery.TABLE_PAGE).read_text()
    assert page == gallery.with_table(page), "run `python docs/gallery.py`"


def test_the_gallery_is_made_of_what_the_report_embeds(tmp_path, monkeypatch):
    picture = io.BytesIO()
    Image.new("RGB", (2400, 1001), "white").save(picture, "png")
    embedded = {
        "results/s/figures/fig03_localization.png": {
            "name": "fig03_localization.png",
            "caption": "<p>Text <sub>w</sub>.</p>\n",
            "data_uri": "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode(),
        }
    }
    report = tmp_path / "results/s/report.html"
    report.parent.mkdir(parents=True)
    report.write_text(f"<script>\n    var results = {json.dumps(embedded)};\n</script>")
    (tmp_path / "docs/gallery").mkdir(parents=True)
    (tmp_path / "docs/gallery/fig99_retired.png").write_bytes(b"")
    monkeypatch.setattr(gallery, "ROOT", tmp_path)
    gallery.write_gallery(report)
    page = (tmp_path / "docs/gallery.md").read_text()
    assert "All figures of the study `s`" in page
    assert page.endswith(
        "## Figure 3\n\n**Inverse participation ratio of the leading eigenvector**\n\n"
        "![Inverse participation ratio of the leading eigenvector](gallery/fig03_localization.png)\n\n"
        "<p>Text <sub>w</sub>.</p>\n"
    )
    assert [path.name for path in (tmp_path / "docs/gallery").iterdir()] == ["fig03_localization.png"]
    with Image.open(tmp_path / "docs/gallery/fig03_localization.png") as small:
        assert small.size == (1200, 500)


def test_what_is_no_report_is_refused_with_one_sentence(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<p>var results</p>")
    with pytest.raises(SystemExit, match="is not a report of Snakemake; build it with `make report`"):
        gallery.results_of(page)


def jobs_of(config):
    """Benchmarks of a study: a job takes 10 s of a core, 4 of them start-up, and twice that by the clock."""
    runs = list(all_runs(config))
    rules = [(rule, run) for rule in ("train", "eigenpairs", "metrics") for run in runs]
    preconditioned = [
        ("preconditioned_eigenpairs", run)
        for run in runs_of(config, "main")
        if run.optimizer == "adam" and run.seed < config["eigenpairs"]["preconditioned_seeds"]
    ]
    nulls = [("null_model", f"mnist5k/mlp-32-32/{name}") for name in ("isotropic", "shuffled_labels")]
    jobs = [*rules, *((rule, run.directory) for rule, run in preconditioned), *nulls, ("fig01", "")]
    return pd.DataFrame(jobs, columns=["rule", "job"]).assign(seconds=20.0, start_up_seconds=8.0, cpu_seconds=10.0)


def test_a_study_estimated_from_itself_takes_as_long_as_it_took():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    jobs = jobs_of(config)
    table = estimate.estimate(jobs, config, config)
    assert table.loc["all", "jobs"] == len(jobs)
    assert table.loc["all", "hours"] == pytest.approx(len(jobs) * 10 / 3600)
    assert table.loc["all", "start_up_hours"] == pytest.approx(len(jobs) * 4 / 3600)


def test_an_estimate_follows_seeds_steps_and_checkpoints():
    measured = yaml.safe_load((ROOT / "config.yaml").read_text())
    wanted = yaml.safe_load((ROOT / "config.yaml").read_text())
    measured["experiments"]["main"]["seeds"] = 2
    wanted["training"]["steps"] *= 10
    wanted["training"]["checkpoints"]["count"] *= 2
    runs = len(all_runs(wanted))
    assert runs > len(all_runs(measured))
    table = estimate.estimate(jobs_of(measured), measured, wanted)
    assert table.loc["train", "jobs"] == runs
    assert table.loc["train", "hours"] == pytest.approx(runs * (4 + 60) / 3600)
    assert table.loc["eigenpairs", "hours"] == pytest.approx(runs * (4 + 12) / 3600)
    assert table.loc["metrics", "hours"] == pytest.approx(runs * (4 + 24) / 3600)
    # Each draw from shuffled_labels is a training.
    assert table.loc["null_model", "hours"] == pytest.approx((10 + 4 + 60) / 3600)


def test_an_estimate_follows_draws_and_preconditioned_seeds():
    measured = yaml.safe_load((ROOT / "config.yaml").read_text())
    wanted = yaml.safe_load((ROOT / "config.yaml").read_text())
    measured["null_models"]["draws"] = {
        **wanted["null_models"]["draws"],
        "isotropic": 50,
        "shuffled_labels": 6,
    }
    measured["eigenpairs"]["preconditioned_seeds"] = 1
    table = estimate.estimate(jobs_of(measured), measured, wanted)
    assert table.loc["null_model", "hours"] == pytest.approx((4 + 12 + 4 + 18) / 3600)
    seeds = wanted["eigenpairs"]["preconditioned_seeds"]
    assert table.loc["preconditioned_eigenpairs", "jobs"] == 2 * seeds


def test_an_estimate_from_another_study_is_refused():
    config = estimate.complete(ROOT / "workflow/studies/smoke.yaml")
    with pytest.raises(SystemExit, match="None of the jobs at hand is of digits-200/mlp-8"):
        estimate.estimate(jobs_of(yaml.safe_load((ROOT / "config.yaml").read_text())), config, config)


def test_the_estimate_is_printed_with_every_rule(tmp_path, capsys):
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    jobs_of(config).to_csv(tmp_path / "benchmarks.csv", index=False)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "study.yaml").write_text("{}")
    estimate.main(tmp_path, tmp_path / "study.yaml")
    lines = capsys.readouterr().out.splitlines()
    assert "| null_model | 2 | 0.01 | 0.00 |" in lines
    assert lines[-1].startswith(f"| all | {len(jobs_of(config))} |")


def test_bytes_of_a_study_count_what_has_an_entry_for_each_parameter():
    config = estimate.complete(ROOT / "workflow/studies/smoke.yaml")
    config["experiments"] = {"main": {**config["experiments"]["main"], "datasets": ["digits"], "seeds": 1}}
    weights = 65 * 8 + 9 * 10
    sgd, wide = 7 * (3 + 3), 4 * 5
    adam = 7 * (4 + 3) + 7 * 3
    nulls = (10 + 10 + 8 + 4 + 3 * 10) * 3 + 6 * 5
    assert scale.bytes_of(config) == 4 * weights * (sgd + wide + adam + wide + nulls)
    # Two checkpoints of three eigenvectors, of the Hessian, the wide and the preconditioned ones.
    trajectories, kept = 7 * (3 + 4), 2 * 3 * (2 + 2 + 1)
    assert scale.bytes_of(scale.thrifty(config)) == weights * (4 * (trajectories + nulls) + 2 * kept)


def test_ten_times_the_seeds_are_ten_times_the_runs():
    paper, tenfold = estimate.complete(scale.PAPER), merged([scale.PAPER, scale.TENFOLD])
    seeds = [{name: one["seeds"] for name, one in study["experiments"].items()} for study in (paper, tenfold)]
    assert seeds[1] == {name: 10 * number for name, number in seeds[0].items()}
    assert len(all_runs(tenfold)) == 10 * len(all_runs(paper))


def test_core_hours_for_a_gpu_are_those_of_the_rules_that_ask_for_one():
    config = estimate.complete(ROOT / "workflow/studies/smoke.yaml")
    row = scale.row("smoke", config, 7, pd.Series({"train": 1.0, "null_model": 2.0, "metrics": 4.0}), 10**10)
    assert row.endswith("| 7 | 7.0 | 3.0 | 10.0 |")


def test_what_a_study_took_is_in_hours_of_each_rule_and_bytes_of_runs_and_null_models(tmp_path):
    jobs = pd.DataFrame({"rule": ["train", "null_model", "train"], "cpu_seconds": [1800.0, 900.0, 3600.0]})
    assert scale.core_hours(jobs).to_dict() == {"train": 1.5, "null_model": 0.25}
    for path, size in ("runs/a/b", 3), ("null/c", 50), ("logs/d", 700):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_bytes(bytes(size))
    assert scale.bytes_on_disk(tmp_path) == 53


def pages():
    names = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"], cwd=ROOT, text=True
    )
    return sorted(names.split())


def anchors_of(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# A line of a block, or code within a paragraph, which may run over the end of a line.
COMMAND = re.compile(r"^ *(snakemake -[^#\n]*)|(?<!`)`(snakemake -[^`]*)`", re.M)
COMMANDS = sorted({" ".join("".join(found).split()) for page in PAGES for found in COMMAND.findall(page.read_text())})


# Of other executors the plugins are not in the lock; tests/system tries those where they are.
@pytest.mark.parametrize("command", [command for command in COMMANDS if "--executor" not in command])
def test_commands_give_snakemake_targets_as_targets(command):
    arguments = shlex.split(command.replace("…", ""))[1:]
    for file in get_argument_parser().parse_args(arguments).configfile or []:
        assert file.suffix == ".yaml", f"snakemake would take '{file}' for a configuration"


def test_commands_group_rules_that_there_are():
    rules = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    grouped = [name for page in PAGES for name in re.findall(r"--groups \{([\w,]+)\}", page.read_text())]
    assert grouped
    for name in ",".join(grouped).split(","):
        assert re.search(rf"^(use )?rule (\w+ as )?{name}( with)?:", rules, re.M), f"there is no rule {name}"


def test_there_are_commands():
    assert len(COMMANDS) > 8


@pytest.mark.parametrize("name", pages())
def test_links_lead_somewhere(name):
    page = ROOT / name
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in anchors_of(file), target
        elif anchor:
            line = int(anchor.removeprefix("L"))
            assert 0 < line <= len(file.read_text().splitlines()), target


@pytest.mark.slow
def test_the_picture_of_the_rules_is_up_to_date():
    dot = subprocess.check_output(
        [sys.executable, "-m", "snakemake", "--rulegraph", "dot"],
        cwd=ROOT,
        text=True,
        stderr=subprocess.DEVNULL,
    )
    drawn = re.findall(r"<title>(\w+)&#45;&gt;(\w+)</title>", (ROOT / "docs/rulegraph.svg").read_text())
    assert set(drawn) == rulegraph.without_implied(rulegraph.edges_of(dot)), "run `make rulegraph`"


def test_edges_that_others_imply_are_left_out():
    dot = '0[label = "all"]\n1[label = "fig01"]\n2[label = "ext02"]\n3[label = "data"]\n'
    dot += "1 -> 0\n2 -> 0\n3 -> 1\n3 -> 0\n1 -> 2\n"
    assert rulegraph.without_implied(rulegraph.edges_of(dot)) == {("data", "figures"), ("figures", "all")}
    assert '"figures" -> "all";' in rulegraph.condensed(dot)


def test_float16_is_measured_on_every_metric_of_eigenvectors(tmp_path, capsys):
    generator, sizes = np.random.default_rng(0), {"checkpoint": 4, "rank": 2, "parameter": 9}
    for kind in ("trajectory", "eigenpairs"):
        columns = {
            spec.name: generator.standard_normal([sizes[dim] for dim in spec.dims]).astype(spec.dtype)
            for spec in STORES[kind].arrays
        }
        columns["step"] = np.arange(4)
        if kind == "eigenpairs":
            columns["converged"][:] = True
            columns["eigenvector"] /= np.linalg.norm(columns["eigenvector"], axis=-1, keepdims=True)
        summary = {"shapes": [[2, 2], [2], [1, 2], [1]]}
        write_store(tmp_path / f"runs/seed0/{kind}.zarr", kind, columns, {}, summary)
    float16.main(tmp_path)
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    names = {spec.name for spec in STORES["metrics"].arrays if spec.name not in float16.UNTOUCHED}
    copied = {name for name in names if name.startswith(("train", "test"))}
    assert {row[0] for row in rows} == names - copied | {"the vector", "log10 of displacement"}
    assert all(0 < float(largest) < 1e-2 for *_, largest in rows)


def test_every_test_that_the_guarantees_name_exists():
    page = (ROOT / "docs/concepts/guarantees.md").read_text()
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", page)
    assert len(named) > 50
    tables = re.findall(r"^\| -.*\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert "".join(tables).count("\n") == len(named), "each line of a table has a test"
    for file, function in named:
        assert f"def {function}(" in (ROOT / file).read_text(), f"{file} has no {function}"
