"""A live view of a study in the terminal: `python workflow/watch.py [study.yaml …]`, where snakemake runs.

It reads what jobs leave, also over ssh and on another machine, and writes nothing.
"""

import argparse
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
from eigendrift.study.chosen import without_unset
from overlay import laid_over_default

HERE = Path(__file__).resolve().parent
SECONDS_BETWEEN_LOOKS = 2.0
# Lines of the view that are not jobs.
OTHER_LINES = 12
# Columns of the view that are not the name of a run.
OTHER_COLUMNS = 50
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
        width: Columns of the terminal; names of runs are cut to fit.
        height: Lines of the terminal, which decide how many jobs are shown.
    """
    seconds, known = seconds_left(jobs)
    left = f", {'about' if known else 'more than'} {_spoken(seconds)} left" if seconds else ""
    if all(job.state == "done" for job in jobs):
        left = ": all trained, solved and drawn; metrics, claims and figures follow"
    title = Text(f"Study {study}{left}", style="bold")
    most = max(1, height - OTHER_LINES)
    return Group(title, "", _stages(jobs), "", _table(jobs, most, max(20, width - OTHER_COLUMNS)))


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


def _table(jobs: Sequence[Job], most: int, width: int) -> Table:
    """Show the jobs that are at work or failed, and as many of the others as there is room for."""
    order = list(STATES)
    chosen = sorted((job for job in jobs if job.state != "waiting"), key=lambda job: order.index(job.state))
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("job", "of", "state", "done", "last"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "done" else "left")
    for job in chosen[:most]:
        done = f"{job.done} of {job.total}" if job.total else ""
        # The end of a name tells runs apart.
        name = job.name if len(job.name) <= width else f"…{job.name[1 - width :]}"
        table.add_row(job.stage, name, Text(job.state, style=STATES[job.state]), done, job.note)
    return table


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
