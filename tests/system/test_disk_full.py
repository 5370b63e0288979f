"""A full disk, in every stage: the error names the path and the need, and with room the study goes on."""

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
    """A copy of the tiny study whose results lie on a file system of their own."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system")
    target = tmp_path_factory.mktemp("mounted") / "clone"
    shutil.copytree(tiny.path, target, symlinks=True, ignore=shutil.ignore_patterns("tiny"))
    shutil.copy2(tiny.path / TINY, target / TINY)
    results = target / RESULTS
    results.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "eigendrift", str(results)]
    if subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        shutil.copytree(tiny.path / RESULTS, results, dirs_exist_ok=True)
        yield Clone(target)
    finally:
        subprocess.run(["umount", "--lazy", str(results)], check=True)


def bytes_in(clone, outputs) -> int:
    paths = [path for name in outputs for path in [clone.path / name, *(clone.path / name).rglob("*")]]
    return sum(path.stat().st_blocks * 512 for path in paths if path.is_file())


def fill(clone, left: int) -> None:
    """Fill the file system up to so many bytes."""
    free = shutil.disk_usage(clone.path / RESULTS).free
    with (clone.path / RESULTS / "ballast").open("wb") as ballast:
        ballast.write(bytes(max(0, free - left)))


def test_a_copy_on_another_file_system_has_nothing_to_run(mounted):
    assert not any(output.pending for output in mounted.outputs("reported", study=TINY).values())


@pytest.mark.parametrize("stage", list(reversed(STAGES)))
def test_a_full_disk_is_told_with_path_and_need(mounted, made, stage):
    """From the last stage to the first, so that each has what it reads; the next test makes what is gone."""
    outputs = outputs_of(stage, made)
    # So full that not even the log has room, or so that what comes out is half written.
    left = 0 if list(STAGES).index(stage) % 2 else bytes_in(mounted, outputs) // 2
    delete(mounted, outputs)
    fill(mounted, left)
    try:
        result = mounted.snakemake(*outputs, study=TINY)
    finally:
        (mounted.path / RESULTS / "ballast").unlink()
    assert result.returncode == 1
    told = NO_ROOM.findall(result.stdout)
    assert told, result.stdout
    assert not any(float(need.split()[0].replace(",", "")) == 0 for _, need in told)
    assert "Traceback" not in result.stdout, result.stdout
    tally.count("full disks told")


def test_with_room_the_study_goes_on_to_the_same_bits(mounted, undisturbed):
    result = mounted.snakemake("reported", study=TINY)
    assert result.returncode == 0, result.stdout
    assert contents(mounted) == undisturbed
    assert not [path for path in (mounted.path / RESULTS).rglob(".*") if path.name != ".snakemake_timestamp"]
