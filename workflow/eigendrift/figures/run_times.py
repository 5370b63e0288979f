"""Extension 9: where the time of a study goes."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from eigendrift.figures.parts import Plotted, logarithmic, plain_log_ticks, write_below
from eigendrift.figures.style import BASELINE, PANEL_WIDTH
from eigendrift.stores.tables import read_table

WORK = "#4D4D4D"
START_UP = "#BFBFBF"
HEIGHT_OF_A_RULE = 0.24
HEIGHT_OF_THE_REST = 1.2
# Every figure has a rule of its own; their times are of one kind.
FIGURE_RULE = r"(?:fig|ext)\d\d"


def read_run_times(benchmarks: str) -> pd.DataFrame:
    """Read benchmarks.csv, the table of all jobs."""
    return read_table(Path(benchmarks))


def draw_run_times(jobs: pd.DataFrame) -> Plotted:
    """Draw the seconds of each rule, start-up apart, and beside them those of every job and their median."""
    named = jobs.assign(rule=jobs["rule"].replace(FIGURE_RULE, "figures", regex=True))
    by_rule = named.groupby("rule").agg(
        jobs=("seconds", "size"),
        total_seconds=("seconds", "sum"),
        start_up_seconds=("start_up_seconds", "sum"),
        median_seconds=("seconds", "median"),
    )
    by_rule = by_rule.sort_values("total_seconds")
    size = (2.5 * PANEL_WIDTH, HEIGHT_OF_THE_REST + HEIGHT_OF_A_RULE * len(by_rule))
    figure, (left, right) = plt.subplots(1, 2, figsize=size, sharey=True)
    _draw_totals(left, by_rule)
    _draw_jobs(right, by_rule, named)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower right", ncols=2)
    total, start_up = by_rule["total_seconds"].sum(), by_rule["start_up_seconds"].sum()
    write_below(
        figure,
        [
            f"{len(named):,} jobs, {total:,.0f} s in all; starting Python and imports: {start_up:,.0f} s, "
            f"{100 * start_up / total:.0f} %"
        ],
    )
    single = named[["rule", "job", "seconds"]].rename(columns={"seconds": "job_seconds"})
    return Plotted(figure, pd.concat([by_rule[::-1].reset_index(), single]))


def _draw_totals(panel: Axes, by_rule: pd.DataFrame) -> None:
    work = by_rule["total_seconds"] - by_rule["start_up_seconds"]
    panel.barh(by_rule.index, work, color=WORK, label="work")
    panel.barh(by_rule.index, by_rule["start_up_seconds"], left=work, color=START_UP, label="start-up and imports")
    for place, (seconds, jobs) in enumerate(zip(by_rule["total_seconds"], by_rule["jobs"], strict=True)):
        panel.annotate(
            f"{100 * seconds / by_rule['total_seconds'].sum():.0f} % of all, {jobs} job{'s' * (jobs > 1)}",
            (seconds, place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=6,
        )
    panel.margins(x=0.45)
    panel.set(title="all jobs of a rule", xlabel="seconds in total")
    panel.grid(visible=False, axis="y")


def _draw_jobs(panel: Axes, by_rule: pd.DataFrame, jobs: pd.DataFrame) -> None:
    places = jobs["rule"].map({rule: place for place, rule in enumerate(by_rule.index)})
    panel.plot(jobs["seconds"], places, linestyle="none", marker="o", markersize=3, color=WORK, alpha=0.35)
    medians = by_rule["median_seconds"]
    panel.plot(medians, range(len(by_rule)), linestyle="none", marker="|", markersize=10, color=BASELINE["color"])
    panel.set(title="each job; red: median", xlabel="seconds")
    logarithmic(panel, "x")
    plain_log_ticks(panel.xaxis)
    panel.grid(visible=False, axis="y")
