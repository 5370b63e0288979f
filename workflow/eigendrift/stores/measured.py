"""The stores of what is measured along a run, and the arrays that other stores share with them."""

from dataclasses import replace

from eigendrift.stores.specs import ArraySpec, StoreSpec

STEP = ArraySpec("step", ("checkpoint",), "int64", "optimizer steps", "Steps taken before the checkpoint.")
RANK = ArraySpec("rank", ("rank",), "int64", "1", "Rank of the eigenvalue, 1 is the largest.")
LAYER = ArraySpec("layer", ("layer",), "int64", "1", "Number of the layer, 1 takes the network's input.")
LOSSES = tuple(
    ArraySpec(f"{part}_{what}", ("checkpoint",), "float64", unit, f"{meaning} over the whole {part} set.")
    for part in ("train", "test")
    for what, unit, meaning in (
        ("loss", "nat", "Mean cross-entropy"),
        ("accuracy", "1", "Share of samples classified correctly"),
    )
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
        "Σ m² / (Σ m)² over the layer's inputs, m the sum of v² over the weights that come from one.",
    ),
)


def anatomy_arrays(record: str) -> tuple[ArraySpec, ...]:
    """Where in the network eigenvectors live, see `eigendrift.metrics.anatomy`."""
    return (
        *(ArraySpec(name, (record, "rank", "layer"), "float64", "1", text) for name, text in _ANATOMY),
        ArraySpec(
            "top_share",
            (record, "rank"),
            "float64",
            "1",
            "Share of Σ v² in the hundredth of all parameters where v² is largest.",
        ),
    )


_TWO_TIME = ("waiting", "checkpoint")
METRICS = StoreSpec(
    "metrics",
    "Everything that figures and claims need of one run. Pairs that missed the tolerance are NaN.",
    (
        STEP,
        RANK,
        LAYER,
        *LOSSES,
        ArraySpec(
            "eigenvalue", ("checkpoint", "rank"), "float64", "nat", "Leading eigenvalues of the Hessian."
        ),
        ArraySpec(
            "gap",
            ("checkpoint", "rank"),
            "float64",
            "1",
            "Distance to the nearest other eigenvalue, relative to |λ1|.",
        ),
        ArraySpec("displacement", (*_TWO_TIME, "rank"), "float64", "1", "Δ(i)(tw, t): 2(1 − |⟨v_i, v_i⟩|)."),
        ArraySpec(
            "tracked_displacement",
            (*_TWO_TIME, "rank"),
            "float64",
            "1",
            "As displacement, with identity followed through swaps of ranks; rank is the one at tw.",
        ),
        ArraySpec(
            "subspace_displacement",
            (*_TWO_TIME, "rank"),
            "float64",
            "1",
            "1 − ‖V_k(tw)ᵀ V_k(t)‖²_F / k of the leading k = rank.",
        ),
        ArraySpec("weight_displacement", _TWO_TIME, "float64", "1", "Δ_w(tw, t): |θ(t) − θ(tw)|² / N."),
        ArraySpec(
            "weight_change_alignment",
            (*_TWO_TIME, "rank"),
            "float64",
            "1",
            "|⟨Δθ/|Δθ|, v_i(tw)⟩| of the weight change Δθ = θ(t) − θ(tw).",
        ),
        ArraySpec("inverse_participation_ratio", ("checkpoint", "rank"), "float64", "1", "Σ_j v_j⁴."),
        *anatomy_arrays("checkpoint"),
        ArraySpec("gradient_alignment", ("checkpoint", "rank"), "float64", "1", "⟨g/|g|, v_i⟩, signed."),
        ArraySpec("update_alignment", ("checkpoint", "rank"), "float64", "1", "⟨u/|u|, v_i⟩, signed."),
        ArraySpec("final_overlap", ("checkpoint", "rank"), "float64", "1", "|⟨v_i(t), v_i(T)⟩|."),
    ),
)

_OF_THE_PRECONDITIONED = {
    "step",
    "rank",
    "eigenvalue",
    "displacement",
    "tracked_displacement",
    "subspace_displacement",
    "inverse_participation_ratio",
}
PRECONDITIONED_METRICS = StoreSpec(
    "preconditioned_metrics",
    "Displacement and localization of the leading eigenvectors of P^(−1/2) H P^(−1/2) along a run, P the "
    "diagonal of the step that starts at a checkpoint. Pairs that missed the tolerance are NaN.",
    tuple(
        replace(spec, unit="1", meaning="Leading eigenvalues of it.") if spec.name == "eigenvalue" else spec
        for spec in METRICS.arrays
        if spec.name in _OF_THE_PRECONDITIONED
    ),
)

PLUGIN_METRIC = StoreSpec(
    "plugin_metric",
    "A metric of a plug-in along one run; name, unit and meaning stand in the summary. Pairs that missed the "
    "tolerance are NaN.",
    (
        STEP,
        RANK,
        ArraySpec("value", ("checkpoint", "rank"), "float64", "as declared", "What the plug-in measured."),
    ),
)
