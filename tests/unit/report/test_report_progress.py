"""The progress of a study, read from the files that its jobs leave."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Timer

import pytest
from rich.console import Console

from eigendrift.report.progress import Job, jobs_of, seconds_left
from eigendrift.study.runs import all_runs
from runtime.configuration import checked, merged
from runtime.watch import main, view

ROOT = Path(__file__).resolve().parents[3]
SMOKE = str(ROOT / "workflow/studies/smoke.yaml")
RUN = "digits/mlp-8/adam/batch64-lr0.001/seed1"
CONFIG = checked(merged([SMOKE]))[0]
NOW = 1_800_000_000.0


def stamp(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) + ",000 INFO"


def log(results: Path, stage: str, name: str, lines: Sequence[str], written: float) -> None:
    path = results / "logs" / stage / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    os.utime(path, (written, written))


def found(results: Path, stage: str = "train", name: str = RUN) -> Job:
    (job,) = [job for job in jobs_of(CONFIG, results, NOW) if (job.stage, job.name) == (stage, name)]
    return job


def test_before_anything_ran_all_jobs_wait(tmp_path: Path) -> None:
    jobs = jobs_of(CONFIG, tmp_path / "nowhere")
    assert {job.state for job in jobs} == {"waiting"}
    assert [job.name for job in jobs if job.stage == "train"] == list(all_runs(CONFIG))
    assert "digits/mlp-8/wide-reinitialized" in [job.name for job in jobs if job.stage == "null_model"]
    assert seconds_left(jobs) == (0, False)
    console = Console(width=80, height=30)
    with console.capture() as capture:
        console.print(view("smoke", jobs, 80, 30))
    assert capture.get().splitlines()[-1] == "No job has started."


def test_the_log_of_a_training_shows_its_progress_and_state(tmp_path: Path) -> None:
    lines = [
        f"{stamp(NOW - 100)} train {RUN}: 10 of 60 loss 2.1",
        f"{stamp(NOW - 5)} train {RUN}: 30 of 60 loss 0.7",
    ]
    log(tmp_path, "train", RUN, lines, NOW - 5)
    assert found(tmp_path) == Job("train", RUN, "running", 30, 60, "loss 0.7", 100.0)
    log(tmp_path, "train", RUN, lines, NOW - 100)
    assert found(tmp_path).state == "quiet"
    log(tmp_path, "train", RUN, [*lines, "2027-01-15 08:00:00,000 ERROR No space left."], NOW)
    assert found(tmp_path).state == "failed"
    assert found(tmp_path).note == str(tmp_path / f"logs/train/{RUN}.log")


def test_the_progress_of_a_long_log_is_found(tmp_path: Path) -> None:
    lines = [f"{stamp(NOW - 900)} eigenpairs {RUN}: {number} of 5000 λ1 {number}" for number in range(4000)]
    log(tmp_path, "eigenpairs", RUN, lines, NOW)
    assert found(tmp_path, "eigenpairs") == Job("eigenpairs", RUN, "running", 3999, 5000, "λ1 3999", 900.0)


def test_a_job_is_done_when_its_manifest_is_there(tmp_path: Path) -> None:
    log(tmp_path, "train", RUN, [f"{stamp(NOW - 50)} train {RUN}: 60 of 60 loss 0.5"], NOW - 40)
    (tmp_path / "runs" / RUN).mkdir(parents=True)
    (tmp_path / "runs" / RUN / "trajectory.json").write_text("{}")
    times = tmp_path / "benchmarks/train" / f"{RUN}.tsv"
    times.parent.mkdir(parents=True)
    times.write_text("s\th:m:s\n7.5\t0:00:07\n")
    assert found(tmp_path) == Job("train", RUN, "done", 60, 60, "loss 0.5", 7.5)


def test_the_time_left_is_estimated_from_done_and_running_jobs() -> None:
    jobs = [
        Job("train", "a", "done", 60, 60, seconds=10),
        Job("train", "b", "running", 30, 60, seconds=15),
        Job("train", "c", "running", 0, 60, seconds=0.1),
        Job("train", "d", "waiting"),
    ]
    # 2.5 jobs of 20 s on average, two at once.
    assert seconds_left(jobs) == (25, True)
    assert seconds_left([*jobs, Job("null_model", "e", "waiting")]) == (25, False)
    assert seconds_left(jobs[:1]) == (0, True)


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_the_view_fits_the_terminal(width: int) -> None:
    long = "mnist5k/mlp-32-32/momentum/batch64-lr0.005"
    jobs = [Job("train", f"{long}/seed{seed}", "done", 8000, 8000, "loss 0.1", 9) for seed in range(50)]
    log = f"results/desk/logs/train/{long}/seed9.log"
    jobs[9] = Job("train", f"{long}/seed9", "failed", 100, 8000, log)
    jobs.append(Job("eigenpairs", RUN, "running", 3, 41, "λ1 12.3", 30))
    console = Console(width=width, height=30, record=True)
    with console.capture() as capture:
        console.print(view("desk", jobs, width, 30))
    text = capture.get()
    lines = text.splitlines()
    assert lines[0].startswith("Study desk, about 6 min left")
    assert len(lines) < 30
    assert all(len(line) <= width for line in lines)
    # Failed and running jobs come first; names and the path of the log are complete.
    table = next(number for number, line in enumerate(lines) if line.startswith("state"))
    assert lines[table + 1].split()[:5] == ["failed", "train", "100", "of", "8000"]
    first = next(line for line in lines if line.startswith("running "))
    assert all(part in first for part in ("eigenpairs", "3 of 41", "λ1 12.3"))
    assert any(line.startswith("done ") and "8000 of 8000" in line for line in lines)
    names = lines[table].rindex("of")
    assert f"{long}/seed0" in "".join(line[names:].strip() for line in lines[table + 1 :])
    assert log in "".join(text.split())


def test_watching_changes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results/smoke"
    log(results, "train", RUN, [f"{stamp(NOW)} train {RUN}: 30 of 60 loss 0.7"], NOW)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    main([SMOKE])
    assert "loss 0.7" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_wrong_study_is_refused_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("training: {step: 3}")
    with pytest.raises(SystemExit, match=r"^Config key 'training.step' is not known; did you mean 'steps'"):
        main([str(tmp_path / "study.yaml")])
    with pytest.raises(SystemExit, match="No such file"):
        main([str(tmp_path / "nowhere.yaml")])


def test_in_a_terminal_the_view_refreshes_until_it_is_interrupted(tmp_path: Path) -> None:
    results = tmp_path / "results/smoke"
    log(results, "train", RUN, [f"{stamp(NOW)} train {RUN}: 30 of 60 loss 0.7"], NOW)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "runtime.watch", SMOKE]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "TERM": "xterm", "COLUMNS": "200"}
    shown = ""
    ends = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, **ends) as watching:
        os.close(theirs)
        late = Timer(120, watching.kill)
        late.daemon = True
        late.start()
        with suppress(OSError):  # the other end is closed
            for loss in ("0.7", "0.6"):
                log(results, "train", RUN, [f"{stamp(NOW)} train {RUN}: 30 of 60 loss {loss}"], NOW)
                while f"loss {loss}" not in shown:
                    shown += os.read(ours, 65536).decode(errors="replace")
            watching.send_signal(signal.SIGINT)
            while more := os.read(ours, 65536):
                shown += more.decode(errors="replace")
        assert watching.wait() == 0
        late.cancel()
    os.close(ours)
    assert "Traceback" not in shown
