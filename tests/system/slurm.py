"""A real SLURM of one node on this machine, as tests use it."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

RECIPE = Path(__file__).with_name("slurm.sh")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "srun", "squeue", "scontrol")


def missing_programs() -> list[str]:
    """Return what this machine lacks of SLURM; daemons are often off a user's path."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    return [program for program in PROGRAMS if shutil.which(program, path=path) is None]


def await_that(condition: Callable[[], object], what: str, seconds: float = 300) -> None:
    """Wait until something is so, and fail with a sentence if it never is."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.1)


@dataclass(frozen=True)
class Slurm:
    """A cluster that is up.

    Attributes:
        home: Where its configuration, state and logs lie.
    """

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which clients find this cluster."""
        return {"PATH": f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def ask(self, *command: str) -> str:
        """Run a client, such as squeue."""
        result = subprocess.run(command, env=os.environ | self.environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def jobs(self) -> dict[str, dict[str, str]]:
        """Return what scontrol says of every job that it remembers, by the job's number."""
        lines = self.ask("scontrol", "show", "jobs", "--oneliner").splitlines()
        listed = [dict(part.partition("=")[::2] for part in line.split() if "=" in part) for line in lines]
        return {job["JobId"]: job for job in listed if "JobId" in job}

    def running(self, rule: str) -> str:
        """Return the number of the one job of a rule that runs."""
        found = [
            number
            for number, job in self.jobs().items()
            if job["JobState"] == "RUNNING" and f"/rule_{rule}/" in job["StdOut"]
        ]
        assert len(found) == 1, found
        return found[0]

    def lose_node(self) -> None:
        """Let the node die with everything that runs on it, and SLURM notice."""
        os.kill(int((self.home / "run/slurmd.pid").read_text()), signal.SIGKILL)
        for number, job in self.jobs().items():
            if job["JobState"] == "RUNNING":
                self._kill_processes_of(number)
        self.ask("scontrol", "update", "NodeName=node", "State=DOWN", "Reason=lost")

    def return_node(self) -> None:
        """Let the node come back; by its configuration it serves again once its daemon is there."""
        environment = os.environ | {"SLURM_CONF": str(self.home / "slurm.conf")}
        path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
        daemon = shutil.which("slurmd", path=path)
        assert daemon
        subprocess.run([daemon, "-N", "node"], env=environment, check=True)

    def _kill_processes_of(self, number: str) -> None:
        """Kill a job and what watches over it, but none of another cluster on this machine."""
        working, watching = [], []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                variables, parent = process.environ(), process.parent()
                if variables.get("SLURM_JOB_ID") == number and str(self.home) in variables.get("PATH", ""):
                    working.append(process)
                    if parent and parent.name() == "slurmstepd":
                        watching.append(parent)
        # First the watching ones, which would report the end of the others.
        for process in watching + working:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def start(home: Path) -> Slurm:
    """Bring the cluster up."""
    subprocess.run(["bash", RECIPE, "up", home], check=True)
    return Slurm(home)


def stop(slurm: Slurm) -> None:
    """Take it down."""
    subprocess.run(["bash", RECIPE, "down", slurm.home], check=True)
