"""What jobs made after their snakemake was killed: it counts as not made.

A job on a cluster goes on without the snakemake that submitted it, and takes the mark off that its outputs
are unfinished. But of which parameters and inputs they are, the dead one would have recorded. Without that
record a change of them would never make the outputs anew.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from eigendrift.errors import UserError

# Snakemake, which takes a while to import, is imported in functions: most often there is nothing to clean up.


def refuse_while_queued(outputs: Iterable[str]) -> None:
    """Refuse to clean up while jobs of a killed snakemake are in SLURM, where they would go on.

    Args:
        outputs: What it was to make, by paths as Snakemake has them.

    Raises:
        UserError: There are such jobs, or SLURM does not answer.
    """
    from snakemake.persistence.file import FilePersistence

    if jobs := _in_slurm(FilePersistence()._get_external_jobids(outputs)):
        raise UserError(
            f"Jobs of a killed run are still in SLURM: end them with `scancel {' '.join(jobs)}`, or wait for "
            "them, and try again."
        )


def forget(outputs: Iterable[str]) -> None:
    """Remove those files among the outputs of a killed snakemake of which it has written no record.

    Args:
        outputs: What it was to make, by paths as Snakemake has them. Directories stay: each has its manifest.
    """
    from snakemake.persistence.file import FilePersistence

    records = FilePersistence()
    files = {path: Path(path) for path in outputs if Path(path).is_file()}
    made = {path: records._read_record(path) for path in files}
    # A record's endtime is the modification time of the file that it is of.
    lost = [path for path, record in made.items() if not record or record.endtime != _modified(files[path])]
    for path in lost:
        files[path].unlink()
    if lost:
        count = f"{len(lost)} files" if len(lost) > 1 else "One file"
        print(
            f"{count} that jobs made after their snakemake was killed, such as {lost[0]}, removed: nothing "
            "recorded of which parameters they are.",
            file=sys.stderr,
        )


def _modified(file: Path) -> float:
    return file.stat().st_mtime


def _in_slurm(jobs: Iterable[str]) -> list[str]:
    """Return those jobs, by number, that wait or run in SLURM; none where there is no SLURM."""
    started = set(jobs)
    if not started or shutil.which("squeue") is None:
        return []
    # Not of these jobs alone: it refuses to be asked for one that it has forgotten.
    asked = subprocess.run(
        ["squeue", "--noheader", "--format=%A"], capture_output=True, text=True, check=False
    )
    if asked.returncode:
        raise UserError(
            f"Whether a killed run has jobs in SLURM is not to be found out: {asked.stderr.strip()}"
        )
    return sorted(started & set(asked.stdout.split()), key=int)
