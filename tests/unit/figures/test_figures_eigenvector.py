"""Figure 16: the place of each parameter, what is read from a store, and missing vectors."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.utils import parameters_to_vector

from eigendrift.figures.eigenvector import draw_leading_eigenvector, layers_of, read_last_eigenvectors
from eigendrift.stores.arrays import EIGENPAIRS
from eigendrift.stores.writing import write_store
from eigendrift.training.torch_networks import build_model

MODEL = {"hidden_widths": [6, 5], "activation": "relu", "initialization": "glorot_uniform"}
IMAGE, CLASSES = (4, 3), 7
WIDTHS = [12, 6, 5, 7]
N = 12 * 6 + 6 + 6 * 5 + 5 + 5 * 7 + 7
SIZES = {"checkpoint": 3, "rank": 2, "parameter": N}


def write(directory, optimizer, vector, *, converged=True):
    """Write a store whose last leading eigenvector is ``vector``."""
    columns = {spec.name: np.zeros([SIZES[dim] for dim in spec.dims], spec.dtype) for spec in EIGENPAIRS.arrays}
    columns |= {"step": np.array([0, 10, 20]), "rank": np.array([1, 2])}
    columns["eigenvector"] = np.random.default_rng(3).normal(size=(3, 2, N)).astype(np.float32)
    columns["eigenvector"][-1, 0] = vector
    columns["converged"][-1, 0] = converged
    training = {"dataset": "digits", "model": MODEL, "optimizer": {"name": optimizer}, "seed": 0}
    path = directory / f"{optimizer}.zarr"
    write_store(path, "eigenpairs", columns, {"training": training})
    return path


def vector(seed=0):
    normal = np.random.default_rng(seed).normal(size=N)
    return (normal / np.linalg.norm(normal)).astype(np.float32)


def drawn(paths):
    return draw_leading_eigenvector(read_last_eigenvectors(paths), IMAGE, CLASSES)


@pytest.fixture
def network():
    """A network whose parameters, including its biases, all differ."""
    model = build_model(MODEL, IMAGE, CLASSES, torch.Generator().manual_seed(0))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(parameter.numel()))
    return model


def test_layers_have_the_weights_and_biases_of_the_network(network):
    flat = parameters_to_vector(network.parameters()).detach().numpy()
    linear = [module for module in network if isinstance(module, torch.nn.Linear)]
    layers = layers_of(flat, WIDTHS)
    assert [layer.number for layer in layers] == [1, 2, 3]
    for layer, module in zip(layers, linear, strict=True):
        np.testing.assert_array_equal(layer.weights, module.weight.detach())
        np.testing.assert_array_equal(layer.biases, module.bias.detach())
        table = layer.table()
        np.testing.assert_array_equal(flat[table["parameter"]], table["value"])
        for row in table.itertuples():
            source = module.bias[row.row] if pd.isna(row.column) else module.weight[row.row, row.column]
            assert row.value == source.item()


def test_a_vector_of_another_network_is_refused():
    for length in (N - 1, N + 1):
        with pytest.raises(ValueError, match="parameters"):
            layers_of(np.zeros(length), WIDTHS)


@pytest.mark.parametrize("units", [1, 2, 5, 32])
def test_images_show_the_weights_of_each_unit(units):
    values = np.arange(units * 13, dtype=float)
    (layer,) = layers_of(values, [12, units])
    mosaic = layer.images(*IMAGE)
    # Every parameter is shown, a bias as a bar as wide as an image.
    assert (np.sort(np.unique(mosaic[np.isfinite(mosaic)])) == values).all()
    for unit in range(units):
        row, column = np.argwhere(mosaic == values[unit * 12])[0]
        image = mosaic[row : row + 4, column : column + 3]
        np.testing.assert_array_equal(image, values[unit * 12 : unit * 12 + 12].reshape(IMAGE))
        np.testing.assert_array_equal(mosaic[row + 5, column : column + 3], values[units * 12 + unit])


def test_only_the_last_checkpoint_is_read(tmp_path):
    path = write(tmp_path, "sgd", vector())
    for index in (0, 1):
        (path / f"eigenvector/c/{index}/0/0").write_bytes(b"damaged")
    (run,) = read_last_eigenvectors([path])
    np.testing.assert_array_equal(run.vector, vector())
    assert (run.step, run.seed, run.dataset, run.optimizer) == (20, 0, "digits", "sgd")


def test_table_and_picture_show_the_vector(tmp_path):
    plotted = drawn([write(tmp_path, "sgd", vector())])
    table = plotted.table
    expected = vector() * np.sign(vector()[np.abs(vector()).argmax()])
    np.testing.assert_array_equal(table["value"], expected)
    np.testing.assert_array_equal(table["parameter"], np.arange(N))
    layers = layers_of(expected, WIDTHS)
    pictures = [panel.images[0] for panel in plotted.figure.axes[:3]]
    np.testing.assert_array_equal(pictures[0].get_array().filled(np.nan), layers[0].images(*IMAGE))
    for picture, layer in zip(pictures[1:], layers[1:], strict=True):
        shown = picture.get_array().filled(np.nan)
        np.testing.assert_array_equal(shown[:, :-2], layer.weights)
        np.testing.assert_array_equal(shown[:, -1], layer.biases)
        limit = max(abs(layer.weights).max(), abs(layer.biases).max())
        assert picture.get_clim() == pytest.approx((-limit, limit))


def test_signs_agree_and_scales_are_shared(tmp_path):
    first, other = vector(), (0.6 * vector() + 0.8 * vector(1)).astype(np.float32)
    # The second vector has the largest component in every layer.
    for layer in layers_of(other, WIDTHS):
        other[layer.first] = np.copysign(0.5, first[layer.first])
    paths = [write(tmp_path, "sgd", first), write(tmp_path, "adam", -other)]
    plotted = drawn(paths)
    values = {name: rows["value"].values for name, rows in plotted.table.groupby("optimizer")}
    assert values["sgd"][np.abs(first).argmax()] > 0
    assert values["sgd"] @ values["adam"] > 0
    np.testing.assert_array_equal(np.abs(values["adam"]), np.abs(other))
    panels = np.reshape(plotted.figure.axes[:6], (3, 2))
    layers = [layers_of(values[name], WIDTHS) for name in ("sgd", "adam")]
    for one, another, row in zip(*layers, panels, strict=True):
        largest = max(abs(part).max() for layer in (one, another) for part in (layer.weights, layer.biases))
        for panel in row:
            assert panel.images[0].get_clim() == pytest.approx((-largest, largest))
    for layer, row in zip(layers[1], panels, strict=True):
        share = 100 * (np.sum(layer.weights.astype(float) ** 2) + np.sum(layer.biases.astype(float) ** 2))
        assert row[1].get_title().endswith(f"layer {layer.number}: {share:.0f} % of $|v_1|^2$")


@pytest.mark.parametrize("alone", [False, True])
def test_missing_vectors_are_explained(tmp_path, alone):
    paths = [
        write(tmp_path, "momentum", vector(), converged=False),
        write(tmp_path, "adam", np.full(N, np.nan), converged=False),
    ]
    paths += [] if alone else [write(tmp_path, "sgd", vector())]
    plotted = drawn(paths)
    plotted.figure.draw_without_rendering()
    first, second = (panel.texts[0].get_text() for panel in plotted.figure.axes[:2])
    assert first == "eigenvector not converged\nat step 20"
    assert second == "run had diverged\nby step 20"
    assert plotted.figure.axes[0].get_title() == "SGD + momentum, digits\nlayer 1"
    assert set(plotted.table["optimizer"]) == (set() if alone else {"sgd"})
    assert {"layer", "parameter", "row", "column", "value"} <= set(plotted.table.columns)
