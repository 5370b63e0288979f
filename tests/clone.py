"""Copies of the repository in which Snakemake runs, as a user starts it or from a fork that starts faster."""

import contextlib
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMOKE = "workflow/studies/smoke.yaml"
# One file or several, each laid over the ones before it.
Study = str | Path | tuple[str | Path, ...]
# Seconds after which a run of Snakemake counts as hanging. The longest run, in SLURM, takes half as long.
HANGS = 2100
# Importing Snakemake takes longer than planning a small study. This process imports Snakemake once, and forks for every
# command line that it reads.
FORKS = """
import json, os, sys, traceback
import docutils.core, jinja2, jsonschema, numpy, requests, smart_open
from snakemake.cli import main

for line in sys.stdin:
    order = json.loads(line)
    if (child := os.fork()) == 0:
        code = 1
        output = os.open(order["output"], os.O_WRONLY)
        os.dup2(output, 1)
        os.dup2(output, 2)
        try:
            os.chdir(order["directory"])
            os.environ.update(order["environment"])
            sys.argv = ["snakemake", *order["arguments"]]
            main(order["arguments"])
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


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
        path: The directory of the copy.
    """

    path: Path

    def snakemake(self, *arguments: str, study: Study = SMOKE, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake as a user would start it; stdout of the result also holds stderr."""
        command = [sys.executable, "-m", "snakemake", *_with_study(study, arguments)]
        # A pipe would stay open for processes that outlive Snakemake; a file does not.
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

    def plan(
        self, *arguments: str, study: Study = SMOKE, directory: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake in a fork, for command lines that run no job: dry runs, summaries and refusals.

        Args:
            arguments: The command line without the program and the study.
            study: The files of the study; an empty tuple means config.yaml alone.
            directory: Where Snakemake starts, by default in the copy.
            environment: Environment variables that are added to the environment of the tests.

        Returns:
            The exit status, and in stdout what Snakemake wrote to stdout and stderr.
        """
        command = _with_study(study, arguments)
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as output:
            order = {
                "directory": str(directory or self.path),
                "arguments": command,
                "environment": dict(os.environ) | environment,
                "output": output.name,
            }
            forks = _forks()
            assert forks.stdin
            assert forks.stdout
            forks.stdin.write(json.dumps(order) + "\n")
            forks.stdin.flush()
            status = int(forks.stdout.readline())
            return subprocess.CompletedProcess(command, status, output.read())

    def planned(self, *arguments: str, study: Study = SMOKE) -> dict[str, int]:
        """Return how many jobs of each rule a dry run plans."""
        result = self.plan("--quiet", "rules", "--dry-run", *arguments, study=study)
        assert result.returncode == 0, result.stdout
        counts = {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", result.stdout, re.M)}
        assert counts or "Nothing to be done" in result.stdout, result.stdout
        return {rule: count for rule, count in counts.items() if rule != "total"}

    def clean_up(self, results: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Clean up after a killed Snakemake, as `make figures` does first."""
        return subprocess.run(
            [sys.executable, "-m", "runtime.lock", str(results)],
            cwd=self.path,
            env={**os.environ, "PYTHONPATH": "workflow", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def outputs(self, *targets: str, study: Study = SMOKE) -> dict[str, Output]:
        """Return everything that a study makes, by path, and whether Snakemake would make it now."""
        result = self.plan("--detailed-summary", *targets, study=study)
        assert result.returncode == 0, result.stdout
        return read_summary(result.stdout)

    def pending(self, *targets: str, study: Study = SMOKE) -> set[str]:
        """Return the paths of all outputs that Snakemake would make now."""
        return {path for path, output in self.outputs(*targets, study=study).items() if output.pending}


def _with_study(study: Study, arguments: tuple[str, ...]) -> list[str]:
    files = study if isinstance(study, tuple) else (study,)
    given = ["--configfile", *map(str, files)] if files else []
    return [*given, "--nocolor", *arguments]


@functools.cache
def _forks() -> subprocess.Popen[str]:
    """Return the process that forks for `Clone.plan`; it ends when the tests close its stdin by ending."""
    return subprocess.Popen([sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def read_summary(text: str) -> dict[str, Output]:
    """Return what `snakemake --detailed-summary` printed, by path."""
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
    """Give a file other content within a `with` block."""
    before = path.read_text()
    path.write_text(content)
    try:
        yield
    finally:
        path.write_text(before)


def copy_repository(target: Path) -> Clone:
    """Copy the repository's working tree, without what git ignores."""
    files = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in filter(None, files.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    return Clone(target)


def copy_of(clone: Clone, target: Path) -> Clone:
    """Copy a copy with all its results and with Snakemake's records, so that nothing is out of date."""
    return Clone(Path(shutil.copytree(clone.path, target, symlinks=True)))


def replace_by(clone: Clone, kept: Path) -> None:
    """Replace a copy by the state that was saved elsewhere."""
    shutil.rmtree(clone.path)
    shutil.copytree(kept, clone.path, symlinks=True)
