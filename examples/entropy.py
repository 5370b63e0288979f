"""A metric, and a figure that shows it."""

import numpy as np

from eigendrift.extensions import Figure, Metric


def measure(trajectory, eigenpairs):
    """Return the entropy of the shares v_j² in nat, shape (checkpoints, ranks)."""
    shares = eigenpairs["eigenvector"].values.astype(float) ** 2
    logarithms = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    return -(shares * logarithms).sum(-1)


def draw(collection):
    """Plot the entropy of the leading eigenvector against the step."""
    import pandas as pd

    from eigendrift.figures import parts, style

    figure, axes = parts.panels(1, len(collection.runs), share_y=False)
    table = []
    for panel, (dataset, runs) in zip(axes[0], collection.runs.items(), strict=True):
        for name, line in style.optimizer_lines([str(name) for name in runs["optimizer"].values]).items():
            band = parts.over_seeds(runs["entropy"].sel(optimizer=name, rank=1))
            parts.draw_band(panel, runs["step"].values, band, line, style.title_of(name))
            table += parts.band_rows("step", runs["step"].values, band, dataset=dataset, optimizer=name)
        panel.set(title=parts.dataset_title(dataset, runs), ylabel="entropy of $v_1$ (nat)")
        parts.steps_axis(panel)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right upper")
    return parts.Plotted(figure, pd.DataFrame(table))


EXTENSIONS = [
    Metric(name="entropy", measure=measure, unit="nat", meaning="Entropy of the shares of Σ v²."),
    Figure(
        name="entropy",
        draw=draw,
        metrics=("entropy",),
        caption="Entropy of the shares of the parameters in the leading eigenvector; log N if all are equal.",
    ),
]
