"""Copies of the repository, in which snakemake runs as a user would run it."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMOKE = "workflow/studies/smoke.yaml"


@dataclass(frozen=True)
class Clone:
    """A copy of the repository's working tree.

    Attributes:
        path: Where it lies.
    """

    path: Path

    def snakemake(
        self, *arguments: str, study: str = SMOKE, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run snakemake as a user would; the output holds stdout and stderr."""
        return subprocess.run(
            [sys.executable, "-m", "snakemake", f"--configfile={study}", *arguments],
            cwd=self.path,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def planned(self, *arguments: str) -> dict[str, int]:
        """Return how many jobs of each rule a dry run plans; `all` does not count."""
        result = self.snakemake("--dry-run", *arguments)
        assert result.returncode == 0, result.stdout
        if "Nothing to be done" in result.stdout:
            return {}
        table = result.stdout.split("Job stats:")[1].split("total")[0]
        return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, re.M) if rule != "all"}


def copy_repository(target: Path) -> Clone:
    files = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in filter(None, files.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)
    return Clone(target)
