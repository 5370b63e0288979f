"""Remove the lock that a killed snakemake left behind.

Snakemake locks its working directory and cannot tell whether the holder of a lock is still alive. This can,
for the processes of this machine: only if no snakemake works in this directory, the lock is stale.
"""

import subprocess
import sys
from pathlib import Path

import psutil

LOCKS = Path(".snakemake/locks")


def snakemake_at_work(directory: Path) -> bool:
    """Tell whether a snakemake, or a job that one left behind, runs in ``directory`` on this machine."""
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if any("snakemake" in word for word in words) and Path(process.cwd()) == directory:
                return True
        except psutil.Error:
            continue
    return False


if __name__ == "__main__" and LOCKS.is_dir() and any(LOCKS.iterdir()) and not snakemake_at_work(Path.cwd()):
    print("An earlier run was killed: removing the lock that it left behind.", file=sys.stderr)
    subprocess.run(
        [Path(sys.executable).with_name("snakemake"), "--unlock", "--quiet"],
        check=True,
        stderr=subprocess.DEVNULL,
    )
