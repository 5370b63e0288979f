"""Tables of what reruns after which change: a change of every key, and the outputs that dry runs then list."""

import re
from pathlib import Path

from clone import Output
from code_of_rules import Code
from rerun_study import LAID_OVER, PLUGIN

MAIN = LAID_OVER["experiments"]["main"]["optimizers"]
# Every key of the schema, in the schema's order, with a value that differs from the study's value.
CHANGES = {
    "study": "other",
    "plugins": [PLUGIN, "examples/bars.py"],
    "data_dir": "/somewhere/else",
    "device": "cpu",
    "input_scaling": "unit",
    "experiments.main.datasets": ["mnist5k"],
    "experiments.main.model": "mlp-other",
    "experiments.main.optimizers": [*MAIN, "momentum"],
    "experiments.main.batch_size": 32,
    "experiments.main.seeds": 3,
    "experiments.batch_sizes": None,
    "experiments.batch_sizes.datasets": ["mnist5k"],
    "experiments.batch_sizes.model": "mlp-other",
    "experiments.batch_sizes.optimizers": ["adam"],
    "experiments.batch_sizes.batch_size": [64, 128, "full"],
    "experiments.batch_sizes.seeds": 2,
    "experiments.learning_rates": None,
    "experiments.learning_rates.batch_size": 32,
    "experiments.learning_rates.learning_rate": {"sgd": [0.05, 0.1]},
    "experiments.learning_rates.seeds": 2,
    "experiments.training_sizes": None,
    "experiments.training_sizes.learning_rate": {"sgd": [0.1]},
    "experiments.training_sizes.training_samples": [100],
    "experiments.training_sizes.training_lengths": [0.5, 1],
    "experiments.training_sizes.seeds": 2,
    "optimizers.sgd.learning_rate": 0.04,
    "optimizers.momentum.learning_rate": 0.004,
    "optimizers.momentum.momentum": 0.8,
    "optimizers.adam.learning_rate": 0.002,
    "optimizers.adam.beta1": 0.8,
    "optimizers.adam.beta2": 0.99,
    "optimizers.adam.epsilon": 1e-7,
    "optimizers.adamw.learning_rate": 0.002,
    "optimizers.adamw.beta1": 0.8,
    "optimizers.adamw.beta2": 0.99,
    "optimizers.adamw.epsilon": 1e-7,
    "optimizers.adamw.weight_decay": 0.1,
    "optimizers.rmsprop.learning_rate": 0.002,
    "optimizers.rmsprop.beta2": 0.9,
    "optimizers.rmsprop.epsilon": 1e-7,
    "optimizers.sam.learning_rate": 0.002,
    "optimizers.sam.momentum": 0.8,
    "optimizers.sam.radius": 0.1,
    "optimizers.muon.learning_rate": 0.01,
    "optimizers.muon.momentum": 0.9,
    "optimizers.muon.weight_decay": 0.01,
    "models.mlp-4.kind": "mlp",
    "models.mlp-4.hidden_widths": [5],
    "models.mlp-4.activation": "tanh",
    "models.mlp-4.initialization": "glorot_normal",
    "models.cnn-2.channels": [3],
    "models.cnn-2.kernel_size": 5,
    "models.cnn-2.activation": "tanh",
    "models.cnn-2.initialization": "glorot_normal",
    "models.mlp-other.activation": "gelu",
    "training.steps": 44,
    "training.full_batch_steps": 14,
    "training.checkpoints.count": 7,
    "training.checkpoints.spacing": "logarithmic",
    "eigenpairs.count": 4,
    "eigenpairs.wide_count": 6,
    "eigenpairs.wide_every": 1,
    "eigenpairs.preconditioned_seeds": 2,
    "eigenpairs.samples": 150,
    "eigenpairs.chunk_size": 600,
    "eigenpairs.tolerance": 1e-5,
    "eigenpairs.max_products": 400,
    "eigenpairs.basis_size": 70,
    "storage.ranks": 3,
    "storage.every": 2,
    "storage.dtype": "float16",
    "null_models.names": ["isotropic", "reinitialized", "permuted"],
    "null_models.draws.isotropic": 6,
    "null_models.draws.reinitialized": 6,
    "null_models.draws.permuted": 16,
    "null_models.draws.shuffled_labels": 16,
    "null_models.draws.wide": 6,
    "null_models.validation.draws": 6,
    "null_models.validation.significance": 0.01,
    "null_models.validation.largest_shift": 2.0,
    "null_models.validation.resamples": 120,
    "metrics.lag": 0.25,
    "figures.null_model": "isotropic",
    "figures.further_null_models": ["isotropic"],
    "figures.waiting_times": 3,
    "figures.style": {"font.size": 9},
    "claims.confidence": 0.9,
    "claims.resamples": 120,
    **{f"claims.smallest_effect.{name}": 0.2 for name in ("C1", "C2", "C3", "C4", "C5", "C5b", "C6", "C7")},
    "claims.sensitivity.ranks": [1, 3],
    "claims.sensitivity.lags": [0.25],
}
STAGES = {
    "data": "data",
    "train": "train",
    "eigen-pairs": "eigenpairs",
    "wide": "wide_(eigenpairs|metrics)",
    "precond.": "preconditioned_(eigenpairs|metrics)",
    "null": "null_model",
    "minima": "minimum",
    "metrics": "metrics",
    "plug-ins' metrics": "plugin_metric",
    "base-lines": "baseline",
    "valid.": "validation",
    "claims": "claims",
    "regimes": "regimes",
    "figures": r"(fig|ext)0[1-8]|fig[12]\d|figure_.+",
    "pages": "claims_page|configuration",
    "run times": "benchmarks|ext09",
}
# For this stage, the table names the rules.
BY_NAME = "figures"
ALL, SOME, NEW, NOTHING = "●", "◐", "+", ""


def names(again: set[str], of_stage: list[Output]) -> str:
    """Return the names of the rules that rerun or, if these are more than half, "all but" the names of the others."""
    others = {output.rule for output in of_stage} - again
    if len(others) < len(again):
        return f"{ALL} but {', '.join(sorted(others))}" if others else ALL
    return ", ".join(sorted(again))


def row_of_key(outputs: dict[str, Output]) -> dict[str, str]:
    """Return by stage whether all, some, only new or none of its outputs would be created."""
    row = {}
    for stage, pattern in STAGES.items():
        of_stage = [output for output in outputs.values() if re.fullmatch(pattern, output.rule)]
        again = [output.pending and output.status != "missing" for output in of_stage]
        new = [output.status == "missing" for output in of_stage]
        made = (ALL if all(again) else SOME) if any(again) else NOTHING
        if stage == BY_NAME and made == SOME:
            there = [output for output in of_stage if output.status != "missing"]
            made = names({output.rule for output in there if output.pending}, there)
        row[stage] = made + NEW * any(new)
    return row


def row_of_module(module: str, outputs: dict[str, Output], code: dict[str, Code]) -> dict[str, str]:
    """Return the same after a change of a module, computed from the code and inputs of each rule."""
    touched = {path for path, output in outputs.items() if module in code[output.rule].files}
    size = -1
    while len(touched) > size:
        size = len(touched)
        touched |= {path for path, output in outputs.items() if output.inputs & touched}
    row = {}
    for stage, pattern in STAGES.items():
        of_stage = {path for path, output in outputs.items() if re.fullmatch(pattern, output.rule)}
        row[stage] = ALL if of_stage <= touched else SOME if of_stage & touched else NOTHING
        if stage == BY_NAME and row[stage] == SOME:
            row[stage] = names({outputs[path].rule for path in of_stage & touched}, [outputs[p] for p in of_stage])
    return row


def modules(root: Path) -> list[str]:
    """Return the paths of the library's modules, the scripts and the plug-in, as rules declare them."""
    library = (path for path in (root / "workflow/eigendrift").rglob("*.py") if path.name != "__init__.py")
    scripts = (root / "workflow/scripts").glob("*.py")
    return [str(path.relative_to(root)) for path in [*sorted(library), *sorted(scripts), root / PLUGIN]]


def markdown(title: str, rows: dict[str, dict[str, str]]) -> str:
    header = f"| {title} | {' | '.join(STAGES)} |\n|{' --- |' * (len(STAGES) + 1)}\n"
    lines = (f"| `{name}` | {' | '.join(row.values())} |" for name, row in rows.items())
    return header + "\n".join(lines) + "\n"
