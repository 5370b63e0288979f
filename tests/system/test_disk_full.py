"""A full disk in every stage: the error names the path and the space needed, and the study resumes with free space."""

import os
import re
import shutil
import subprocess

import pytest
import tally
from clone import Clone
from tiny_study import RESULTS, STAGES, TINY, contents, delete, outputs_of

pytestmark = pytest.mark.xdist_group("tiny")

NO_ROOM = re.compile(
    r"There is no room for (results/tiny/\S+), which takes up to ([\d,.]+ [KM]iB): its file system has "
    r"[\d.]+ [KM]iB left; free some space and run snakemake again"
)


@pytest.fixture(scope="module")
def mounted(tiny, tmp_path_factory):
    """A copy of the tiny study whose results have their own file system."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system")
    target = tmp_path_factory.mktemp("mounted") / "clone"
    shutil.copytree(tiny.path, target, symlinks=True, ignore=shutil.ignore_patterns("tiny"))
    shutil.copy2(tiny.path / TINY, target / TINY)
    results = target / RESULTS
    results.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "eigendrift", str(results)]
    if subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("this machine does not allow mounting a file system")
    try:
        shutil.copytree(tiny.path / RESULTS, results, dirs_exist_ok=True)
        yield Clone(target)
    finally:
        subprocess.run(["umount", "--lazy", str(results)], check=True)


def bytes_in(clone, outputs) -> int:
    paths = [path for name in outputs for path in [clone.path / name, *(clone.path / name).rglob("*")]]
    return sum(path.stat().st_blocks * 512 for path in paths if path.is_file())


def fill(clone, left: int) -> None:
    """Fill the file system until only ``left`` bytes are free."""
    free = shutil.disk_usage(clone.path / RESULTS).free
    with (clone.path / RESULTS / "ballast").open("wb") as ballast:
        ballast.write(bytes(max(0, free - left)))


def test_a_copy_on_another_file_system_is_up_to_date(mounted):
    assert not any(output.pending for output in mounted.outputs("reported", study=TINY).values())


@pytest.mark.parametrize("stage", list(reversed(STAGES)))
def test_a_full_disk_is_reported_with_path_and_space_needed(mounted, made, stage):
    """Stages run from last to first, so that each finds its inputs; the next test recreates deleted outputs."""
    outputs = outputs_of(stage, made)
    # The disk is so full that not even the log fits, or so that only half of the outputs fit.
    left = 0 if list(STAGES).index(stage) % 2 else bytes_in(mounted, outputs) // 2
    delete(mounted, outputs)
    fill(mounted, left)
    try:
        result = mounted.snakemake(*outputs, study=TINY)
    finally:
        (mounted.path / RESULTS / "ballast").unlink()
    assert result.returncode == 1
    reported = NO_ROOM.findall(result.stdout)
    assert reported, result.stdout
    assert not any(float(need.split()[0].replace(",", "")) == 0 for _, need in reported)
    assert "Traceback" not in result.stdout, result.stdout
    tally.count("full disks reported")


def test_the_study_resumes_with_free_space_and_gives_the_same_bits(mounted, undisturbed):
    result = mounted.snakemake("reported", study=TINY)
    assert result.returncode == 0, result.stdout
    assert contents(mounted) == undisturbed
    assert not [path for path in (mounted.path / RESULTS).rglob(".*") if path.name != ".snakemake_timestamp"]
