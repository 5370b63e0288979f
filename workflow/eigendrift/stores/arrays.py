"""The registry of stores: name, dimensions, unit and meaning of every array.

Stores are checked against this registry when they are written and when they are read. results/README.md is generated
from it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

SCHEMA_VERSION = 8

# Entries of unit vectors are about N^(−1/2), which for large networks is near 2⁻¹⁴, where float16 starts to lose
# digits. So an array in float16 holds 2¹⁵ times each number: numbers from 2⁻²⁹ up keep all 11 digits, and 1 does not
# overflow. The factor is a power of two, so rounding is the only error. The attribute `scale_factor` of the array is
# the inverse of the factor, by which xarray multiplies.
FLOAT16 = "float16"
SCALE_FACTOR = 2.0**-15


def to_float16(values: np.ndarray) -> np.ndarray:
    """Return float32 values from −1 to 1 as float16 in the form in which stores hold them; NaN stays NaN."""
    return (values / np.float32(SCALE_FACTOR)).astype(FLOAT16)


def from_float16(stored: np.ndarray) -> np.ndarray:
    """Return the rounded values, float32, that a store holds in float16."""
    return stored.astype(np.float32) * np.float32(SCALE_FACTOR)


@dataclass(frozen=True)
class ArraySpec:
    """One array of a store.

    Attributes:
        name: Name in the store.
        dims: Names of the dimensions, outermost first.
        meaning: What the values are, in a sentence.
        unit: Unit of the values, ``1`` for pure numbers.
        dtype: NumPy name of the element type.
        optional: Whether a store may lack the array.
        may_be_float16: Whether a store may hold the array in float16, see `to_float16`.
    """

    name: str
    dims: tuple[str, ...]
    meaning: str
    unit: str = "1"
    dtype: str = "float64"
    optional: bool = False
    may_be_float16: bool = False

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The element types that are allowed in a store."""
        return (self.dtype, FLOAT16) if self.may_be_float16 else (self.dtype,)

    @property
    def recorded(self) -> bool:
        """Whether the array is large and therefore stored in one chunk per checkpoint or draw."""
        return self.dims[-1:] == ("parameter",)


@dataclass(frozen=True)
class StoreSpec:
    """One kind of store.

    Attributes:
        kind: Name of the kind. If a run has one store of the kind, its file has the same stem.
        meaning: What the store holds, in a sentence.
        arrays: The arrays, including coordinates.
    """

    kind: str
    meaning: str
    arrays: tuple[ArraySpec, ...]


_CHECKPOINT = ("checkpoint",)
_SEED = ("seed",)
_PARAMETERS = ("checkpoint", "parameter")
_BY_RANK = ("checkpoint", "rank")
_OF_DRAW = ("draw", "rank")
_PAIR = ("pair", "rank")
_TWO_TIME = ("waiting", "checkpoint")
_TWO_TIME_BY_RANK = (*_TWO_TIME, "rank")

STEP = ArraySpec("step", _CHECKPOINT, "Steps taken before the checkpoint.", "optimizer steps", "int64")
RANK = ArraySpec("rank", ("rank",), "Rank of the eigenvalue, 1 is the largest.", dtype="int64")
LAYER = ArraySpec("layer", ("layer",), "Number of the layer, 1 receives the input of the network.", dtype="int64")
DRAW = ArraySpec("draw", ("draw",), "Index of the draw from the null model.", dtype="int64")
OPTIMIZER = ArraySpec(
    "optimizer",
    ("draw",),
    "Index of the draw's optimizer in the setting `trainings`; -1 if the draw belongs to no optimizer.",
    dtype="int64",
)
LOSSES = (
    ArraySpec("train_loss", _CHECKPOINT, "Mean cross-entropy over the whole train set.", "nat"),
    ArraySpec("train_accuracy", _CHECKPOINT, "Share of samples classified correctly over the whole train set."),
    ArraySpec("test_loss", _CHECKPOINT, "Mean cross-entropy over the whole test set.", "nat"),
    ArraySpec("test_accuracy", _CHECKPOINT, "Share of samples classified correctly over the whole test set."),
)

DATA = StoreSpec(
    "data",
    "One data set, split into training and test samples.",
    (
        ArraySpec("train_images", ("train_sample", "row", "column"), "Scaled pixels.", dtype="float32"),
        ArraySpec("train_labels", ("train_sample",), "Class of each train sample.", dtype="int64"),
        ArraySpec("test_images", ("test_sample", "row", "column"), "Scaled pixels.", dtype="float32"),
        ArraySpec("test_labels", ("test_sample",), "Class of each test sample.", dtype="int64"),
    ),
)

TRAJECTORY = StoreSpec(
    "trajectory",
    "One training run at its checkpoints. NaN from the checkpoint where it diverged, see `training/checkpoints.py`.",
    (
        STEP,
        ArraySpec("weights", _PARAMETERS, "Flat weights, in model.parameters() order.", dtype="float32"),
        ArraySpec("gradient", _PARAMETERS, "Mini-batch gradient of the step that starts here.", "nat", "float32"),
        ArraySpec("update", _PARAMETERS, "What the step that starts here adds to the weights.", dtype="float32"),
        ArraySpec(
            "second_moment",
            _PARAMETERS,
            "Second-moment estimate of an adaptive optimizer before the step, not bias-corrected.",
            "nat²",
            "float32",
            optional=True,
        ),
        *LOSSES,
    ),
)

_RESIDUAL = (
    "‖Hv − λv‖ / |λ1|, recomputed with a fresh product; if λ1 is zero to rounding, relative to the largest |λ| seen."
)


def _eigenpair_arrays(record: str, *, may_be_float16: bool = False) -> tuple[ArraySpec, ...]:
    by_rank, vector = (record, "rank"), (record, "rank", "parameter")
    return (
        ArraySpec(
            "eigenvector", vector, "Unit eigenvectors, with any sign.", dtype="float32", may_be_float16=may_be_float16
        ),
        ArraySpec("eigenvalue", by_rank, "Algebraically largest eigenvalues of the Hessian, descending.", "nat"),
        ArraySpec("residual", by_rank, _RESIDUAL),
        ArraySpec(
            "converged",
            by_rank,
            "Whether the residual meets the tolerance and the search found no missing pair.",
            dtype="bool",
        ),
        ArraySpec("gap", by_rank, "Distance to the nearest other eigenvalue, divided by the same as the residual."),
        ArraySpec("next_eigenvalue", (record,), "Estimate of the largest eigenvalue that is not returned.", "nat"),
        ArraySpec(
            "miss_probability",
            (record,),
            "Probability that the search overlooked a pair; NaN if products ran out before the search.",
        ),
        ArraySpec("matvecs", (record,), "Number of Hessian-vector products.", dtype="int64"),
        ArraySpec("search_matvecs", (record,), "Products of the search for missing pairs.", dtype="int64"),
    )


EIGENPAIRS = StoreSpec(
    "eigenpairs",
    "Leading eigenpairs of the Hessian at each checkpoint of a run; in preconditioned/ the eigenpairs of "
    "P^(−1/2) H P^(−1/2), whose eigenvalues are pure numbers.",
    (STEP, RANK, *_eigenpair_arrays("checkpoint", may_be_float16=True)),
)

NULL = StoreSpec(
    "null",
    "Draws of leading eigenpairs from a null model. The isotropic null has vectors but no spectrum.",
    (DRAW, RANK, OPTIMIZER, *_eigenpair_arrays("draw")),
)

_ANATOMY = (
    ("layer_share", "Share of Σ v² in the layer's weights and biases."),
    ("bias_share", "Share of Σ v² in the layer's biases."),
    ("weight_inverse_participation_ratio", "Σ v⁴ / (Σ v²)² of the layer's weights."),
    ("bias_inverse_participation_ratio", "Σ v⁴ / (Σ v²)² of the layer's biases."),
    (
        "neuron_inverse_participation_ratio",
        "Σ m² / (Σ m)² over the layer's neurons, m the sum of v² over a neuron's incoming weights and bias.",
    ),
    (
        "input_inverse_participation_ratio",
        "Σ m² / (Σ m)² over the layer's inputs, m the sum of v² over the weights that leave an input.",
    ),
)


def anatomy_arrays(record: str) -> tuple[ArraySpec, ...]:
    """Return the arrays about where in the network eigenvectors are, see `eigendrift.metrics.anatomy`."""
    return (
        *(ArraySpec(name, (record, "rank", "layer"), meaning) for name, meaning in _ANATOMY),
        ArraySpec(
            "top_share", (record, "rank"), "Share of Σ v² in the hundredth of all parameters where v² is largest."
        ),
    )


BASELINE = StoreSpec(
    "baseline",
    "Displacement and localization of a null model's draws, as distributions.",
    (
        DRAW,
        RANK,
        OPTIMIZER,
        LAYER,
        ArraySpec("eigenvalue", _OF_DRAW, "Leading eigenvalues of each draw.", "nat"),
        ArraySpec("inverse_participation_ratio", _OF_DRAW, "Σ_j v_j⁴ of each draw."),
        *anatomy_arrays("draw"),
        ArraySpec("displacement", _PAIR, "Δ between two draws that belong to one optimizer, all pairs."),
        ArraySpec(
            "subspace_displacement",
            _PAIR,
            "1 − ‖V_kᵀ V_k'‖²_F / k of the leading k = rank eigenvectors, the same pairs of draws.",
        ),
    ),
)

MINIMUM = StoreSpec(
    "minimum",
    "The best minimum of one optimizer: the run with the lowest final loss over train and test samples "
    "together, and the curvature there over all of these samples.",
    (
        RANK,
        ArraySpec("seed", _SEED, "Number of the initialization.", dtype="int64"),
        ArraySpec("loss", _SEED, "Final mean cross-entropy over train and test samples.", "nat"),
        ArraySpec("accuracy", _SEED, "Final accuracy over train and test samples."),
        ArraySpec("best", _SEED, "Whether this run has the lowest loss.", dtype="bool"),
        ArraySpec("eigenvalue", ("rank",), "Leading eigenvalues of the Hessian at the minimum.", "nat"),
        ArraySpec("residual", ("rank",), _RESIDUAL),
        ArraySpec("converged", ("rank",), "Whether the pair meets the tolerance and none is missing.", dtype="bool"),
        ArraySpec("curvature", ("point",), "Curvatures at which the spectral density is given.", "nat"),
        ArraySpec("density", ("point",), "Smoothed spectral density of the Hessian, with integral 1.", "1/nat"),
    ),
)

METRICS = StoreSpec(
    "metrics",
    "Everything that figures and claims need from one run. Pairs that missed the tolerance are NaN.",
    (
        STEP,
        RANK,
        LAYER,
        *LOSSES,
        ArraySpec("eigenvalue", _BY_RANK, "Leading eigenvalues of the Hessian.", "nat"),
        ArraySpec("gap", _BY_RANK, "Distance to the nearest other eigenvalue, relative to |λ1|."),
        ArraySpec("displacement", _TWO_TIME_BY_RANK, "Δ(i)(tw, t): 2(1 − |⟨v_i, v_i⟩|)."),
        ArraySpec(
            "tracked_displacement",
            _TWO_TIME_BY_RANK,
            "As displacement, but each vector is followed through swaps of ranks; rank is the rank at tw.",
        ),
        ArraySpec(
            "subspace_displacement",
            _TWO_TIME_BY_RANK,
            "1 − ‖V_k(tw)ᵀ V_k(t)‖²_F / k of the leading k = rank eigenvectors.",
        ),
        ArraySpec("weight_displacement", _TWO_TIME, "Δ_w(tw, t): |θ(t) − θ(tw)|² / N."),
        ArraySpec(
            "weight_change_alignment", _TWO_TIME_BY_RANK, "|⟨Δθ/|Δθ|, v_i(tw)⟩| of the weight change Δθ = θ(t) − θ(tw)."
        ),
        ArraySpec("inverse_participation_ratio", _BY_RANK, "Σ_j v_j⁴."),
        *anatomy_arrays("checkpoint"),
        ArraySpec("gradient_alignment", _BY_RANK, "⟨g/|g|, v_i⟩, signed."),
        ArraySpec("update_alignment", _BY_RANK, "⟨u/|u|, v_i⟩, signed."),
        ArraySpec("final_overlap", _BY_RANK, "|⟨v_i(t), v_i(T)⟩|."),
    ),
)

PRECONDITIONED_METRICS = StoreSpec(
    "preconditioned_metrics",
    "Displacement and localization of the leading eigenvectors of P^(−1/2) H P^(−1/2) along a run, P the "
    "diagonal of the step that starts at a checkpoint. Pairs that missed the tolerance are NaN.",
    tuple(
        replace(spec, unit="1", meaning="Leading eigenvalues of the preconditioned Hessian.")
        if spec.name == "eigenvalue"
        else spec
        for spec in METRICS.arrays
        if spec.name in ("step", "rank", "eigenvalue", "inverse_participation_ratio")
        or spec.name in ("displacement", "tracked_displacement", "subspace_displacement")
    ),
)

PLUGIN_METRIC = StoreSpec(
    "plugin_metric",
    "A metric of a plug-in along one run; the summary has its name, unit and meaning. Pairs that missed the "
    "tolerance are NaN.",
    (STEP, RANK, ArraySpec("value", _BY_RANK, "What the plug-in measured.", "as declared")),
)

STORES = {
    spec.kind: spec
    for spec in (DATA, TRAJECTORY, EIGENPAIRS, MINIMUM, NULL, BASELINE, METRICS, PRECONDITIONED_METRICS, PLUGIN_METRIC)
}


def specs_for(kind: str, names: Iterable[str]) -> list[ArraySpec]:
    """Return the specifications of the named arrays, in the registry's order.

    Raises:
        ValueError: If an array is unknown, or if an array that is not optional is missing.
    """
    specs, given = STORES[kind].arrays, set(names)
    if unknown := given - {spec.name for spec in specs}:
        raise ValueError(f"a store of kind '{kind}' has no array '{min(unknown)}'")
    if missing := {spec.name for spec in specs if not spec.optional} - given:
        raise ValueError(f"array '{min(missing)}' is missing from a store of kind '{kind}'")
    return [spec for spec in specs if spec.name in given]
