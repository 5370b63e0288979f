"""What every script begins with, in a process of its own."""

import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow/scripts"
REFUSED_AND_LATE = """
import atexit, logging, sys

sys.path.insert(0, sys.argv[1])
sys.path.insert(0, sys.argv[2])
from stage import logged

atexit.register(lambda: logging.error("Task was destroyed but it is pending!"))
with logged("job.log"):
    from eigendrift.errors import UserError

    raise UserError("Nothing of this is right.")
"""


def test_what_is_said_when_the_log_is_closed_is_said_to_nobody(tmp_path):
    command = [sys.executable, "-c", REFUSED_AND_LATE, str(SCRIPTS), str(SCRIPTS.parent)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "")
    assert (tmp_path / "job.log").read_text().endswith("ERROR Nothing of this is right.\n")
