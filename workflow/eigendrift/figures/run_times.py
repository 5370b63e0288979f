"""Extension 9: where the time of a study goes."""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from eigendrift.figures.parts import Plotted, logarithmic, write_below
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
    """Draw the seconds of each rule with start-up apart, and next to them each job's seconds and their median."""
    named = jobs.assign(rule=jobs["rule"].replace(FIGURE_RULE, "figures", regex=True))
    aggregated = named.groupby("rule").agg(
        jobs=("seconds", "size"),
        total_seconds=("seconds", "sum"),
        start_up_seconds=("start_up_seconds", "sum"),
        median_seconds=("seconds", "median"),
    )
    by_rule = aggregated.sort_values("total_seconds")
    size = (2.5 * PANEL_WIDTH, HEIGHT_OF_THE_REST + HEIGHT_OF_A_RULE * len(by_rule))
    figure, (left, right) = plt.subplots(1, 2, figsize=size, sharey=True)
    start_up, totals = by_rule["start_up_seconds"], by_rule["total_seconds"]
    left.barh(by_rule.index, totals - start_up, color=WORK, label="work")
    left.barh(by_rule.index, start_up, left=totals - start_up, color=START_UP, label="start-up and imports")
    for place, (seconds, jobs) in enumerate(zip(totals, by_rule["jobs"], strict=True)):
        share = f"{100 * seconds / totals.sum():.0f} % of all, {jobs} job{'s' * (jobs > 1)}"
        left.annotate(share, (seconds, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize=6)
    left.margins(x=0.45)
    left.set(title="all jobs of a rule", xlabel="seconds in total")
    places = named["rule"].map({rule: place for place, rule in enumerate(by_rule.index)})
    right.plot(named["seconds"], places, linestyle="none", marker="o", markersize=3, color=WORK, alpha=0.35)
    medians = by_rule["median_seconds"]
    right.plot(medians, range(len(by_rule)), linestyle="none", marker="|", markersize=10, color=BASELINE["color"])
    right.set(title="each job; red: median", xlabel="seconds")
    logarithmic(right, "x", (1, 2, 5))
    for panel in (left, right):
        panel.grid(visible=False, axis="y")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower right", ncols=2)
    note = f"{len(named):,} jobs, {totals.sum():,.0f} s in all; starting Python and imports: {start_up.sum():,.0f} s"
    write_below(figure, [f"{note}, {100 * start_up.sum() / totals.sum():.0f} %"])
    single = named[["rule", "job", "seconds"]].rename(columns={"seconds": "job_seconds"})
    return Plotted(figure, pd.concat([by_rule[::-1].reset_index(), single]))
