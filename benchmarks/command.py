"""Run the benchmark, print its table and write the results; see README.md."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from benchmarks import ROOT
from benchmarks.compare import Settings, compare, report
from benchmarks.growth import QUICK_SERIES, Series, full_series, measure_growth
from benchmarks.methods import check_installed
from benchmarks.plot import draw
from benchmarks.problems import PROBLEMS, QUICK_PROBLEMS, Problem, make_checkpoint, unavailable
from benchmarks.products import measure_products
from benchmarks.rows import Row
from benchmarks.table import describe_machine, products_page, report_page, write_csv, write_machine
from benchmarks.targets import judge_targets
from eigendrift.errors import UserError
from eigendrift.numerics import configure

COUNTS = (3, 15)
QUICK_COUNTS = (3,)
GROWTH = "growth"
PRODUCTS = "products"
SECTIONS = (*(problem.name for problem in PROBLEMS), PRODUCTS, GROWTH)
FULL_OUTPUT = ROOT / "benchmarks/results"
FIGURES = {"cpu": "benchmark.png", "cuda": "benchmark-cuda.png"}
# Partial runs must not overwrite the results of the full benchmark. Git ignores this folder.
OTHER_OUTPUT = ROOT / "results/benchmark"


@dataclass(frozen=True)
class Plan:
    """The measurements to make, and the reasons for leaving out others."""

    problems: tuple[Problem, ...]
    counts: tuple[int, ...]
    products: tuple[Problem, ...]
    growth: Series | None
    left_out: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark from the command line."""
    options = _parse(arguments)
    try:
        check_installed()
        devices = _devices(options.device)
        output = _output(options)
        plan = _plan(options)
    except UserError as error:
        sys.exit(str(error))
    configure(os.cpu_count() or 1)
    for reason in plan.left_out:
        report(f"Left out: {reason}")
    if not plan.problems and not plan.products and plan.growth is None:
        sys.exit("Nothing can be measured, because all the data sets are missing; see above how to provide them.")
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        for device in devices:
            together = device == "cuda" or options.quick
            settings = Settings(device, options.threads, options.repeats, options.budget, options.limit, together)
            _measure(plan, settings, Path(folder), output)
    report(f"Written to {output}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="run a tiny network once, to check that everything works")
    parser.add_argument(
        "--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=f"run only some of: {', '.join(SECTIONS)}"
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the CPU, then the GPU if there is one")
    parser.add_argument(
        "--threads",
        type=_positive,
        default=1,
        help="threads per method; default: 1, as in a job of the workflow",
    )
    parser.add_argument("--repeats", type=_positive, help="runs per method; default: 5, or 1 with --quick")
    parser.add_argument(
        "--budget", type=float, default=10, help="seconds after which a method is not repeated; default: 10"
    )
    parser.add_argument("--limit", type=float, default=100, help="seconds after which a run is stopped; default: 100")
    parser.add_argument("--output", type=Path, help="folder for the results")
    options = parser.parse_args(arguments)
    if options.quick and options.only:
        parser.error("--quick and --only exclude each other; leave out one of them")
    if not (options.budget >= 0 and options.limit > 0):
        parser.error("--budget must be at least 0 seconds and --limit more than 0 seconds; change the wrong one")
    if options.repeats is None:
        options.repeats = 1 if options.quick else 5
    return options


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is not an integer of at least 1")
    return int(text)


def _devices(asked: str | None) -> list[str]:
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise UserError("--device is cuda, but this machine has no CUDA device; leave it out or use --device cpu.")
    return [asked] if asked else ["cpu", "cuda"] if there else ["cpu"]


def _output(options: argparse.Namespace) -> Path:
    output: Path = options.output or (OTHER_OUTPUT if options.quick or options.only else FULL_OUTPUT)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--output {output} cannot be created ({error.strerror}); choose another folder.") from error
    return output


def _plan(options: argparse.Namespace) -> Plan:
    if options.quick:
        return Plan(QUICK_PROBLEMS, QUICK_COUNTS, QUICK_PROBLEMS, QUICK_SERIES, ())
    asked = [problem for problem in PROBLEMS if not options.only or problem.name in options.only]
    grows = not options.only or GROWTH in options.only
    products = PROBLEMS if not options.only or PRODUCTS in options.only else ()
    datasets = {problem.dataset for problem in asked} | ({"mnist"} if grows else set())
    reasons = {dataset: unavailable(dataset) for dataset in datasets}
    left_out = [
        f"{problem.name}, which needs {problem.dataset}: {reasons[problem.dataset]}."
        for problem in asked
        if reasons[problem.dataset]
    ]
    growth = None
    if grows:
        growth = full_series("mnist5k", 4_000) if reasons["mnist"] else full_series("mnist", 60_000)
        if reasons["mnist"]:
            left_out.append(f"growth beyond 4,000 samples, which needs mnist: {reasons['mnist']}.")
    there = tuple(problem for problem in asked if not reasons[problem.dataset])
    return Plan(there, COUNTS, products, growth, tuple(left_out))


def _measure(plan: Plan, settings: Settings, folder: Path, output: Path) -> None:
    """Measure on one device, and rewrite the results after every problem."""
    machine = describe_machine(settings.device, settings.threads)
    write_machine(output / f"machine-{settings.device}.json", machine)
    rows: list[Row] = []
    page = ""
    for problem in plan.problems:
        rows += compare(make_checkpoint(problem, folder), plan.counts, settings)
        page = report_page(rows, judge_targets(rows), list(plan.left_out), machine)
        write_csv(output / f"eigenpairs-{settings.device}.csv", rows)
        (output / f"eigenpairs-{settings.device}.md").write_text(page, encoding="utf-8")
    if page:
        print(page, flush=True)
    if plan.products:
        multiplied = measure_products(folder, settings, plan.products)
        write_csv(output / f"products-{settings.device}.csv", multiplied)
        products = products_page(multiplied, machine)
        (output / f"products-{settings.device}.md").write_text(products, encoding="utf-8")
        print(products, flush=True)
    if plan.growth is not None:
        grown = measure_growth(plan.growth, folder, replace(settings, repeats=min(settings.repeats, 3)))
        write_csv(output / f"growth-{settings.device}.csv", grown)
    if plan.problems:
        figures = ROOT / "docs" if output == FULL_OUTPUT else output
        growth = output / f"growth-{settings.device}.csv" if plan.growth else None
        draw(output / f"eigenpairs-{settings.device}.csv", growth, figures / FIGURES[settings.device])
