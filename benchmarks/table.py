"""The table of results, as Markdown for readers and as CSV for programs."""

import csv
import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from benchmarks.methods import METHODS
from benchmarks.products import ProductRow
from benchmarks.rows import Row
from benchmarks.targets import Target
from benchmarks.task import TOLERANCE

HEADER = (
    *("network", "N", "samples", "k", "method", "seconds", "× eigendrift", "products", "residual", "complete"),
    *("overlap", "MiB", "of the bound", "of the fewest", "repeats"),
)
PER_SECOND = "checkpoints per second"


def write_csv(path: Path, rows: Sequence[Any]) -> None:
    """Write dataclasses as the rows of a CSV file; missing values are empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(rows[0])], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def write_machine(path: Path, machine: dict[str, Any]) -> None:
    """Write the description of the machine."""
    path.write_text(json.dumps(machine, indent=2) + "\n", encoding="utf-8")


def describe_machine(device: str, threads: int) -> dict[str, Any]:
    """Return a description of the machine and of the library versions."""
    described: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads of each method": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {method.distribution: method.version for method in METHODS},
    }
    if device == "cuda":
        described["gpu"] = torch.cuda.get_device_name()
    return described


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def report_page(rows: list[Row], targets: list[Target], left_out: list[str], machine: dict[str, Any]) -> str:
    """Return a Markdown page with the table, notes, targets and omissions."""
    on = machine.get("gpu", f"{machine['processor']}, threads: {machine['threads of each method']}")
    lines = [
        f"Measured on {on}, by `make bench`; README.md explains the method and the columns.",
        "",
        *_aligned(*eigenpairs_table(rows, per_second="gpu" in machine)),
        *(f"\n{row.problem}, k = {row.k}, {row.method}: {row.note}." for row in rows if row.note and not row.at_least),
    ]
    if targets:
        lines += ["", "Targets for eigendrift:", "", *_aligned(*targets_table(targets))]
    lines += [f"\nLeft out: {reason}" for reason in left_out]
    return "\n".join(lines) + "\n"


def products_page(rows: Sequence[ProductRow], machine: dict[str, Any]) -> str:
    """Return a Markdown page with the table of single products."""
    on = machine.get("gpu", f"{machine['processor']}, threads: {machine['threads of each method']}")
    header = ["network", "samples", "way", "block", "ms per vector", "of the bound", "deviation"]
    cells = [
        [
            *(row.network, f"{row.samples:,}", row.way, str(row.block)),
            *(_number(row.milliseconds), f"{row.of_bound:.0%}", f"{row.deviation:.1e}"),
        ]
        for row in rows
    ]
    first = f"Hessian-vector products, measured on {on}, by `make bench`; README.md explains the method."
    return "\n".join([first, "", *_aligned(header, cells)]) + "\n"


def eigenpairs_table(rows: Iterable[Row], per_second: bool = False) -> tuple[list[str], list[list[str]]]:
    """Return the header and the cells; only the first row of each checkpoint and k shows both."""
    header = [*HEADER, *([PER_SECOND] if per_second else [])]
    cells = []
    shown = None
    for row in rows:
        key = [row.network, f"{row.parameters:,}", f"{row.samples:,}", str(row.k)]
        cells.append([*(key if key != shown else [""] * len(key)), *_measured(row)])
        if per_second:
            cells[-1].append(_number(1 / row.seconds) if row.seconds else "")
        shown = key
    return header, cells


def _measured(row: Row) -> list[str]:
    stopped = row.at_least is not None
    seconds = f"> {row.at_least:.0f}" if stopped else _number(row.seconds) or "failed"
    residual = "" if row.residual is None else f"{row.residual:.1e}"
    if row.residual is not None and not row.accurate:
        residual += f" > {TOLERANCE:.0e}"
    complete = "" if row.residual is None else "yes" if row.complete else f"no, short by {row.shortfall:.1e}"
    overlap = "" if row.overlap is None else f"{row.overlap:.6f}"
    memory = _number(row.memory_mib)
    shares = ["" if share is None else f"{share:.0%}" for share in (row.of_bound, row.of_fewest_bound)]
    products = "" if row.products is None else f"{row.products:,}"
    repeats = str(row.repeats) if row.repeats else ""
    times_eigendrift = _number(row.times_eigendrift)
    return [row.method, seconds, times_eigendrift, products, residual, complete, overlap, memory, *shares, repeats]


def targets_table(targets: Iterable[Target]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the cells of the table of targets."""
    header = ["problem", "k", "target", "measured", "verdict"]
    cells = [
        [
            target.problem,
            str(target.k),
            f"{_number(target.wanted)} {target.text}",
            "" if target.value is None else ("at least " if target.is_bound else "") + _number(target.value),
            target.verdict,
        ]
        for target in targets
    ]
    return header, cells


def _number(value: float | None) -> str:
    """Return a number with at least three digits, without an exponent."""
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"  # noqa: PLR2004


def _aligned(header: list[str], cells: list[list[str]]) -> list[str]:
    """Return the lines of a Markdown table whose columns are aligned as plain text, too."""
    widths = [max(len(line[column]) for line in (header, *cells)) for column in range(len(header))]
    rule = ["-" * width for width in widths]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in (header, rule, *cells)
    ]
