"""Copies of the repository, in which snakemake runs as a user would run it."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMOKE = "workflow/studies/smoke.yaml"
# One file or several.
Study = str | Path | tuple[str | Path, ...]
# Seconds after which a snakemake hangs; the longest run of a test, in SLURM, takes half of it.
HANGS = 2100


@dataclass(frozen=True)
class Output:
    """One file or store that the workflow makes.

    Attributes:
        rule: The rule that makes it.
        inputs: What it was made from.
        log: The log of the job that made it.
        status: How snakemake finds it, such as ``ok``, ``missing`` or ``set of input files changed``.
        pending: Whether snakemake would make it now.
    """

    rule: str
    inputs: frozenset[str]
    log: str
    status: str
    pending: bool


@dataclass(frozen=True)
class Clone:
    """A copy of the repository's working tree.

    Attributes:
        path: Where it lies.
    """

    path: Path

    def snakemake(
        self, *arguments: str, study: Study = SMOKE, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run snakemake as a user would; the output holds stdout and stderr.

        Of several files of a study each is laid over those before.
        """
        files = study if isinstance(study, tuple) else (study,)
        command = [sys.executable, "-m", "snakemake", "--configfile", *files, "--nocolor", *arguments]
        # Into a file, which does not stay open for those who might outlive snakemake, as a pipe does.
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            try:
                done = subprocess.run(
                    command,
                    cwd=self.path,
                    env={**os.environ, **environment},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    check=False,
                    timeout=HANGS,
                )
            except subprocess.TimeoutExpired:
                output.seek(0)
                raise AssertionError(f"snakemake had not ended after {HANGS} s:\n{output.read()}") from None
            output.seek(0)
            return subprocess.CompletedProcess(command, done.returncode, output.read())

    def outputs(self, *targets: str, study: Study = SMOKE) -> dict[str, Output]:
        """Return everything that a study makes, by path, and what of it snakemake would make now."""
        result = self.snakemake("--detailed-summary", *targets, study=study)
        assert result.returncode == 0, result.stdout
        return read_summary(result.stdout)

    def pending(self) -> set[str]:
        """Return what snakemake would make now."""
        return {path for path, output in self.outputs().items() if output.pending}


def read_summary(text: str) -> dict[str, Output]:
    """Read what snakemake --detailed-summary prints, by path."""
    rows = [line.split("\t") for line in text.splitlines()]
    header, *rest = [row for row in rows if len(row) > 1]
    table = [dict(zip(header, row, strict=True)) for row in rest]
    assert {row["plan"] for row in table} <= {"update pending", "no update"}
    return {
        row["output_file"]: Output(
            row["rule"],
            frozenset(row["input-file(s)"].split(",")),
            row["log-file(s)"],
            row["status"],
            row["plan"] == "update pending",
        )
        for row in table
    }


@contextlib.contextmanager
def rewritten(path: Path, content: str) -> Iterator[None]:
    """Let a file hold something else for a while."""
    before = path.read_text()
    path.write_text(content)
    try:
        yield
    finally:
        path.write_text(before)


@contextlib.contextmanager
def put_back(clone: Clone, beside: Path) -> Iterator[None]:
    """Let a copy be changed, and make it what it was before, however that ends."""
    shutil.copytree(clone.path, beside, symlinks=True)
    try:
        yield
    finally:
        replace_by(clone, beside)


def replace_by(clone: Clone, kept: Path) -> None:
    """Make a copy what it was when it was copied elsewhere."""
    shutil.rmtree(clone.path)
    shutil.copytree(kept, clone.path, symlinks=True)


def copy_repository(target: Path) -> Clone:
    files = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in filter(None, files.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    return Clone(target)
