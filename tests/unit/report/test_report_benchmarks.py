"""Run times, read from files as another machine could have written them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from eigendrift.errors import UserError
from eigendrift.figures import run_times
from eigendrift.figures.style import house_style
from eigendrift.report.benchmarks import collect_benchmarks, log_of
from eigendrift.stores.tables import write_checksummed_table

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
PATTERNS = {
    "train": "results/s/benchmarks/train/{run}.tsv",
    "null_model": "results/s/benchmarks/null_model/{dataset}/{model}/{null}.tsv",
    "fig01": "results/s/benchmarks/figures/fig01_displacement.tsv",
}
KNOWN = {"run": ["digits/mlp/sgd/seed0", "digits/mlp/sgd/seed1"], "dataset": ["digits"]}


def write(name, seconds, worked=None):
    benchmark = Path(f"results/s/benchmarks/{name}.tsv")
    benchmark.parent.mkdir(parents=True, exist_ok=True)
    benchmark.write_text(f"{HEADER}{seconds}\t0:00:01\t-\t1\t1\t1\t2.5\t0.5\t99\t3.25\n")
    if worked is not None:
        log_of(benchmark).parent.mkdir(parents=True, exist_ok=True)
        log_of(benchmark).write_text(
            "12:00:00,000 INFO step 1\n"
            f"12:00:01,000 INFO Worked for {worked} s, in all 3.25 s of processor time and 100 MiB\n"
        )


@pytest.fixture(autouse=True)
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("train/digits/mlp/sgd/seed0", 10.0, worked="7.50")
    write("null_model/digits/mlp/isotropic", 4.0, worked="4.25")
    write("figures/fig01_displacement", 2.0)


@pytest.fixture
def jobs():
    return collect_benchmarks(PATTERNS, KNOWN)


def test_every_benchmark_file_is_a_row(jobs):
    assert list(zip(jobs["rule"], jobs["job"], strict=True)) == [
        ("train", "digits/mlp/sgd/seed0"),
        ("null_model", "digits/mlp/isotropic"),
        ("fig01", ""),
    ]
    # Start-up is the time that the log does not count as work; clocks may differ, but it is never negative.
    columns = ["seconds", "start_up_seconds", "cpu_seconds", "peak_memory_mib"]
    expected = [[10.0, 2.5, 3.25, 100.0], [4.0, 0.0, 3.25, 100.0], [2.0, np.nan, np.nan, np.nan]]
    np.testing.assert_array_equal(jobs[columns], expected)


def test_files_of_other_configurations_are_left_out():
    write("train/digits/mlp/sgd/seed7", 1.0)
    write("null_model/mnist/mlp/isotropic", 1.0)
    write("retired/rule", 1.0)
    assert len(collect_benchmarks(PATTERNS, KNOWN)) == 3


def test_without_benchmark_files_there_is_an_error():
    sentence = r"no benchmark files such as nowhere/\{run\}\.tsv; run the study again"
    with pytest.raises(UserError, match=sentence):
        collect_benchmarks({"train": "nowhere/{run}.tsv"}, KNOWN)


def test_the_figure_shows_every_rule_and_job(jobs):
    write_checksummed_table(Path("benchmarks.csv"), jobs)
    with house_style({}):
        plotted = run_times.draw_run_times(run_times.read_run_times("benchmarks.csv"))
    table = plotted.table
    percentages = [text.get_text() for text in plotted.figure.axes[0].texts]
    assert percentages[-1] == "62 % of all, 1 job"
    # No rule has a name that pandas reads as a missing value.
    assert pd.read_csv("benchmarks.csv")["rule"].notna().all()
    by_rule = table[table["jobs"].notna()].set_index("rule")
    assert list(by_rule.index) == ["train", "null_model", "figures"]
    assert list(by_rule["total_seconds"]) == [10.0, 4.0, 2.0]
    assert list(by_rule["start_up_seconds"]) == [2.5, 0.0, 0.0]
    assert list(table[table["jobs"].isna()]["job_seconds"]) == [10.0, 4.0, 2.0]
