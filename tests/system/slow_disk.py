"""A slow disk, so that jobs of the tiny study can be hit at work: they write for seconds."""

import os
from pathlib import Path

from tiny_study import RESULTS

# Python runs it at every start; the fork server passes it on to its forks. Only jobs are slow, and only where they open
# a file of the results to write it, or rename one.
SITECUSTOMIZE = f"""
import os, sys, time

SECONDS = {{"open": 0.03, "os.rename": 0.2}}

def slowly(event, arguments):
    if event in SECONDS and ".snakemake/scripts/" in sys.argv[0]:
        path, how = arguments[0], arguments[2] if event == "open" else os.O_WRONLY
        name = "" if isinstance(path, int) else os.fsdecode(path)
        if {str(RESULTS)!r} in name and "/logs/" not in name and how & (os.O_WRONLY | os.O_RDWR):
            time.sleep(SECONDS[event])

sys.addaudithook(slowly)
"""


def environment_in(directory: Path) -> dict[str, str]:
    """The environment in which jobs write slowly, which needs a directory for a module."""
    (directory / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return {**os.environ, "PYTHONPATH": str(directory)}
