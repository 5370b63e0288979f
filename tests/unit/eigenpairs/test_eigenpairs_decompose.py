"""Eigenpairs along a trajectory: records, diverged checkpoints, resuming, and wrong settings."""

import numpy as np
import pytest
import torch
from eigenpairs_helpers import CPU, MODEL, SETTINGS, STEPS, columns_of, dense_at, largest_angle, leading
from torch.nn.utils import parameters_to_vector

from eigendrift.data.samples import hessian_sample
from eigendrift.eigenpairs.decompose import decompose
from eigendrift.eigenpairs.landscape import Landscape, undefined_record
from eigendrift.errors import UserError
from eigendrift.numerics import generator
from eigendrift.stores.reading import open_store
from eigendrift.stores.writing import write_store


def test_records_are_the_leading_pairs_at_each_checkpoint(landscape, weights, samples, progress):
    kept = weights.copy()
    columns = columns_of(decompose(landscape, weights, STEPS, progress("a"), 0, "test"))
    np.testing.assert_array_equal(weights, kept)
    for index in (0, 1, 3):
        values, vectors = leading(dense_at(landscape, kept[index], samples.train_images, samples.train_labels), 3)
        np.testing.assert_allclose(columns["eigenvalue"][index], values, atol=1e-5 * values[0])
        assert largest_angle(columns["eigenvector"][index].astype(float), vectors) < 1e-3
        assert columns["converged"][index].all()
        assert (columns["residual"][index] <= 1e-5).all()
    np.testing.assert_array_equal(columns["rank"], [1, 2, 3])
    np.testing.assert_array_equal(columns["step"], STEPS)


def test_checkpoints_without_finite_weights_are_nan_and_counted(landscape, weights, progress):
    weights[3, 5] = np.inf
    result = decompose(landscape, weights, STEPS, progress("a"), 0, "test")
    columns = columns_of(result)
    for index in (2, 3):
        for name in ("eigenvalue", "eigenvector", "residual", "gap", "next_eigenvalue", "miss_probability"):
            assert np.isnan(columns[name][index]).all()
        assert not columns["converged"][index].any()
        assert columns["matvecs"][index] == columns["search_matvecs"][index] == 0
    products = int(columns["matvecs"].sum())
    assert products > 0
    assert result.summary == {"pairs": 12, "unconverged": 6, "uncertain": 0, "products": products}


def test_finite_weights_with_an_overflowing_hessian_are_nan(landscape, caplog):
    huge = np.full(landscape.size, 3e38, np.float32)
    record = landscape.eigenpairs_at(huge, generator("test"))
    expected = undefined_record(3, landscape.size)
    assert record.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(record[name], value)
        assert record[name].dtype == value.dtype
    assert "The Hessian cannot be computed here: an output of the network is not finite" in caplog.text


def test_store_accepts_the_columns(landscape, weights, progress, tmp_path):
    result = decompose(landscape, weights, STEPS, progress("a"), 0, "test")
    store = tmp_path / "eigenpairs.zarr"
    write_store(store, "eigenpairs", result.columns, {}, result.summary)
    stored = open_store(store, "eigenpairs")
    for name, column in columns_of(result).items():
        np.testing.assert_array_equal(stored[name].values, column)


def test_start_vectors_depend_on_seed_and_step_alone(landscape, weights, progress):
    first = columns_of(decompose(landscape, weights, STEPS, progress("a"), 0, "test"))
    alone = columns_of(decompose(landscape, weights[1:2], STEPS[1:2], progress("b"), 0, "other"))
    other = columns_of(decompose(landscape, weights, STEPS, progress("c"), 1, "test"))
    np.testing.assert_array_equal(alone["eigenvector"][0], first["eigenvector"][1])
    assert (other["eigenvector"][1] != first["eigenvector"][1]).any()


def test_more_pairs_than_parameters_are_refused(samples):
    with pytest.raises(UserError, match=r"56 eigenpairs are requested, .* only 55 parameters; request fewer"):
        Landscape(samples, MODEL, SETTINGS | {"count": 56}, CPU)
    assert Landscape(samples, MODEL, SETTINGS | {"count": 55}, CPU).size == 55


def test_more_samples_than_there_are_are_refused(samples):
    with pytest.raises(UserError, match=r"'eigenpairs\.samples' is 41"):
        Landscape(samples, MODEL, SETTINGS | {"samples": 41}, CPU)


def test_the_hessian_is_of_the_chosen_samples(samples):
    landscape = Landscape(samples, MODEL, SETTINGS | {"samples": 12}, CPU)
    flat = parameters_to_vector(landscape.model.parameters()).detach().numpy()
    record = landscape.eigenpairs_at(flat, generator("test"))
    chosen = hessian_sample(samples.train_labels, 12)
    dense = dense_at(landscape, flat, samples.train_images[chosen], samples.train_labels[chosen])
    values, _ = leading(dense, 3)
    np.testing.assert_allclose(record["eigenvalue"], values, atol=1e-5 * values[0])


def test_weights_stay_the_callers_own(landscape, weights):
    mine = weights[0].copy()
    landscape.eigenpairs_at(mine, generator("test"))
    with torch.no_grad():
        for parameter in landscape.model.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(mine, weights[0])
