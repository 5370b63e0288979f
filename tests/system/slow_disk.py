"""A simulated slow disk: jobs of the tiny study write for seconds, so that tests can kill them while they write."""

import os
from pathlib import Path

from tiny_study import RESULTS

# Python runs this code at every start, and forks inherit it from the fork server. The code slows down only jobs, when
# they open a results file for writing or rename one.
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
    """Return environment variables with which jobs write slowly; the module that slows them is put in a directory."""
    (directory / "sitecustomize.py").write_text(SITECUSTOMIZE)
    return {**os.environ, "PYTHONPATH": str(directory)}
