"""A live view of a study in the terminal: `make watch`, in the directory where snakemake runs.

It reads the files that jobs write, so it also works over ssh and on another machine, and writes nothing.
"""

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from eigendrift.errors import UserError
from eigendrift.report.progress import Job, jobs_of, seconds_left
from runtime.configuration import checked, merged

SECONDS_BETWEEN_UPDATES = 2.0
# Lines of the view that do not show jobs.
OTHER_LINES = 12
# Columns for the name of a run; a longer name takes several lines.
FEWEST_COLUMNS = 20
GAP = 2
# The most urgent state comes first.
STATES = {"failed": "bold red", "quiet": "yellow", "running": "green", "done": "dim", "waiting": "dim"}


def view(study: str, jobs: Sequence[Job], width: int, height: int) -> RenderableType:
    """Return the view of a study.

    Args:
        study: Name of the study.
        jobs: Jobs of the study.
        width: Columns of the terminal.
        height: Lines of the terminal, which limit how many jobs are shown.
    """
    seconds, known = seconds_left(jobs)
    left = f", {'about' if known else 'more than'} {_in_words(seconds)} left" if seconds else ""
    if all(job.state == "done" for job in jobs):
        left = ": training, eigenpairs and null models are done; metrics, claims and figures follow"
    title = Text(f"Study {study}{left}", style="bold")
    logs = [Text(job.note, overflow="fold") for job in jobs if job.state == "failed"]
    logs = logs[: max(1, (height - OTHER_LINES) // 4)]
    if logs:
        logs.insert(0, Text("Reasons of failures are in"))
    room = max(1, height - OTHER_LINES - sum(_lines(log.plain, width) for log in logs))
    begun = any(job.state != "waiting" for job in jobs)
    return Group(
        title,
        "",
        _progress_by_stage(jobs),
        "",
        _table(jobs, width, room) if begun else "No job has started.",
        *logs,
    )


def _progress_by_stage(jobs: Sequence[Job]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for stage in dict.fromkeys(job.stage for job in jobs):
        of_stage = [job for job in jobs if job.stage == stage]
        states = Counter(job.state for job in of_stage)
        counts = ", ".join(f"{states[state]} {state}" for state in STATES if states[state] and state != "waiting")
        bar = ProgressBar(total=len(of_stage), completed=sum(job.share for job in of_stage), width=30)
        grid.add_row(stage, bar, f"{states['done']} of {len(of_stage)}", counts)
    return grid


def _table(jobs: Sequence[Job], width: int, room: int) -> Table:
    """Return a table of the jobs that have started, the most urgent first, as many as there is room for."""
    order = list(STATES)
    started = sorted((job for job in jobs if job.state != "waiting"), key=lambda job: order.index(job.state))
    rows = [(job.state, job.stage, _done(job), "" if job.state == "failed" else job.note) for job in started]
    headings = ("state", "job", "done", "last")
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    left = max(FEWEST_COLUMNS, width - sum(widths) - len(widths) * GAP)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for heading, columns in zip(headings, widths, strict=True):
        table.add_column(heading, no_wrap=True, min_width=columns, justify="right" if heading == "done" else "left")
    table.add_column("of", overflow="fold", max_width=left)
    for job, row in zip(started, rows, strict=True):
        room -= _lines(job.name, left)
        if room < 0:
            break
        table.add_row(Text(job.state, style=STATES[job.state]), *row[1:], job.name)
    return table


def _done(job: Job) -> str:
    return f"{job.done} of {job.total}" if job.total else ""


def _lines(text: str, width: int) -> int:
    """Return how many lines a text takes."""
    return math.ceil(len(text) / width)


def _in_words(seconds: float) -> str:
    """Return a duration in words."""
    minutes = seconds / 60
    if minutes < 1:
        return "a minute"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"  # noqa: PLR2004


def main(arguments: Sequence[str]) -> None:
    """Show a study until it is interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime.watch", description="Show the progress of a study until interrupted."
    )
    parser.add_argument("studies", nargs="*", help="study files, as given to snakemake")
    parser.add_argument("--once", action="store_true", help="print the view once and exit")
    options = parser.parse_args(arguments)
    try:
        config, _, _ = checked(merged(options.studies))
    except UserError as error:
        sys.exit(str(error))
    results, console = Path("results") / config["study"], Console()

    def current_view() -> RenderableType:
        return view(config["study"], jobs_of(config, results), console.width, console.height)

    if options.once or not console.is_terminal:
        console.print(current_view())
        return
    try:
        with Live(current_view(), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(SECONDS_BETWEEN_UPDATES)
                live.update(current_view(), refresh=True)
    except KeyboardInterrupt:
        console.print(current_view())


if __name__ == "__main__":
    main(sys.argv[1:])
