"""Every figure that the package ships: what it reads and shows, its settings, function and caption.

The workflow makes a rule from each declaration, the report takes categories and captions from them, and
`docs/gallery.py` writes docs/figures.md. Jobs do not import this module, so a change of one declaration redraws at most
one figure.
"""

from collections.abc import Callable, Mapping
from typing import Any

from eigendrift.data.datasets import DATASETS
from eigendrift.extensions.kinds import MEASURED, Figure, lazy
from eigendrift.extensions.registry import known
from eigendrift.training.networks import DEFAULT_KIND, kind_of
from eigendrift.training.optimizers import is_adaptive

Config = Mapping[str, Any]
Setting = str | Callable[[Config], Any]

ALIGNMENT = "eigendrift.figures.alignment"
CLAIMS = "eigendrift.figures.claims"
CURVATURE = "eigendrift.figures.curvature"
DISPLACEMENT = "eigendrift.figures.displacement"
EIGENVECTOR = "eigendrift.figures.eigenvector"
LOCALIZATION = "eigendrift.figures.localization"
NULLS = "eigendrift.figures.nulls"
RUN_TIMES = "eigendrift.figures.run_times"
SWEEPS = "eigendrift.figures.sweeps"
TRAINING = "eigendrift.figures.training"

WITH_FURTHER_NULLS = MEASURED | {"further": "further null models"}
WITH_MORE_EIGENPAIRS = MEASURED | {"wide_metrics": "wide metrics", "wide_baselines": "wide null model"}


def _first_dataset(config: Config) -> str:
    return str(config["experiments"]["main"]["datasets"][0])


def _second_dataset(config: Config) -> str:
    return str(config["experiments"]["main"]["datasets"][1])


FIRST_OVER_TIME: dict[str, Setting] = {"dataset": _first_dataset, "waiting_times": "figures.waiting_times"}
SECOND_OVER_TIME: dict[str, Setting] = FIRST_OVER_TIME | {"dataset": _second_dataset}


def _has_perceptrons(config: Config) -> bool:
    return kind_of(config["models"][config["experiments"]["main"]["model"]]) == DEFAULT_KIND


def _has_preconditioned_runs(config: Config) -> bool:
    adaptive = any(map(is_adaptive, config["experiments"]["main"]["optimizers"]))
    return adaptive and config["eigenpairs"]["preconditioned_seeds"] > 0


# Captions of two figures each.
TWO_TIME = r"""
Two-time displacement Δ = 2 (1 − \|⟨v₁(t\ :sub:`w` + t), v₁(t\ :sub:`w`)⟩\|) of the leading Hessian
eigenvector on {{ settings.dataset }}: how far it has moved at a lag t after the waiting time t\ :sub:`w`,
from 0 (not at all) to 2 (at a right angle). A panel for each optimizer, a curve for each waiting time, mean
over initializations. Dark curves start early in training, light ones late.

*Reading help:* where later curves are lower, the direction becomes more stable. At the dashed line of a null
model, the eigenvector has moved as far as two draws of that model are apart (median, band: central 90 %). The
dotted line is the mean over random directions.

{{ runs }} Baseline: {{ null }}.
"""
MEANS = r"""
Alignment of the mini-batch gradient, \|⟨g/\|g\|, v\ :sub:`i`⟩\|, and of the update of the same step,
\|⟨u/\|u\|, v\ :sub:`i`⟩\|, with the leading Hessian eigenvectors v\ :sub:`i`, on {{ settings.dataset }}. A
point for each run at each rank i, the mean over its checkpoints. The runs of an optimizer are side by side in
the order of their seeds. The dotted line is the mean over random directions.

*Reading help:* compare the two panels. The points of plain SGD are the same in both, because its update is
parallel to the gradient. Where points are lower on the right, updates are turned away from the top curvature
directions.

{{ runs }}
"""

FIGURES = known(
    Figure,
    Figure(
        name="fig01_displacement",
        title="Two-time displacement of the leading eigenvector",
        category="Displacement",
        runs="first data set",
        reads=WITH_FURTHER_NULLS,
        settings=FIRST_OVER_TIME,
        draw=lazy(DISPLACEMENT, "draw_displacement"),
        caption=TWO_TIME,
    ),
    Figure(
        name="fig02_alignment",
        title="Alignment of update and gradient with the leading eigenvectors",
        category="Alignment",
        draw=lazy(ALIGNMENT, "draw_alignment"),
        caption=r"""
Alignment of the optimizer's update (x) and of the mini-batch gradient (y) with the {{ ranks }} leading
Hessian eigenvectors: \|⟨u/\|u\|, vᵢ⟩\| against \|⟨g/\|g\|, vᵢ⟩\|, from 0 (at a right angle) to 1 (parallel).
A panel for each data set, a point for each checkpoint, rank and run.

*Reading help:* on the grey diagonal the update points where the gradient points, as it must for plain SGD.
Below the diagonal, steps follow a leading direction more than the gradient does; above it, less.

{{ runs }}
""",
    ),
    Figure(
        name="fig03_localization",
        title="Inverse participation ratio of the leading eigenvector",
        category="Localization",
        reads=WITH_FURTHER_NULLS,
        draw=lazy(LOCALIZATION, "draw_localization"),
        caption=r"""
Inverse participation ratio Σⱼ v₁ⱼ⁴ of the leading Hessian eigenvector throughout training, a panel for each
data set. Line: mean, band: minimum to maximum over initializations. The ratio is 1/N if all N parameters
contribute equally and 1 if the vector has one component; its inverse is the effective number of parameters.

*Reading help:* the higher the ratio, the fewer parameters carry the direction. Above the band of a null model
(median dashed, central 90 %), training has localized the direction beyond what the null model keeps. The
dotted line is the mean over random directions, where N × IPR, on the right axis, is about 3.

{{ runs }} Baseline: {{ null }}.
""",
    ),
    Figure(
        name="fig04_training_loss",
        title="Training loss",
        category="Training",
        draw=lazy(TRAINING, "draw_training_loss"),
        caption=r"""
Training loss, the mean cross-entropy over the whole training set in nat, on a logarithmic axis, a panel for
each data set. Line: mean, band: minimum to maximum over initializations.

*Reading help:* optimizers reach different losses after the same number of steps. Where figures 1 to 3 differ
between optimizers, this figure shows how far each optimizer has come.

{{ training }}
""",
    ),
    Figure(
        name="fig05_test_accuracy",
        title="Test accuracy of every run",
        category="Training",
        draw=lazy(TRAINING, "draw_test_accuracy"),
        caption=r"""
Test accuracy at the last step, a panel for each data set, a column for each optimizer. Each point is one run,
and the points of a column are in the order of their seeds.

*Reading help:* points of a column differ only in their initialization. Compare differences between columns
with the spread within a column.

{{ training }}
""",
    ),
    Figure(
        name="fig06_eigenvalues",
        title="The three leading eigenvalues",
        category="Training",
        draw=lazy(TRAINING, "draw_eigenvalues"),
        caption=r"""
The {{ ranks }} leading eigenvalues of the Hessian of the training loss throughout training, in nat, on a
logarithmic axis. A row for each data set, a panel for each optimizer. Line: mean, band: minimum to maximum
over initializations.

*Reading help:* λ₁ is the sharpness. Where lines of two ranks touch, their eigenvectors are hard to tell apart
and may swap. Figures that follow one rank show such a swap as a large displacement.

{{ runs }}
""",
    ),
    Figure(
        name="fig07_convergence",
        title="Convergence of the leading eigenvectors to the final basin",
        category="Displacement",
        draw=lazy(TRAINING, "draw_convergence"),
        caption=r"""
Convergence of the {{ ranks }} leading Hessian eigenvectors to those at the end of training, \|⟨vᵢ(t),
vᵢ(T)⟩\|, from 0 (at a right angle) to 1 (equal). A row for each data set, a panel for each optimizer. Line:
mean, band: minimum to maximum over initializations.

*Reading help:* the final direction begins to appear where a line leaves the bottom. The last point is 1 by
definition; a rise only there means that the direction was still moving.

{{ runs }}
""",
    ),
    Figure(
        name="fig08_minima",
        title="The best minimum of each optimizer",
        category="Training",
        reads={"minima": "minima"},
        read=lazy(CURVATURE, "read_minima"),
        draw=lazy(CURVATURE, "draw_minima"),
        caption=r"""
The best minimum of each optimizer: the run with the lowest final loss, over training and test samples
together. Left: the density of all N eigenvalues of the Hessian there (stochastic Lanczos quadrature),
smoothed as written below the figure. Middle: loss and error rate at the end of every run, with a large point
for the best run. Right: the leading eigenvalues and, behind the line, the trace with its standard error
(Hutch++).

*Reading help:* nearly all eigenvalues form the peak at 0. The single ones to its right are the outliers, so a
minimum is flatter the further left its curve ends. Leading eigenvalues measure flatness in the few steepest
directions, the trace in all directions together. The middle panel shows whether the flatter minimum is the
better one.

{{ training }} Here, the Hessian is over all training and test samples together.
""",
    ),
    Figure(
        name="fig09_displacement",
        title="Two-time displacement on the second data set",
        category="Displacement",
        runs="second data set",
        reads=WITH_FURTHER_NULLS,
        settings=SECOND_OVER_TIME,
        draw=lazy(DISPLACEMENT, "draw_displacement"),
        caption=TWO_TIME,
    ),
    Figure(
        name="fig10_weight_displacement",
        title="Two-time displacement of the weights",
        category="Displacement",
        runs="first data set",
        settings=FIRST_OVER_TIME,
        draw=lazy(DISPLACEMENT, "draw_weight_displacement"),
        caption=r"""
Two-time displacement of the weights, Δ\ :sub:`w`\ (t\ :sub:`w`, t\ :sub:`w` + t) = \|θ(t\ :sub:`w` + t) −
θ(t\ :sub:`w`)\|² / N on {{ settings.dataset }} (Baity-Jesi et al. 2018, not normalized by the noise of the
gradient). A panel for each optimizer, a curve for each waiting time t\ :sub:`w` against the lag t, both in
steps, mean over initializations. Dark curves start early in training, light ones late.

*Reading help:* on these logarithmic axes, slope 1 is diffusion and slope 2 is motion in a straight line.
Later curves are lower where training slows down; curves on top of each other would mean that the weights move
as before.

{{ training }}
""",
    ),
    Figure(
        name="fig11_weight_change_alignment",
        title="Alignment of the weight change over a lag with the leading eigenvector",
        category="Alignment",
        runs="first data set",
        settings=FIRST_OVER_TIME,
        draw=lazy(ALIGNMENT, "draw_weight_change_alignment"),
        caption=r"""
Alignment of the weight change over a lag t, Δθ = θ(t\ :sub:`w` + t) − θ(t\ :sub:`w`), with the leading
Hessian eigenvector v₁ at the waiting time t\ :sub:`w`, \|⟨Δθ/\|Δθ\|, v₁(t\ :sub:`w`)⟩\|, on
{{ settings.dataset }}. A panel for each optimizer, a curve for each waiting time, mean over initializations.
The dotted line is the mean over random directions.

*Reading help:* at 1 the weights would move along v₁ alone; near the dotted line they move independently of
it. A falling curve means that motion along v₁ does not add up over steps, for example because the weights
oscillate.

{{ runs }}
""",
    ),
    Figure(
        name="fig12_raw_alignment",
        title="Signed alignment of gradient and update in one run",
        category="Alignment",
        runs="examples",
        settings={"dataset": _first_dataset},
        draw=lazy(ALIGNMENT, "draw_signed_alignment"),
        caption=r"""
Signed alignment of the normalized mini-batch gradient g and of the update u of the same step with the leading
Hessian eigenvectors v\ :sub:`i`, on {{ settings.dataset }}, along one run of each optimizer, seed 0. A row
for each rank i, a column for each optimizer.

*Reading help:* an eigenvector has no sign of its own, so at each checkpoint its sign makes the gradient's
alignment positive. The update of plain SGD is then the gradient's mirror image. Where an update is above 0,
the step climbs along v\ :sub:`i` on this batch: momentum, or the scaling of each parameter, has turned it.

{{ runs }}
""",
    ),
    Figure(
        name="fig13_alignment_means",
        title="Mean alignment of gradient and update by rank",
        category="Alignment",
        runs="first data set",
        settings={"dataset": _first_dataset},
        draw=lazy(ALIGNMENT, "draw_alignment_means"),
        caption=MEANS,
    ),
    Figure(
        name="fig14_alignment_means",
        title="Mean alignment of gradient and update on the second data set",
        category="Alignment",
        runs="second data set",
        settings={"dataset": _second_dataset},
        draw=lazy(ALIGNMENT, "draw_alignment_means"),
        caption=MEANS,
    ),
    Figure(
        name="fig15_wide_localization",
        title="Inverse participation ratio of many leading eigenvectors",
        category="Localization",
        runs="examples",
        reads={"metrics": "wide metrics", "baselines": "null model"},
        settings={"dataset": _first_dataset},
        draw=lazy(LOCALIZATION, "draw_wide_localization"),
        caption=r"""
Inverse participation ratio (IPR), the sum of v⁴ over all N parameters, of many leading Hessian eigenvectors
throughout one run of each optimizer, seed 0, on {{ settings.dataset }}. A line for each rank, dark for the
largest eigenvalue, and a dot for every n-th checkpoint, n = {{ config.eigenpairs.wide_every }}. The right
axis is N times the IPR. Red is the leading eigenvector of the null model (median, band: central 90 %), dotted
the mean over random directions.

*Reading help:* N × IPR is 1 for a vector that is spread evenly and N for a single parameter. Lines above the
red band are more localized than the leading eigenvector of the null model. The closer dark and light lines
are, the more the leading eigenvector is typical of the others.

{{ runs }} Baseline: {{ null }}.
""",
    ),
    Figure(
        name="fig16_leading_eigenvector",
        title="The leading eigenvector at the end of training, layer by layer",
        category="Localization",
        runs="examples",
        reads={"eigenpairs": "eigenpairs"},
        when=_has_perceptrons,
        settings={
            "image_shape": lambda config: list(DATASETS[_first_dataset(config)].image_shape),
            "classes": lambda config: DATASETS[_first_dataset(config)].classes,
        },
        read=lazy(EIGENVECTOR, "read_last_eigenvectors"),
        draw=lazy(EIGENVECTOR, "draw_leading_eigenvector"),
        caption=r"""
The leading Hessian eigenvector at the end of training, in the shapes of the network's layers: a column for
each optimizer, seed 0. The first layer is shown as images, one for each unit with its bias as a bar below,
further layers as matrices with their biases as the last column.

*Reading help:* red and blue are components of opposite sign, white ones are near 0. The colour scale of a
layer is the same for all optimizers. The title of a panel is the layer's share of the unit vector; its share
of the parameters is below the figure. Signs are chosen such that columns can be compared: their overlaps with
the first one are positive. A grey panel states why there is no vector.

{{ runs }}
""",
    ),
    Figure(
        name="fig17_learning_rate_alignment",
        title="Alignment of gradient and update over learning rates",
        category="Sweeps",
        runs="learning_rates",
        read=lazy(SWEEPS, "read_learning_rates"),
        draw=lazy(SWEEPS, "draw_swept_alignment"),
        caption=r"""
Alignment of gradient, \|⟨g/\|g\|, v\ :sub:`i`⟩\|, and update, \|⟨u/\|u\|, v\ :sub:`i`⟩\|, with the leading
Hessian eigenvectors v\ :sub:`i` over learning rates. Each run enters with its mean over checkpoints, up to a
divergence. Point: mean, bar: minimum to maximum over initializations. Dotted: the mean for isotropic vectors
in N dimensions.

*Reading help:* compare the two rows. For plain SGD they are the same, because its update is parallel to the
gradient. Where an optimizer's points are lower in the second row, its updates are turned away from the top
curvature directions. Each optimizer has learning rates of its own, and all runs take the same number of
steps, so runs with a lower rate also move less.

{{ runs }}
""",
    ),
    Figure(
        name="fig18_batch_size_localization",
        title="Inverse participation ratio over batch sizes",
        category="Sweeps",
        runs="batch_sizes",
        read=lazy(SWEEPS, "read_batch_sizes"),
        draw=lazy(SWEEPS, "draw_swept_localization"),
        caption=r"""
Inverse participation ratio, the sum of v⁴ over all N parameters, of the leading Hessian eigenvector
throughout training: a panel for each optimizer, a line for each batch size (mean over initializations; band:
minimum to maximum). The right axis is N times the ratio. Red: median and central 90 % under the null model;
dotted: the mean for isotropic vectors, 3/(N + 2).

*Reading help:* runs with batches of B samples take steps in proportion to 1/B, so that all see as many
samples. This rule would leave the full batch too few steps to train, so its number of steps is set
separately{{ full_batch }}. Therefore time is the share of training. Lines on top of each other mean that the
batch size does not matter; the black line is the full batch, which has no noise.

{{ runs }} Baseline: {{ null }}.
""",
    ),
    Figure(
        name="fig19_learning_rate_localization",
        title="Inverse participation ratio over learning rates",
        category="Sweeps",
        runs="learning_rates",
        read=lazy(SWEEPS, "read_learning_rates"),
        draw=lazy(SWEEPS, "draw_swept_localization"),
        caption=r"""
Inverse participation ratio, the sum of v⁴ over all N parameters, of the leading Hessian eigenvector
throughout training: a panel for each optimizer, a line for each of its learning rates (mean over
initializations; band: minimum to maximum). The right axis is N times the ratio. Red: median and central 90 %
under the null model; dotted: the mean for isotropic vectors, 3/(N + 2).

*Reading help:* each optimizer has learning rates of its own, dark for the lowest, and all runs take the same
number of steps. Lines above the red band are more localized than without training. A learning rate also
changes how far training comes in these steps, so a line may move although its limit stays the same.

{{ runs }} Baseline: {{ null }}.
""",
    ),
    Figure(
        name="fig20_batch_size_displacement",
        title="Two-time displacement over batch sizes",
        category="Sweeps",
        runs="batch_sizes",
        settings={"waiting_times": "figures.waiting_times"},
        read=lazy(SWEEPS, "read_batch_sizes"),
        draw=lazy(SWEEPS, "draw_swept_displacement"),
        caption=r"""
Two-time displacement of the leading Hessian eigenvector, Δ = 2 (1 − \|⟨v₁(t\ :sub:`w` + t),
v₁(t\ :sub:`w`)⟩\|), for varying batch size: a row for each batch size, a column for each optimizer, a curve
for each waiting time t\ :sub:`w` (mean over initializations), against the lag t. Red dashed: median, and
band: central 90 %, between two independent draws of the null model; dotted: isotropic vectors.

*Reading help:* runs with batches of B samples take steps in proportion to 1/B, so that all see as many
samples. This rule would leave the full batch too few steps to train, so its number of steps is set
separately{{ full_batch }}. Waiting times and lags are therefore shares of the training, and panels can be
compared along columns. Curves near the red line have forgotten v₁(t\ :sub:`w`). Where later curves are lower,
directions become more stable.

{{ runs }} Baseline: {{ null }}.
""",
    ),
    Figure(
        name="fig21_learning_rate_displacement",
        title="Two-time displacement over learning rates",
        category="Sweeps",
        runs="learning_rates",
        settings={"waiting_times": "figures.waiting_times"},
        read=lazy(SWEEPS, "read_learning_rates"),
        draw=lazy(SWEEPS, "draw_swept_displacement"),
        caption=r"""
Two-time displacement of the leading Hessian eigenvector, Δ = 2 (1 − \|⟨v₁(t\ :sub:`w` + t),
v₁(t\ :sub:`w`)⟩\|), for varying learning rate: a column for each optimizer, in it a row for each of its
learning rates, a curve for each waiting time t\ :sub:`w` (mean over initializations), against the lag t. Red
dashed: median, and band: central 90 %, between two independent draws of the null model; dotted: isotropic
vectors.

*Reading help:* all runs take the same number of steps; waiting times and lags are shares of the training, as
in figure 20. Curves near the red line have forgotten v₁(t\ :sub:`w`). Where later curves are lower,
directions become more stable. Compare columns: does the difference between the optimizers remain at every
learning rate?

{{ runs }} Baseline: {{ null }}.
""",
    ),
    Figure(
        name="ext01_tracked_displacement",
        title="How much of the displacement is swaps of ranks",
        category="Displacement",
        reads=WITH_MORE_EIGENPAIRS,
        settings={"lag": "metrics.lag"},
        read=lazy(DISPLACEMENT, "read_collections"),
        draw=lazy(DISPLACEMENT, "draw_tracked_displacement"),
        caption=r"""
Vectors or ranks? Displacement of the leading eigenvectors over a lag of {{ settings.lag }} of the training,
against the waiting time, the mean over the {{ ranks }} leading ranks. A row for each data set. From left to
right: the eigenvectors of one rank; directions, followed from checkpoint to checkpoint by largest overlap, so
that a swap of ranks is no movement; the share of the first that is swaps, 1 − tracked / by rank, over all
seeds; and the share of all displacement that is swaps of eigenvalues that come closer than a gap, relative to
λ₁, on the way. Symbols: tracked among {{ config.eigenpairs.wide_count }} eigenpairs, at the checkpoints that
have as many. Axes of shares end at −1, where lines and bands are cut.

*Reading help:* where the first two panels agree, vectors move and ranks do not swap. A share below 0 means
that a direction left the leading ranks, where it cannot be followed. The symbols show how much of this
remains when more eigenpairs are tracked. On the right, a curve ends at the share of swaps in all
displacement; it rises at the gaps where ranks swap.

{{ runs }}
""",
    ),
    Figure(
        name="ext02_subspace_displacement",
        title="Displacement of the span of the leading eigenvectors",
        category="Displacement",
        reads=WITH_MORE_EIGENPAIRS,
        settings={"lag": "metrics.lag", "ranks": "claims.sensitivity.ranks"},
        read=lazy(DISPLACEMENT, "read_collections"),
        draw=lazy(DISPLACEMENT, "draw_subspace_displacement"),
        caption=r"""
Has the span settled? Over a lag of {{ settings.lag }} of the training, against the waiting time. A row for
each data set. From left to right: sin² of the angle by which each leading eigenvector turns, mean over them;
the displacement of their span, 1 − ‖V(t\ :sub:`w`)ᵀ V(t\ :sub:`w` + t)‖² / k, which is the part of this turn
that leaves the span; the same for more eigenvectors, at the checkpoints that have so many; and the share of
the turn that stays within the span. At the red line, spans are as far apart as the spans of two draws of the
null model (median, band: central 90 %).

*Reading help:* eigenvectors of nearly equal eigenvalues turn among each other without any change of the
curvature: where each of them moves but the span does not, the share on the right is near 1. Where the span
moves as much as each of them, new directions become the leading ones.

{{ runs }} Null model: {{ null }}.
""",
    ),
    Figure(
        name="ext03_regimes",
        title="Where the claims hold: training-set size, learning rate and length of training",
        category="Claims",
        runs="training_sizes",
        reads={"regimes": "regimes.csv"},
        settings={"dataset": lambda config: config["experiments"]["training_sizes"]["datasets"][0]},
        read=lazy(CLAIMS, "read_regimes"),
        draw=lazy(CLAIMS, "draw_regimes"),
        caption=r"""
Where the claims hold. Each cell is a regime: a size of the training set (up), a learning rate of SGD and one
of Adam (right), and a length of training (columns of panels). The learning rate is constant, so the first
part of a run is a shorter training, and the lag of displacements is a share of that length. Top: training
accuracy at the end, on grey where optimizers interpolate, that is, classify every training sample correctly
from every initialization. Below, a row for each claim: its effect, mean over initializations. White is the
smallest effect that counts, purple the side on which the claim holds, orange the other. A triangle shows on
which side of the smallest effect that counts all initializations are (hollow), or the whole
{{ (100 * config.claims.confidence)|round|int }} % interval (filled), which needs four of them.

*Reading help:* a claim that is purple everywhere holds in every regime of this study. A change of colour from
left to right shows dependence on the learning rate, from top to bottom on the number of samples, from panel
to panel on the length. C7, which says that learning rates change nothing, has one cell for all of them. With
too few initializations for a test, only their agreement can be seen. C5b and C6, which are about batch sizes,
are left out.

{{ runs }} Null model of C3 and C4: {{ null }}, with draws for each training set.
""",
    ),
    Figure(
        name="ext04_anatomy",
        title="Where in the network the leading eigenvector lives, and so why it localizes",
        category="Localization",
        reads=MEASURED | {"further": "other null models"},
        draw=lazy(LOCALIZATION, "draw_anatomy"),
        caption=r"""
Why does the leading Hessian eigenvector localize: in which parts of the network does it live? A row for each
data set; a bar or a row of points for each optimizer, late in the training, and for each null model. Left: N
× IPR, which is 1 for a vector that is spread evenly, as a product of three factors, side by side on the
logarithmic axis: some layers hold more of the vector than their share of the parameters, some of their
neurons (incoming weights and bias together) hold more than others, and so do some of a neuron's weights.
Second: the layers' shares of the eigenvector, under their shares of the parameters. Third: the effective
number of neurons of each layer, the inverse of the participation ratio over neurons, divided by the number of
neurons. Right: the share of the eigenvector in the 1 % of all parameters where it is largest, throughout
training.

*Reading help:* with :math:`s_l` the share of layer l, which has :math:`N_l` parameters, and :math:`m_u` the
share of neuron u, which has :math:`k_u`, the three factors are :math:`N A`, :math:`B / A` and
:math:`\mathrm{IPR} / B`, where :math:`A = \sum_l s_l^2 / N_l` and :math:`B = \sum_u m_u^2 / k_u`. None is
below 1. Random directions have a product of about 3, from single weights. The part by which an optimizer's
bar exceeds its null models shows what localizes.

{{ runs }} Null models: {{ null }}.
""",
    ),
    Figure(
        name="ext05_preconditioned",
        title="The preconditioned Hessian's leading eigenvectors next to the plain ones",
        category="Curvature",
        reads=MEASURED | {"preconditioned": "preconditioned metrics"},
        when=_has_preconditioned_runs,
        settings={"lag": "metrics.lag"},
        asks_optimizers=True,
        read=lazy(CURVATURE, "read_preconditioned"),
        draw=lazy(CURVATURE, "draw_preconditioned"),
        caption=r"""
The Hessian as an adaptive optimizer sees it: leading eigenvectors of :math:`P^{-1/2} H P^{-1/2}`, where P is
the diagonal that divides the step that starts at a checkpoint (Cohen et al. 2022), with bias corrections,
next to those of H itself. Left: displacement of the leading eigenvector over a lag of
{{ (100 * settings.lag)|round(1) }} % of the training. Middle: its inverse participation ratio. Right: the
leading eigenvalue divided by the largest one at which full-batch steps on a quadratic loss stay stable: 2/η
for SGD with learning rate η and 2 (1 + β)/η with momentum β, both for H, and 2 (1 + β₁)/((1 − β₁) η) for Adam
and the preconditioned Hessian, which is 38/η for β₁ = 0.9. Optimizers without such a number, like SAM and
Muon, are left out there. Line: mean, band: minimum to maximum over initializations,
{{ config.eigenpairs.preconditioned_seeds }} at most for the preconditioned Hessian.

*Reading help:* if an eigenvector moves or localizes under Adam because of the coordinates that Adam rescales,
this disappears in the preconditioned curve. Eigenvectors of the two Hessians have different coordinates, θ
and :math:`P^{1/2} \theta`. At step 0 Adam has seen one batch: P is tiny where this batch has no gradient,
which makes the eigenvalue huge. Training with small batches stays below the threshold; near 1 is the edge of
stability.

{{ runs }} Baseline, for H: {{ null }}.
""",
    ),
    Figure(
        name="ext06_flatness",
        title="Whether stable eigenvectors go with flatter minima and better test accuracy",
        category="Curvature",
        runs="all",
        reads={"metrics": "metrics"},
        settings={"lag": "metrics.lag", "confidence": "claims.confidence", "resamples": "claims.resamples"},
        read=lazy(CURVATURE, "read_flatness"),
        draw=lazy(CURVATURE, "draw_flatness"),
        caption=r"""
Do stable eigenvectors go with flatter minima and better test accuracy? A point for each run of the study,
with sweeps, a row of panels for each data set: displacement of the leading eigenvector over a lag of
{{ (100 * settings.lag)|round(1) }} % of the training, mean over the second half of waiting times; leading
Hessian eigenvalue at the end, small where the minimum is flat; test accuracy at the end. Runs that diverged,
or lack a converged eigenpair, are left out and counted below the figure. Bottom: Spearman's rank correlation
of each pair over all data sets. Hollow: all runs pooled. Filled: within blocks, with
{{ (100 * settings.confidence)|round|int }} % bootstrap intervals and p of permutations within blocks, times
the number of tests (Bonferroni).

*Reading help:* the pooled coefficient mixes all differences between data sets, optimizers and settings. It
may have either sign even if within every block there is no correlation, or the opposite one (Simpson's
paradox). It has no interval, because runs of one block are no independent evidence. Within blocks, ranks R of
x and S of y among the :math:`n_b` units of a block enter as :math:`r = R / (n_b + 1) - 1/2`, s likewise, and
the coefficient is :math:`\sum r s / \sqrt{\sum r^2 \sum s^2}` over all blocks. *Settings vary:* blocks of one
data set and optimizer, whose units are its batch sizes and learning rates, means over seeds. Direct effects
of a setting count here, such as that of the learning rate on the curvature. *Seeds vary:* blocks of one
setting, whose units are runs; only initialization and the order of batches differ. Neither kind of
association proves a cause.

{{ runs }}
""",
    ),
    Figure(
        name="ext07_claims",
        title="Effect, interval and verdict of every claim",
        category="Claims",
        reads={"verdicts": "claims.json"},
        read=lazy(CLAIMS, "read_claims"),
        draw=lazy(CLAIMS, "draw_claims"),
        caption=r"""
Effect, interval and verdict of each claim of the paper (rows), on each data set (columns). Large marker: mean
over initializations, its shape the verdict; bar: {{ (100 * config.claims.confidence)|round|int }} %
studentized bootstrap interval; small strokes: single initializations; digits: the effect of means over so
many leading eigenvectors, for C1 to C5 all at the checkpoints that have the most of them, for the others at
all checkpoints; dashed line: the smallest effect that counts, fixed in the configuration; grey: the side of
this line that counts as the claim. Each row has its own unit. Above a panel: verdict, number n of
initializations, and p of the paired sign-flip test, Holm-corrected over the claims that were tested on the
data set.

*Reading help:* a claim is supported if the whole bar is in the grey area and the corrected p is below
{{ (1 - config.claims.confidence)|round(4) }}, contradicted if the whole bar is outside, undecided otherwise.
C7 says that an effect is small, so its grey area is on the left. Few initializations cannot reach a small p,
however large the effect; the verdict is then undecided, and claims.json states how many could decide.

{{ runs }} Null model of C3 and C4: {{ null }}.
""",
    ),
    Figure(
        name="ext08_null_models",
        title="Null models compared with untrained networks, and runs with null models",
        category="Null models",
        reads={"values": "null_values.csv", "verdicts": "null_validation.csv"},
        read=lazy(NULLS, "read_null_models"),
        draw=lazy(NULLS, "draw_null_models"),
        caption=r"""
Do the null models hold where they must, and does training leave them? A row of panels for each data set. From
left to right: the leading eigenvalue, the inverse participation ratio of its eigenvector, how far apart the
leading eigenvectors of two networks are, and how far apart their leading subspaces are. Top: untrained
networks as training starts from them, and each null model without any training. Below, for each optimizer:
its runs at step 0 (hollow) and at the end (filled), and the null models of trained networks that belong to
it.

*Reading help:* if a null model is valid, its points are distributed like those of the untrained networks (the
sign at the right is the verdict of a Kolmogorov–Smirnov test). Runs start inside the red band and have to
leave it before anything can be said about training. If the end of a run also differs from the permuted and
the shuffled networks of its optimizer, neither the size of the trained weights nor training as such explains
it.

{{ runs }} Null models: {{ null }}.
""",
    ),
    Figure(
        name="ext09_run_times",
        title="Where the time of a study goes",
        category="Run times",
        reads={"benchmarks": "benchmarks.csv"},
        read=lazy(RUN_TIMES, "read_run_times"),
        draw=lazy(RUN_TIMES, "draw_run_times"),
        caption=r"""
Where the time of the study {{ config.study }} goes. Left: the seconds of all jobs of a rule together, with
the part for starting Python and imports in light grey, their share of the seconds of all rules, with
start-up, and the number of jobs. Right: each job (point) and the median of its rule (red).

*Reading help:* jobs run in parallel on several cores, so the sum is not the elapsed time. The seconds are
those when each job last ran, and depend on the machine and its load.
""",
    ),
)
