"""The paper's claims, and how the effect that each one states is measured, seed by seed.

In the texts and formulas, k is the number of leading eigenvectors that statistics are averaged over. Δ(tw) is the
displacement over one fixed lag, or over the nearest lag that the checkpoints allow. "Late" is the second half of the
training.
"""

from collections.abc import Callable
from dataclasses import dataclass

from eigendrift.claims import effects
from eigendrift.claims.effects import main_runs, sweep_runs
from eigendrift.claims.evidence import Estimator, Evidence, RunsByName

LOG_RATIO = "log10 ratio"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper and how its effect is estimated.

    Attributes:
        name: C1 to C7; C5b is the second half of C5.
        statement: What the paper says.
        estimator: The effect of one seed, in words.
        formula: The same as a formula.
        unit: Unit of the effect.
        estimate: Computes the effect for every seed of a data set.
        runs: Returns the runs that the estimate uses.
        uses_lag: Whether the effect depends on the lag.
        uses_null: Whether the effect compares runs with the null model.
        equivalence: Whether the claim is that an effect is small, so that it must lie below its bound.
    """

    name: str
    statement: str
    estimator: str
    formula: str
    unit: str
    estimate: Estimator
    runs: Callable[[Evidence], RunsByName]
    uses_lag: bool = False
    uses_null: bool = False
    equivalence: bool = False


CLAIMS = (
    Claim(
        "C1",
        "SGD leads to progressively more stable leading curvature directions.",
        "SGD's mean displacement over the first half of waiting times, over that of the second half",
        "log10( mean_{tw early} Δ(tw) / mean_{tw late} Δ(tw) ) of SGD",
        LOG_RATIO,
        effects.stabilization,
        main_runs("sgd"),
        uses_lag=True,
    ),
    Claim(
        "C2",
        "Adam reorganizes its leading eigenvectors substantially more, throughout training.",
        "Adam's displacement over SGD's of the same seed, mean over all waiting times",
        "mean_{tw} log10( Δ_Adam(tw) / Δ_SGD(tw) )",
        LOG_RATIO,
        effects.reorganization,
        main_runs("adam", "sgd"),
        uses_lag=True,
    ),
    Claim(
        "C3",
        "Under Adam the leading eigenvectors localize.",
        "Adam's inverse participation ratio late in the training, over that of the null model's draws, which "
        "are dealt out to the seeds so that each has draws of its own",
        "mean_{t late} log10 IPR_Adam(t) − mean_{draws of the seed} log10 IPR_null",
        LOG_RATIO,
        effects.localization,
        main_runs("adam"),
        uses_null=True,
    ),
    Claim(
        "C4",
        "The differences are the optimizer's, not the architecture's.",
        "Adam's late inverse participation ratio over SGD's of the same seed, in units of what two draws of "
        "the null model differ by",
        "mean_{t late} [ log10 IPR_Adam(t) − log10 IPR_SGD(t) ] / ( √2 sd_{draws} log10 IPR_null )",
        "standard deviations of a null difference",
        effects.attribution,
        main_runs("adam", "sgd"),
        uses_null=True,
    ),
    Claim(
        "C5",
        "Gradient and update alignment with the leading eigenvectors coincide for SGD, not for Adam.",
        "how far the alignments of update and gradient lie apart under Adam, minus the same under SGD",
        "m(Adam) − m(SGD), m = mean_{t, i ≤ k} | |⟨u/|u|, v_i⟩| − |⟨g/|g|, v_i⟩| |",
        "cosine",
        effects.coincidence,
        main_runs("adam", "sgd"),
    ),
    Claim(
        "C5b",
        "Full-batch training differs sharply in gradient alignment.",
        "how far gradient alignment with full batches departs from that with the usual batch size, minus the "
        "largest departure of the sweep's other batch sizes, mean over Adam and SGD",
        "mean_{optimizers} [ |a(full) − a(b)| − max_{B ≠ b, full} |a(B) − a(b)| ], a = mean_{t, i ≤ k} |⟨g/|g|, v_i⟩|",
        "cosine",
        effects.full_batch_departure,
        sweep_runs(effects.full_batch_runs),
    ),
    Claim(
        "C6",
        "The findings hold over batch sizes, full batch excepted.",
        "the smallest contrast between Adam and SGD over the sweep's batch sizes without the full batch, of "
        "displacement as in C2 and of the late inverse participation ratio",
        "min_{B ≠ full} min( mean_{tw} log10( Δ_Adam / Δ_SGD ), mean_{t late} log10( IPR_Adam / IPR_SGD ) )",
        LOG_RATIO,
        effects.smallest_contrast,
        sweep_runs(effects.mini_batch_runs),
        uses_lag=True,
    ),
    Claim(
        "C7",
        "The learning rate does not change the differences in displacement between optimizers.",
        "the largest minus the smallest contrast in displacement between Adam and SGD, as in C2, over all "
        "pairs of their learning rates in the sweep; a claim of equivalence: the effect must lie below",
        "max_{η_Adam, η_SGD} D − min_{η_Adam, η_SGD} D, D = mean_{tw} log10( Δ_Adam(tw) / Δ_SGD(tw) )",
        LOG_RATIO,
        effects.largest_change,
        sweep_runs(effects.learning_rate_runs),
        uses_lag=True,
        equivalence=True,
    ),
)
