"""Every array of every store: name, dimensions, dtype, unit and meaning.

Stores are checked against this registry when they are written and when they are read. results/README.md is
generated from it.
"""

from collections.abc import Iterable

from eigendrift.stores.measured import (
    LAYER,
    LOSSES,
    METRICS,
    PLUGIN_METRIC,
    PRECONDITIONED_METRICS,
    RANK,
    STEP,
    anatomy_arrays,
)
from eigendrift.stores.specs import ArraySpec, StoreSpec

SCHEMA_VERSION = 7

DRAW = ArraySpec("draw", ("draw",), "int64", "1", "Index of the draw from the null model.")
OPTIMIZER = ArraySpec(
    "optimizer",
    ("draw",),
    "int64",
    "1",
    "Place of the draw's optimizer in the setting trainings; -1 if the null model knows no optimizer.",
)
DATA = StoreSpec(
    "data",
    "One data set, split into training and test samples.",
    (
        ArraySpec(
            "train_images", ("train_sample", "row", "column"), "float32", "1", "Pixels, scaled as set."
        ),
        ArraySpec("train_labels", ("train_sample",), "int64", "1", "Class of each training sample."),
        ArraySpec("test_images", ("test_sample", "row", "column"), "float32", "1", "Pixels, scaled as set."),
        ArraySpec("test_labels", ("test_sample",), "int64", "1", "Class of each test sample."),
    ),
)

_PARAMETERS = ("checkpoint", "parameter")
TRAJECTORY = StoreSpec(
    "trajectory",
    "One training run, seen at its checkpoints. NaN from where it diverged, see `training/divergence.py`.",
    (
        STEP,
        ArraySpec("weights", _PARAMETERS, "float32", "1", "Flat weights, in model.parameters() order."),
        ArraySpec(
            "gradient", _PARAMETERS, "float32", "nat", "Mini-batch gradient of the step that starts here."
        ),
        ArraySpec(
            "update", _PARAMETERS, "float32", "1", "What the step that starts here adds to the weights."
        ),
        ArraySpec(
            "second_moment",
            _PARAMETERS,
            "float32",
            "nat²",
            "Second-moment estimate of an adaptive optimizer before the step; not bias-corrected.",
            optional=True,
        ),
        *LOSSES,
    ),
)

_RESIDUAL = (
    "‖Hv − λv‖ / |λ1|, recomputed with a fresh product; where λ1 is zero to rounding, over the largest |λ| "
    "that was seen."
)
_PAIR = (
    ("eigenvalue", "float64", "nat", "Algebraically largest eigenvalues of the Hessian, descending."),
    ("residual", "float64", "1", _RESIDUAL),
    (
        "converged",
        "bool",
        "1",
        "Whether the residual meets the tolerance and the search found no pair missing.",
    ),
    ("gap", "float64", "1", "Distance to the nearest other eigenvalue, over what the residual is over."),
)
_SOLVER = (
    ("next_eigenvalue", "float64", "nat", "Estimate of the largest eigenvalue not returned."),
    (
        "miss_probability",
        "float64",
        "1",
        "Chance that a missing pair hid from the search; NaN if products ran out before it.",
    ),
    ("matvecs", "int64", "1", "Hessian-vector products used."),
    ("search_matvecs", "int64", "1", "Those among them that the search for missing pairs used."),
)
_VECTOR = "Unit eigenvectors; any sign."


def _eigenpair_arrays(record: str, *, half: bool = False) -> tuple[ArraySpec, ...]:
    return (
        ArraySpec("eigenvector", (record, "rank", "parameter"), "float32", "1", _VECTOR, half=half),
        *(ArraySpec(name, (record, "rank"), dtype, unit, text) for name, dtype, unit, text in _PAIR),
        *(ArraySpec(name, (record,), dtype, unit, text) for name, dtype, unit, text in _SOLVER),
    )


EIGENPAIRS = StoreSpec(
    "eigenpairs",
    "Leading eigenpairs of the Hessian at each checkpoint of a run; in preconditioned/ those of "
    "P^(−1/2) H P^(−1/2), whose eigenvalues are pure numbers.",
    (STEP, RANK, *_eigenpair_arrays("checkpoint", half=True)),
)

NULL = StoreSpec(
    "null",
    "Draws of leading eigenpairs from a null model. The isotropic null has vectors but no spectrum.",
    (DRAW, RANK, OPTIMIZER, *_eigenpair_arrays("draw")),
)

BASELINE = StoreSpec(
    "baseline",
    "Displacement and localization of a null model's draws, as distributions.",
    (
        DRAW,
        RANK,
        OPTIMIZER,
        LAYER,
        ArraySpec("eigenvalue", ("draw", "rank"), "float64", "nat", "Leading eigenvalues of each draw."),
        ArraySpec("inverse_participation_ratio", ("draw", "rank"), "float64", "1", "Σ_j v_j⁴ of each draw."),
        *anatomy_arrays("draw"),
        ArraySpec(
            "displacement",
            ("pair", "rank"),
            "float64",
            "1",
            "Δ between two draws of one optimizer, all pairs.",
        ),
        ArraySpec(
            "subspace_displacement",
            ("pair", "rank"),
            "float64",
            "1",
            "1 − ‖V_kᵀ V_k'‖²_F / k of the leading k = rank, the same pairs.",
        ),
    ),
)

_SEEDS = ("seed",)
MINIMUM = StoreSpec(
    "minimum",
    "The best minimum of one optimizer: of its runs the one whose final loss is lowest, on train and test "
    "samples together, and the curvature there, over all of these samples.",
    (
        RANK,
        ArraySpec("seed", _SEEDS, "int64", "1", "Number of the initialisation."),
        ArraySpec("loss", _SEEDS, "float64", "nat", "Final mean cross-entropy over train and test samples."),
        ArraySpec("accuracy", _SEEDS, "float64", "1", "Final accuracy over train and test samples."),
        ArraySpec("best", _SEEDS, "bool", "1", "Whether this run has the lowest loss."),
        ArraySpec("eigenvalue", ("rank",), "float64", "nat", "Leading eigenvalues of the Hessian there."),
        ArraySpec("residual", ("rank",), "float64", "1", _RESIDUAL),
        ArraySpec("converged", ("rank",), "bool", "1", "Whether the pair meets the tolerance, none missing."),
        ArraySpec("curvature", ("point",), "float64", "nat", "Where the spectral density is given."),
        ArraySpec(
            "density",
            ("point",),
            "float64",
            "1/nat",
            "Spectral density of the Hessian, smoothed, of integral 1.",
        ),
    ),
)

STORES = {
    spec.kind: spec
    for spec in (
        DATA,
        TRAJECTORY,
        EIGENPAIRS,
        MINIMUM,
        NULL,
        BASELINE,
        METRICS,
        PRECONDITIONED_METRICS,
        PLUGIN_METRIC,
    )
}


def specs_for(kind: str, names: Iterable[str]) -> list[ArraySpec]:
    """Return the specifications of the named arrays, in the registry's order.

    Raises:
        ValueError: An array is unknown, or one that is not optional is missing.
    """
    specs, given = STORES[kind].arrays, set(names)
    if unknown := given - {spec.name for spec in specs}:
        raise ValueError(f"a store of kind '{kind}' has no array '{min(unknown)}'")
    if missing := {spec.name for spec in specs if not spec.optional} - given:
        raise ValueError(f"array '{min(missing)}' is missing from a store of kind '{kind}'")
    return [spec for spec in specs if spec.name in given]
