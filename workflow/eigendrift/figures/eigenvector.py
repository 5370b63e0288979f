"""Figure 16: the leading eigenvector at the end of training, in the shapes of the network's layers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, prod, sqrt
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eigendrift.figures.parts import Plotted, write_below
from eigendrift.figures.style import DIVERGING, PANEL_HEIGHT, PANEL_WIDTH, title_of
from eigendrift.stores.reading import open_store
from eigendrift.training.networks import parameters_of


@dataclass(frozen=True)
class Layer:
    """The part of a vector that belongs to one layer.

    Attributes:
        number: From 1.
        first: Index of the layer's first parameter in the vector.
        weights: (unit, input).
        biases: (unit,).
    """

    number: int
    first: int
    weights: np.ndarray
    biases: np.ndarray

    @property
    def share(self) -> float:
        """Sum of squares: the layer's share of a unit vector."""
        return float((self.weights.astype(float) ** 2).sum() + (self.biases.astype(float) ** 2).sum())

    def table(self) -> pd.DataFrame:
        """Return a row for each parameter; a bias has no column."""
        units, inputs = self.weights.shape
        values = np.concatenate([self.weights.ravel(), self.biases])
        row, column = np.divmod(np.arange(units * inputs), inputs)
        return pd.DataFrame(
            {
                "parameter": self.first + np.arange(len(values)),
                "row": np.concatenate([row, np.arange(units)]),
                "column": pd.array([*column, *[pd.NA] * units], dtype="Int64"),
                "value": values,
            }
        )

    def matrix(self) -> np.ndarray:
        """Return the weights with the biases as a last column, behind a column of NaN."""
        gap = np.full((len(self.biases), 1), np.nan)
        return np.hstack([self.weights, gap, self.biases[:, None]])

    def images(self, rows: int, columns: int) -> np.ndarray:
        """Return the weights of each unit as an image, its bias as a bar below, in a grid with NaN in between.

        Args:
            rows: Number of rows of an image.
            columns: Number of columns of an image.
        """
        units = len(self.biases)
        wide = min(units, ceil(sqrt(2 * units)))
        high = ceil(units / wide)
        # A bar is closer to its own image than to the next one.
        bar = slice(rows + 1, rows + 1 + ceil(rows / 10))
        tiles = np.full((high * wide, bar.stop + 2, columns + 1), np.nan)
        tiles[:units, :rows, :columns] = self.weights.reshape(units, rows, columns)
        tiles[:units, bar, :columns] = self.biases[:, None, None]
        mosaic = tiles.reshape(high, wide, *tiles.shape[1:]).swapaxes(1, 2).reshape(high * tiles.shape[1], -1)
        return np.asarray(mosaic[:-2, :-1])


def layers_of(vector: np.ndarray, widths: Sequence[int]) -> list[Layer]:
    """Cut a vector into layers.

    Args:
        vector: (parameter,), in ``model.parameters()`` order: for each layer its weights, then its biases.
        widths: Widths of all layers, with inputs and classes.

    Raises:
        ValueError: If the vector is not as long as the number of parameters of such a network.
    """
    if len(vector) != (expected := parameters_of(widths)):
        raise ValueError(f"A network of widths {widths} has {expected} parameters, but the vector has {len(vector)}.")
    layers, first = [], 0
    for number, (inputs, units) in enumerate(pairwise(widths), start=1):
        weights, biases = np.split(vector[first : first + (inputs + 1) * units], [inputs * units])
        layers.append(Layer(number, first, weights.reshape(units, inputs), biases))
        first += (inputs + 1) * units
    return layers


# Inches.
SCALE_WIDTH = 0.8
LEAST_HEIGHT = 0.7
TEXT_HEIGHT = 0.6
COLUMNS = ["dataset", "optimizer", "layer", "parameter", "row", "column", "value"]


@dataclass(frozen=True)
class FinalEigenvector:
    """The leading eigenvector at the last checkpoint of one run.

    Attributes:
        optimizer: Name of the optimizer.
        dataset: Name of the data set.
        seed: Number of the initialization.
        step: Steps before the checkpoint.
        hidden_widths: Widths of the network's hidden layers.
        vector: float32 (parameter,), a unit vector of any sign; NaN if the run had diverged.
        converged: Whether the eigenpair meets the tolerance.
    """

    optimizer: str
    dataset: str
    seed: int
    step: int
    hidden_widths: tuple[int, ...]
    vector: np.ndarray
    converged: bool

    def absence(self) -> str:
        """Return why there is nothing to show; empty if there is something."""
        if self.converged:
            return ""
        if np.isfinite(self.vector).all():
            return f"eigenvector not converged\nat step {self.step:,}"
        return f"run had diverged\nby step {self.step:,}"


def read_last_eigenvectors(eigenpairs: Iterable[str | Path]) -> list[FinalEigenvector]:
    """Read only the leading eigenvector of the last checkpoint of each eigenpairs store."""
    runs = []
    for path in eigenpairs:
        last = open_store(Path(path), "eigenpairs").isel(checkpoint=-1, rank=0)
        training = last.attrs["settings"]["training"]
        run = FinalEigenvector(
            optimizer=training["optimizer"]["name"],
            dataset=training["dataset"],
            seed=training["seed"],
            step=int(last["step"]),
            hidden_widths=tuple(training["model"]["hidden_widths"]),
            vector=last["eigenvector"].values,
            converged=bool(last["converged"]),
        )
        runs.append(run)
    return runs


def draw_leading_eigenvector(runs: Sequence[FinalEigenvector], image_shape: Sequence[int], classes: int) -> Plotted:
    """Draw the vectors side by side: a row for each layer, a column for each optimizer.

    The first layer is drawn as images, one for each unit, further layers as matrices. Colours are symmetric about 0
    and, in a layer, the same for all optimizers. A missing vector leaves its panels empty.

    Args:
        runs: The vectors, all of one data set and network.
        image_shape: Rows and columns of an image of the data set.
        classes: Number of classes of the data set.
    """
    widths = [prod(image_shape), *runs[0].hidden_widths, classes]
    by_run = [layers_of(vector, widths) for vector in _signed(runs)]
    by_layer = list(zip(*by_run, strict=True))
    pictures = [
        [layer.images(*image_shape) if layer.number == 1 else layer.matrix() for layer in layers] for layers in by_layer
    ]
    # Pixels are nearly square where that fits.
    shapes = [row[0].shape for row in pictures]
    heights = [np.clip(PANEL_WIDTH * high / wide, LEAST_HEIGHT, PANEL_HEIGHT) for high, wide in shapes]
    size = (PANEL_WIDTH * len(runs) + SCALE_WIDTH, sum(heights) + TEXT_HEIGHT * len(heights))
    figure, axes = plt.subplots(len(heights), len(runs), squeeze=False, figsize=size, height_ratios=heights)
    for row, layers, pictured in zip(axes, by_layer, pictures, strict=True):
        _draw_layer(figure, row, layers, pictured)
    for panel, run in zip(axes[0], runs, strict=True):
        panel.set_title(f"{title_of(run.optimizer)}, {run.dataset}\n{panel.get_title()}")
        panel.text(0.5, 0.5, run.absence(), transform=panel.transAxes, ha="center", va="center")
    write_below(figure, _notes(runs[0], by_run[0]))
    table = [
        layer.table().assign(dataset=run.dataset, optimizer=run.optimizer, layer=layer.number)
        for run, layers in zip(runs, by_run, strict=True)
        for layer in layers
        if run.converged
    ]
    return Plotted(figure, pd.concat(table)[COLUMNS] if table else pd.DataFrame(columns=COLUMNS))


def _signed(runs: Sequence[FinalEigenvector]) -> list[np.ndarray]:
    """Return the vectors with signs that can be compared; NaN for those that did not converge.

    The first one's largest component is positive, and so are the overlaps of the others with the first one.
    """
    signed: list[np.ndarray] = []
    first: np.ndarray | None = None
    for run in runs:
        if not run.converged:
            signed.append(np.full_like(run.vector, np.nan))
            continue
        side = run.vector[np.abs(run.vector).argmax()] if first is None else run.vector @ first
        signed.append(np.asarray(run.vector * np.copysign(np.float32(1), side)))
        first = signed[-1] if first is None else first
    return signed


def _draw_layer(
    figure: Figure, panels: Sequence[Axes], layers: Sequence[Layer], pictures: Sequence[np.ndarray]
) -> None:
    """Draw one layer of each vector, with one colour scale."""
    # Any scale will do if there is nothing to show.
    limit = max(np.abs(np.nan_to_num(picture)).max() for picture in pictures) or 1
    for panel, layer, picture in zip(panels, layers, pictures, strict=True):
        image = panel.imshow(picture, cmap=DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
        _label(panel, layer)
    for panel in panels[1:]:
        panel.set(yticklabels=[], ylabel=None)
    figure.colorbar(image, ax=panels, label="component of $v_1$")


def _label(panel: Axes, layer: Layer) -> None:
    """Label a panel with the layer, its share of the vector, and the meaning of its axes."""
    share = f": {100 * layer.share:.0f} % of $|v_1|^2$" if np.isfinite(layer.share) else ""
    panel.set_title(f"layer {layer.number}{share}")
    panel.grid(visible=False)
    units, inputs = layer.weights.shape
    if layer.number == 1:
        panel.set(xticks=[], yticks=[], xlabel=f"inputs of each of the {units} units; bar: bias")
    else:
        panel.set_xticks([0, inputs // 2, inputs + 1], ["1", str(inputs // 2 + 1), "bias"])
        panel.set_yticks([0, units - 1], ["1", str(units)])
        panel.set(xlabel=f"unit of layer {layer.number - 1}", ylabel=f"unit of layer {layer.number}")


def _notes(run: FinalEigenvector, layers: Sequence[Layer]) -> list[str]:
    """Return what a reader must know: N, the run, the choice of colours and signs, the sizes of layers."""
    size = len(run.vector)
    parts = [f"{100 * (layer.weights.size + layer.biases.size) / size:.1f} %" for layer in layers]
    return [
        f"{run.dataset}: N = {size:,} parameters, of which its layers hold {', '.join(parts)}; "
        f"one run of each optimizer, seed {run.seed}, step {run.step:,}",
        "colours: one scale for each layer, the same for all optimizers; signs: the largest component of the "
        "first vector and the overlaps of the others with it are positive",
    ]
