"""Tests of the benchmark's arithmetic and of its command."""

import csv
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import methods, problems, rows, table, targets
from benchmarks.bound import product_operations
from benchmarks.compare import interleave, solved_row
from benchmarks.judge import Reference, judge
from benchmarks.task import Answer
from benchmarks.worker import Failure, Run, Worker
from torch.nn.utils import parameters_to_vector
from torch.utils.flop_counter import FlopCounterMode

from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.errors import UserError
from eigendrift.numerics import generator
from eigendrift.training.torch_networks import build_model

ROOT = Path(__file__).resolve().parents[2]
SPECTRUM = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.5, 0.0, -1.0])
MATRIX = np.diag(SPECTRUM)
REFERENCE = Reference(SPECTRUM[:5], np.eye(8)[:5])
ROW = rows.Row("small-4000", "784-32-32-10", 26_506, "mnist5k", 4_000, 3, "", "1")


def in_place_product(_sum, left, right, *_, **__):
    (rows_, shared), (_, columns) = left, right
    return 2 * rows_ * shared * columns


@pytest.mark.parametrize("hidden", [(), (8,), (32, 16), (12, 12, 12)])
def test_operation_counts_equal_those_of_a_real_product(hidden):
    settings = {"hidden_widths": hidden, "activation": "relu", "initialization": "glorot_uniform"}
    model = build_model(settings, (4, 4), 10, generator("benchmark"))
    operator = PerceptronHessian(model, torch.rand(50, 4, 4), torch.arange(50) % 10)
    vectors = torch.rand(3, operator.size)
    # The counter does not know the in-place product.
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: in_place_product}) as counter:
        operator @ vectors
    assert counter.get_total_flops() == 3 * product_operations((16, *hidden, 10), 50)


def verdict(values, vectors):
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return judge(np.asarray(values), unit, unit @ MATRIX, REFERENCE)


def test_the_leading_pairs_pass():
    found = verdict(SPECTRUM[:3], np.eye(8)[:3])
    assert found.accurate
    assert found.complete
    assert found.overlap == pytest.approx(1)
    assert found.residual == pytest.approx(0)
    assert not found.reference_is_incomplete


def test_a_skipped_pair_is_detected_even_if_all_residuals_vanish():
    found = verdict(SPECTRUM[[0, 2, 3]], np.eye(8)[[0, 2, 3]])
    assert found.accurate
    assert not found.complete
    assert found.missing == pytest.approx(1 / 5)
    assert found.overlap == pytest.approx(0)


def test_a_pair_returned_twice_is_detected_even_if_all_residuals_vanish():
    found = verdict(SPECTRUM[[0, 0, 1]], np.eye(8)[[0, 0, 1]])
    assert found.accurate
    assert not found.complete
    assert found.overlap == 0


def test_loose_pairs_are_inaccurate_but_not_incomplete():
    found = verdict(SPECTRUM[:3], np.eye(8)[:3] + 0.02)
    assert not found.accurate
    assert found.complete
    assert 0 < found.missing < found.residual


def test_a_wrong_eigenvalue_raises_the_residual():
    found = verdict([5.0, 4.0, 2.9], np.eye(8)[:3])
    assert found.residual == pytest.approx(0.1 / 5)


def test_a_reference_that_misses_a_pair_is_detected():
    poor = Reference(SPECTRUM[[0, 2, 3]], np.eye(8)[[0, 2, 3]])
    assert judge(SPECTRUM[:3], np.eye(8)[:3], np.eye(8)[:3] @ MATRIX, poor).reference_is_incomplete


def test_runs_are_interleaved_within_their_budget():
    order = []
    seconds = {"quick": 1.0, "slow": 8.0, "broken": 0.0}

    def solve(name):
        order.append(name)
        return Failure("it broke") if name == "broken" else Run(seconds[name], 0, None)

    results = interleave(list(seconds), solve, repeats=3, budget=10)
    assert order == ["quick", "slow", "broken", "quick", "quick"]
    assert {name: len(done) for name, done in results.items()} == {"quick": 3, "slow": 1, "broken": 1}


def cell(**seconds):
    """Return the rows of a checkpoint, all accurate and complete, with these seconds by method."""
    known = {
        "eigendrift": "eigendrift",
        "together": methods.EIGENDRIFT_TOGETHER.name,
        "scipy": methods.METHODS[2].name,
        "pyhessian": "PyHessian",
        "curvlinops": methods.METHODS[3].name,
    }
    return [
        replace(ROW, method=known[name], seconds=value, products=20, accurate=True, complete=True, repeats=5)
        for name, value in seconds.items()
    ]


def judged(cells):
    found = targets.judge_targets(rows.with_ratios(cells, operations=10**9, rate=1e11))
    return {target.text: (target.value, target.verdict) for target in found}


def test_targets_are_judged_by_the_fastest_peer():
    found = judged(cell(eigendrift=0.25, scipy=0.5, curvlinops=1.0, pyhessian=3.0))
    assert found["times faster than the fastest peer"] == (2.0, "not met")
    assert found["times faster than the fastest peer with its own products"] == (4.0, "met")
    assert found["times faster than PyHessian at its looser result"] == (12.0, "met")
    assert found["of the bound"] == (pytest.approx(0.8), "met")


def test_checkpoints_together_are_compared_with_peers_that_have_their_own_products():
    text = "times faster per checkpoint, many together, than the fastest peer with its own products"
    times = {"eigendrift": 0.25, "scipy": 0.5, "curvlinops": 1.0}
    assert text not in judged(cell(**times))
    found = judged(cell(**times, together=0.08))
    assert found[text] == (12.5, "met")
    # Checkpoints together do not count as a peer of eigendrift.
    assert found["times faster than the fastest peer"] == (2.0, "not met")
    assert judged(cell(**times, together=0.125))[text] == (8.0, "not met")


def test_the_time_of_checkpoints_together_is_per_checkpoint(tmp_path):
    problem = replace(problems.QUICK_PROBLEMS[0], steps=50)
    checkpoint = problems.make_checkpoint(problem, tmp_path)
    answer = Answer(np.ones(1), np.ones((1, checkpoint.parameters)), 7)
    runs = [Run(82.0, 0, answer), Run(41.0, 0, answer), Run(123.0, 0, answer)]
    row = solved_row(checkpoint, methods.EIGENDRIFT_TOGETHER, 1, runs)
    assert (row.fastest, row.seconds, row.slowest) == (1.0, 2.0, 3.0)
    stopped = solved_row(checkpoint, methods.EIGENDRIFT_TOGETHER, 1, [Failure("more than 82 s", 82.0)])
    assert stopped.at_least == 2.0


def test_the_last_weights_of_the_trajectory_are_the_weights_of_the_network(tmp_path):
    checkpoint = problems.make_checkpoint(problems.QUICK_PROBLEMS[0], tmp_path)
    trajectory = checkpoint.trajectory()
    assert trajectory.shape == (problems.CHECKPOINTS, checkpoint.parameters)
    model, *_ = checkpoint.load(torch.device("cpu"))
    assert torch.equal(trajectory[-1], parameters_to_vector(model.parameters()))
    assert len(torch.unique(trajectory, dim=0)) == problems.CHECKPOINTS


def test_inaccurate_and_incomplete_peers_do_not_count():
    own, scipy, curvlinops = cell(eigendrift=0.25, scipy=0.5, curvlinops=1.0)
    for wrong in ({"accurate": False}, {"complete": False}):
        found = judged([own, replace(scipy, **wrong), curvlinops])
        assert found["times faster than the fastest peer"] == (4.0, "met")


def test_no_target_is_met_without_a_result_of_eigendrift():
    own, scipy = cell(eigendrift=0.25, scipy=1.0)
    for wrong in ({"accurate": False}, {"complete": False}, {"seconds": None, "at_least": 120.0}):
        verdicts = {verdict for _, verdict in judged([replace(own, **wrong), scipy]).values()}
        assert verdicts == {"no value"}


def test_a_target_is_not_decided_if_the_peer_was_stopped_too_early():
    own, scipy = cell(eigendrift=50.0, scipy=1.0)
    stopped = replace(scipy, seconds=None, at_least=120.0, note="more than 120 s", accurate=False)
    assert judged([own, stopped])["times faster than the fastest peer"] == (2.4, "not decided")
    found = judged([replace(own, seconds=20.0), stopped])
    assert found["times faster than the fastest peer"] == (6.0, "met")


def test_the_page_marks_inaccurate_incomplete_and_stopped_results():
    own, scipy, curvlinops = cell(eigendrift=0.25, scipy=0.5, curvlinops=1.0)
    scipy = replace(scipy, residual=2e-3, overlap=1.0, shortfall=0.0, accurate=False)
    curvlinops = replace(curvlinops, residual=2e-5, overlap=0.0, shortfall=0.2, complete=False)
    stopped = replace(ROW, method="PyHessian", at_least=120.0, note="more than 120 s")
    found = rows.with_ratios([own, scipy, curvlinops, stopped], 10**9, 1e11)
    machine = {"processor": "abacus", "threads of each method": 1}
    page = table.report_page(found, targets.judge_targets(found), ["small-60000, which needs mnist."], machine)
    assert "2.0e-03 > 1e-04" in page
    assert "no, short by 2.0e-01" in page
    assert "> 120" in page
    assert "Left out: small-60000" in page
    assert "not met" not in page
    assert page.count("784-32-32-10") == 1


def test_missing_libraries_are_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pyhessian" else name)
    with pytest.raises(UserError, match=r"PyHessian is not installed; run pip install '\.\[peers\]'"):
        methods.check_installed()


def test_missing_data_are_requested_and_not_downloaded(monkeypatch, tmp_path):
    monkeypatch.delenv("EIGENDRIFT_DATA", raising=False)
    assert "EIGENDRIFT_DATA" in problems.unavailable("mnist")
    monkeypatch.setenv("EIGENDRIFT_DATA", str(tmp_path))
    assert "train-images-idx3-ubyte" in problems.unavailable("mnist")
    assert problems.unavailable("digits") is None


def test_a_run_that_exceeds_its_limit_is_stopped(tmp_path):
    checkpoint = problems.make_checkpoint(problems.QUICK_PROBLEMS[0], tmp_path)
    worker = Worker(checkpoint, "eigendrift", "cpu", threads=1)
    try:
        run = worker.run(2, limit=60)
        assert run.answer.vectors.shape == (2, checkpoint.parameters)
        assert worker.run(2, limit=0) == Failure("more than 0 s", 0)
        assert "process ended" in worker.run(2, limit=60).reason
    finally:
        worker.stop()


@pytest.mark.slow
def test_quick_benchmark(tmp_path):
    for method in methods.METHODS:
        pytest.importorskip(method.module, reason=f"{method.distribution}: pip install '.[peers]'")
    command = [sys.executable, "-m", "benchmarks", "--quick", "--device", "cpu", "--output", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    with (tmp_path / "eigenpairs-cpu.csv").open() as file:
        found = {row["method"]: row for row in csv.DictReader(file)}
    assert list(found) == [method.name for method in methods.METHODS]
    for name, row in found.items():
        assert row["complete"] == "True", name
        assert row["accurate"] == str(name != "PyHessian"), name
        assert float(row["seconds"]) > 0
        assert int(row["products"]) > 0
        assert name in result.stdout
    names = {path.name for path in tmp_path.iterdir()}
    assert names >= {"growth-cpu.csv", "machine-cpu.json", "eigenpairs-cpu.md", "benchmark.png"}
