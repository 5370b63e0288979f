"""A live view of a study in the terminal: `python workflow/watch.py [study.yaml …]`, where snakemake runs.

It reads what jobs leave, also over ssh and on another machine, and writes nothing.
"""

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from eigendrift.errors import UserError
from eigendrift.extensions.plugins import load_plugins, plugin_files
from eigendrift.report.progress import Job, jobs_of, seconds_left
from eigendrift.study.check import check_config
from eigendrift.study.normalized import without_unset
from overlay import laid_over_default

HERE = Path(__file__).resolve().parent
SECONDS_BETWEEN_LOOKS = 2.0
# Lines of the view that are not jobs.
OTHER_LINES = 12
# Columns for the name of a run, which takes several lines where there are not enough.
FEWEST_COLUMNS = 20
GAP = 2
# Those that matter most come first.
STATES = {"failed": "bold red", "quiet": "yellow", "running": "green", "done": "dim", "waiting": "dim"}


def complete(studies: Sequence[str]) -> dict[str, Any]:
    """Return config.yaml with studies laid over it, as snakemake would have it.

    Raises:
        UserError: It is wrong.
    """
    config = without_unset(laid_over_default(studies))
    load_plugins(plugin_files(config.get("plugins")))
    check_config(config, yaml.safe_load((HERE / "schemas/config.schema.yaml").read_text("utf-8")))
    return config


def view(study: str, jobs: Sequence[Job], width: int, height: int) -> RenderableType:
    """Return what the terminal shows.

    Args:
        study: Name of the study.
        jobs: Its jobs.
        width: Columns of the terminal; names of runs that are longer take several lines.
        height: Lines of the terminal, which decide how many jobs are shown.
    """
    seconds, known = seconds_left(jobs)
    left = f", {'about' if known else 'more than'} {_spoken(seconds)} left" if seconds else ""
    if all(job.state == "done" for job in jobs):
        left = ": all trained, solved and drawn; metrics, claims and figures follow"
    title = Text(f"Study {study}{left}", style="bold")
    logs = [Text(job.note, overflow="fold") for job in jobs if job.state == "failed"]
    logs = logs[: max(1, (height - OTHER_LINES) // 4)]
    if logs:
        logs.insert(0, Text("What failed says why in"))
    room = max(1, height - OTHER_LINES - sum(_lines(log.plain, width) for log in logs))
    begun = any(job.state != "waiting" for job in jobs)
    return Group(
        title, "", _stages(jobs), "", _table(jobs, width, room) if begun else "Nothing has begun.", *logs
    )


def _stages(jobs: Sequence[Job]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for stage in dict.fromkeys(job.stage for job in jobs):
        own = [job for job in jobs if job.stage == stage]
        states = Counter(job.state for job in own)
        told = ", ".join(
            f"{states[state]} {state}" for state in STATES if states[state] and state != "waiting"
        )
        bar = ProgressBar(total=len(own), completed=sum(job.share for job in own), width=30)
        grid.add_row(stage, bar, f"{states['done']} of {len(own)}", told)
    return grid


def _table(jobs: Sequence[Job], width: int, room: int) -> Table:
    """Show the jobs that are at work or failed, and as many of the others as there is room for."""
    order = list(STATES)
    chosen = sorted((job for job in jobs if job.state != "waiting"), key=lambda job: order.index(job.state))
    rows = [(job.state, job.stage, _done(job), "" if job.state == "failed" else job.note) for job in chosen]
    headings = ("state", "job", "done", "last")
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    left = max(FEWEST_COLUMNS, width - sum(widths) - len(widths) * GAP)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for heading, columns in zip(headings, widths, strict=True):
        table.add_column(
            heading, no_wrap=True, min_width=columns, justify="right" if heading == "done" else "left"
        )
    table.add_column("of", overflow="fold", max_width=left)
    for job, row in zip(chosen, rows, strict=True):
        room -= _lines(job.name, left)
        if room < 0:
            break
        table.add_row(Text(job.state, style=STATES[job.state]), *row[1:], job.name)
    return table


def _done(job: Job) -> str:
    return f"{job.done} of {job.total}" if job.total else ""


def _lines(text: str, width: int) -> int:
    """How many lines of a width a text takes."""
    return math.ceil(len(text) / width)


def _spoken(seconds: float) -> str:
    """Return a time span as one says it."""
    minutes = seconds / 60
    if minutes < 1:
        return "a minute"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"  # noqa: PLR2004


def main(arguments: Sequence[str]) -> None:
    """Show a study until it is interrupted."""
    parser = argparse.ArgumentParser(
        prog="watch.py", description="Show how far a study has come, until it is interrupted."
    )
    parser.add_argument("studies", nargs="*", help="files laid over config.yaml, as snakemake was given them")
    parser.add_argument("--once", action="store_true", help="look once and end")
    options = parser.parse_args(arguments)
    try:
        config = complete(options.studies)
    except UserError as error:
        sys.exit(str(error))
    results, console = Path("results") / config["study"], Console()

    def look() -> RenderableType:
        return view(config["study"], jobs_of(config, results), console.width, console.height)

    if options.once or not console.is_terminal:
        console.print(look())
        return
    try:
        with Live(look(), console=console, screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                live.update(look(), refresh=True)
    except KeyboardInterrupt:
        console.print(look())


if __name__ == "__main__":
    main(sys.argv[1:])
