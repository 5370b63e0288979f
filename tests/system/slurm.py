"""A real SLURM cluster for tests, with one node on this machine."""

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
    """Return the SLURM programs that this machine lacks, also looking for daemons where PATH often does not."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    return [program for program in PROGRAMS if shutil.which(program, path=path) is None]


def await_that(condition: Callable[[], object], what: str, seconds: float = 300) -> None:
    """Wait until a condition holds, and fail with a message if it does not hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.1)


@dataclass(frozen=True)
class Slurm:
    """A running cluster.

    Attributes:
        home: Directory of the cluster's configuration, state and logs.
    """

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that make clients use this cluster."""
        return {"PATH": f"{self.home / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def ask(self, *command: str) -> str:
        """Run a client, such as squeue, and return its output."""
        result = subprocess.run(command, env=os.environ | self.environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    def jobs(self) -> dict[str, dict[str, str]]:
        """Return scontrol's description of every job that SLURM remembers, by job number."""
        lines = self.ask("scontrol", "show", "jobs", "--oneliner").splitlines()
        listed = [dict(part.partition("=")[::2] for part in line.split() if "=" in part) for line in lines]
        return {job["JobId"]: job for job in listed if "JobId" in job}

    def running(self, rule: str) -> str:
        """Return the number of a rule's only running job."""
        found = [
            number
            for number, job in self.jobs().items()
            if job["JobState"] == "RUNNING" and f"/rule_{rule}/" in job["StdOut"]
        ]
        assert len(found) == 1, found
        return found[0]

    def lose_node(self) -> None:
        """Kill the node with everything that runs on it, and report the loss to SLURM."""
        os.kill(int((self.home / "run/slurmd.pid").read_text()), signal.SIGKILL)
        for number, job in self.jobs().items():
            if job["JobState"] == "RUNNING":
                self._kill_processes_of(number)
        self.ask("scontrol", "update", "NodeName=node", "State=DOWN", "Reason=lost")

    def return_node(self) -> None:
        """Restart the node's daemon; the configuration puts the node back into service."""
        environment = os.environ | {"SLURM_CONF": str(self.home / "slurm.conf")}
        path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
        daemon = shutil.which("slurmd", path=path)
        assert daemon
        subprocess.run([daemon, "-N", "node"], env=environment, check=True)

    def _kill_processes_of(self, number: str) -> None:
        """Kill a job and its supervising processes, but nothing of another cluster on this machine."""
        working, watching = [], []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                variables, parent = process.environ(), process.parent()
                if variables.get("SLURM_JOB_ID") == number and str(self.home) in variables.get("PATH", ""):
                    working.append(process)
                    if parent and parent.name() == "slurmstepd":
                        watching.append(parent)
        # The supervising processes must end first, because they would report the end of the job.
        for process in watching + working:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def start(home: Path) -> Slurm:
    """Start the cluster."""
    subprocess.run(["bash", RECIPE, "up", home], check=True)
    return Slurm(home)


def stop(slurm: Slurm) -> None:
    """Stop the cluster."""
    subprocess.run(["bash", RECIPE, "down", slurm.home], check=True)
