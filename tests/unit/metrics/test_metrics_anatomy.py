"""Where in a network vectors live, against closed forms and plain loops."""

import numpy as np
import pytest
import xarray as xr

from eigendrift.metrics.anatomy import GRAINS, Layer, anatomy, contributions, layers_in
from eigendrift.metrics.localization import inverse_participation_ratio

# 6 neurons with 50 inputs and a bias, 4 with 6 and a bias.
SHAPES = [[6, 50], [6], [4, 6], [4]]
SIZE = 6 * 51 + 4 * 7


def parts_of(vectors: np.ndarray, shapes: list[list[int]] = SHAPES) -> xr.DataArray:
    measured = anatomy(vectors, shapes)
    dims = [f"d{axis}" for axis in range(vectors.ndim - 1)]
    dataset = xr.Dataset(
        {name: ([*dims, "layer"], measured[name]) for name in measured if name != "top_share"}
        | {"inverse_participation_ratio": (dims, inverse_participation_ratio(vectors))}
    )
    return contributions(dataset, shapes)


def test_tensors_are_grouped_into_layers() -> None:
    assert layers_in(SHAPES) == [Layer(0, 6, 50, 1), Layer(306, 4, 6, 1)]
    # A convolution without biases, then one with a scale and a shift for each channel.
    assert layers_in([[8, 3, 5, 5], [2, 8, 1, 1], [2], [2]]) == [Layer(0, 8, 75), Layer(600, 2, 8, 2)]
    assert [layer.size for layer in layers_in([[8, 3, 5, 5], [2, 8, 1, 1], [2], [2]])] == [600, 20]

    # A vector without its neurons is a layer by itself.
    assert layers_in([[3], [3, 2]]) == [Layer(0, 3, 1), Layer(3, 3, 2)]
    assert layers_in([[3, 2], [2], []]) == [Layer(0, 3, 2), Layer(6, 2, 1), Layer(8, 1, 1)]


def test_a_vector_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match=f"has {SIZE} parameters, the vectors 5"):
        anatomy(np.ones((2, 5)), SHAPES)


def test_an_even_vector_is_everywhere() -> None:
    measured = anatomy(np.full(SIZE, -3, np.float32), SHAPES)
    np.testing.assert_allclose(measured["layer_share"], [306 / SIZE, 28 / SIZE])
    np.testing.assert_allclose(measured["bias_share"], [6 / SIZE, 4 / SIZE])
    np.testing.assert_allclose(measured["weight_inverse_participation_ratio"], [1 / 300, 1 / 24])
    np.testing.assert_allclose(measured["bias_inverse_participation_ratio"], [1 / 6, 1 / 4])
    np.testing.assert_allclose(measured["neuron_inverse_participation_ratio"], [1 / 6, 1 / 4])
    np.testing.assert_allclose(measured["input_inverse_participation_ratio"], [1 / 50, 1 / 6])
    # The top hundredth of 334 are 4.
    assert measured["top_share"] == pytest.approx(4 / SIZE)
    np.testing.assert_allclose(parts_of(np.ones(SIZE)), 0, atol=1e-12)


def test_random_directions_localize_in_single_weights_alone() -> None:
    shapes = [[60, 400], [60]]
    vectors = np.random.default_rng(0).normal(size=(200, 60 * 401))
    measured = anatomy(vectors, shapes)
    # Of a neuron's mass, chi-squared with k degrees of freedom, E m² / (E m)² = 1 + 2/k.
    expected = (1 + 2 / 401) / 60
    assert measured["neuron_inverse_participation_ratio"].mean() == pytest.approx(expected, rel=1e-3)
    parts = parts_of(vectors, shapes).mean("d0")
    np.testing.assert_allclose(parts, [0, np.log10(1 + 2 / 401), np.log10(3)], atol=2e-3)


def test_a_vector_on_one_neuron_is_in_one_neuron_of_one_layer() -> None:
    vector = np.zeros(SIZE)
    neuron = [*range(306 + 2 * 6, 306 + 3 * 6), 306 + 24 + 2]
    vector[neuron] = 1
    measured = anatomy(vector, SHAPES)
    np.testing.assert_allclose(measured["layer_share"], [0, 1])
    np.testing.assert_allclose(measured["bias_share"], [0, 1 / 7])
    np.testing.assert_allclose(measured["neuron_inverse_participation_ratio"], [np.nan, 1])
    np.testing.assert_allclose(measured["bias_inverse_participation_ratio"], [np.nan, 1])
    np.testing.assert_allclose(measured["input_inverse_participation_ratio"], [np.nan, 1 / 6])
    np.testing.assert_allclose(parts_of(vector), np.log10([SIZE / 28, 4, 1]), atol=1e-12)


@pytest.mark.parametrize(
    ("place", "share", "factors"), [(slice(306, None), 1, [SIZE / 28, 1, 1]), (60, 0, [SIZE / 306, 6, 51])]
)
def test_a_vector_on_one_layer_is_even_within_it_and_a_single_weight_is_all_three(
    place: slice | int, share: float, factors: list[float]
) -> None:
    vector = np.zeros(SIZE)
    vector[place] = -0.5
    np.testing.assert_allclose(anatomy(vector, SHAPES)["layer_share"], [1 - share, share])
    np.testing.assert_allclose(parts_of(vector), np.log10(factors), atol=1e-12)


def test_all_is_as_plain_loops_compute_it_and_parts_add_up() -> None:
    vectors = np.random.default_rng(1).standard_t(2, size=(3, 2, SIZE)).astype(np.float32)
    vectors[1, 1] = np.nan
    measured = anatomy(vectors, SHAPES)
    for place in np.ndindex(3, 2):
        squares = vectors[place].astype(float) ** 2
        squares /= squares.sum()
        for index, (first, neurons, inputs) in enumerate([(0, 6, 50), (306, 4, 6)]):
            mass, by_input = np.zeros(neurons), np.zeros(inputs)
            for neuron in range(neurons):
                for number in range(inputs):
                    value = squares[first + neuron * inputs + number]
                    mass[neuron] += value
                    by_input[number] += value
                mass[neuron] += squares[first + neurons * inputs + neuron]
            ratio = (mass**2).sum() / mass.sum() ** 2
            np.testing.assert_allclose(measured["layer_share"][place][index], mass.sum())
            np.testing.assert_allclose(measured["neuron_inverse_participation_ratio"][place][index], ratio)
            np.testing.assert_allclose(
                measured["input_inverse_participation_ratio"][place][index], (by_input**2).sum() / by_input.sum() ** 2
            )
        top = np.sort(squares)[::-1][:4].sum() if np.isfinite(squares).all() else np.nan
        np.testing.assert_allclose(measured["top_share"][place], top)
    parts = parts_of(vectors)
    assert list(parts["grain"].values) == list(GRAINS)
    whole = np.log10(SIZE * inverse_participation_ratio(vectors))
    np.testing.assert_allclose(parts.sum("grain", skipna=False), whole)
    assert np.isnan(parts[1, 1]).all()
    finite = parts.values[np.isfinite(parts.values)]
    assert len(finite) == 15
    assert (finite > 0).all()
