"""All null models; isotropic draws compared with closed forms, reinitialized draws with dense Hessians."""

import runpy
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from null_helpers import MODEL, SAMPLES, SIZE, inputs_of
from torch.func import functional_call, jacrev
from torch.nn.functional import cross_entropy
from torch.nn.utils import parameters_to_vector

from eigendrift.eigenpairs.landscape import Record
from eigendrift.errors import UserError
from eigendrift.metrics.displacement import isotropic_displacement
from eigendrift.metrics.localization import isotropic_inverse_participation_ratio
from eigendrift.null import sampling
from eigendrift.null.inputs import NullInputs
from eigendrift.null.models import NULL_MODELS
from eigendrift.null.sampling import OBSERVED, checked, draw_null, isotropic, observed, reinitialized, summarize_draws
from eigendrift.numerics import generator
from eigendrift.stores.reading import open_store
from eigendrift.stores.writing import write_store
from eigendrift.training.torch_networks import build_model

DRAW = {name: model.draw for name, model in NULL_MODELS.items()} | {OBSERVED: observed}
Drawn = tuple[str, dict[str, Any]]
EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def isotropic_draws(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    """float64 (draw, rank, parameter)."""
    draws = isotropic(inputs_of(tmp_path_factory.mktemp("isotropic"), "isotropic"), range(2000))
    return np.array([record["eigenvector"] for record in draws], np.float64)


def test_isotropic_vectors_are_orthonormal_without_a_preferred_direction(isotropic_draws: np.ndarray) -> None:
    """All parameters have mean 0, variance 1/N and no correlations, within five standard errors."""
    gram = isotropic_draws @ isotropic_draws.swapaxes(1, 2)
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(3), gram.shape), atol=1e-6)
    n = len(isotropic_draws)
    assert np.abs(isotropic_draws.mean(0)).max() < 5 / np.sqrt(SIZE * n)
    covariance = np.einsum("dri,drj->rij", isotropic_draws, isotropic_draws) / n
    error = covariance - np.eye(SIZE) / SIZE
    assert np.abs(error).max() < 5 * np.sqrt(2 / n) / SIZE * 1.2


def test_isotropic_moments_are_the_closed_forms(isotropic_draws: np.ndarray) -> None:
    ratios = SIZE * (isotropic_draws**4).sum(-1)
    expected = 3 * SIZE / (SIZE + 2)
    assert SIZE * isotropic_inverse_participation_ratio(SIZE) == pytest.approx(expected)
    np.testing.assert_allclose(ratios.mean(0), expected, atol=5 * ratios.std() / np.sqrt(len(ratios)))
    one, other = isotropic_draws[::2], isotropic_draws[1::2]
    moved = 2 * (1 - np.abs((one * other).sum(-1)))
    np.testing.assert_allclose(moved.mean(0), isotropic_displacement(SIZE), atol=5 * moved.std() / np.sqrt(len(moved)))


def test_isotropic_draws_have_no_spectrum_and_count_as_converged(tmp_path: Path) -> None:
    (record,) = isotropic(inputs_of(tmp_path, "isotropic"), [0])
    assert all(np.isnan(record[name]).all() for name in ("eigenvalue", "residual", "gap", "next_eigenvalue"))
    assert record["converged"].all()
    assert record["eigenvector"].dtype == np.float32


@pytest.mark.parametrize("draw", [0, 1])
def test_reinitialized_draws_are_pairs_of_the_hessian_at_the_initialization(tmp_path: Path, draw: int) -> None:
    (record,) = reinitialized(inputs_of(tmp_path, "reinitialized"), [draw])
    model = build_model(MODEL, (3, 3), 3, generator("null", "reinitialized", draw)).double()
    names = [name for name, _ in model.named_parameters()]
    inputs, targets = torch.from_numpy(SAMPLES.train_images).double(), torch.from_numpy(SAMPLES.train_labels)

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split([parameter.numel() for parameter in model.parameters()])
        shaped = [part.view(p.shape) for part, p in zip(parts, model.parameters(), strict=True)]
        outputs = functional_call(model, dict(zip(names, shaped, strict=True)), inputs)
        return cross_entropy(outputs, targets)

    dense = jacrev(jacrev(loss))(parameters_to_vector(model.parameters()).detach()).detach().numpy()
    values, vectors = np.linalg.eigh(dense)
    np.testing.assert_allclose(record["eigenvalue"], values[::-1][:3], atol=1e-5 * values[-1])
    overlap = np.abs((record["eigenvector"] * vectors.T[::-1][:3]).sum(1))
    np.testing.assert_allclose(overlap, 1, atol=1e-5)
    assert record["converged"].all()


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize("trained", [True, False])
def test_draws_differ_but_each_is_reproducible(tmp_path: Path, name: str, trained: bool) -> None:
    draws = DRAW[name](inputs_of(tmp_path, name, trained=trained), range(3))
    (again,) = DRAW[name](inputs_of(tmp_path, name, trained=trained), [2])
    np.testing.assert_array_equal(again["eigenvector"], draws[2]["eigenvector"])
    for one, other in combinations(draws, 2):
        assert np.abs((one["eigenvector"][0] * other["eigenvector"][0]).sum()) < 0.99


@pytest.fixture(scope="module", params=DRAW)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Name and columns of four draws from each null model."""
    name = request.param
    return name, draw_null(inputs_of(tmp_path_factory.mktemp(name), name), "test")


def test_an_interrupted_job_resumes_with_the_same_bits(
    tmp_path: Path, drawn: Drawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, whole = drawn
    groups = []

    def dying(records: list[Record], inputs: NullInputs, draws: int) -> list[Record]:
        groups.append(draws)
        if len(groups) == 3:
            raise KeyboardInterrupt
        return checked(records, inputs, draws)

    monkeypatch.setattr(sampling, "checked", dying)
    with pytest.raises(KeyboardInterrupt):
        draw_null(inputs_of(tmp_path, name), "test")
    resumed = draw_null(inputs_of(tmp_path, name), "test")
    # Two draws were kept, so only the last two are drawn again.
    assert groups == [1] * 5
    assert resumed.keys() == whole.keys()
    for column in whole:
        np.testing.assert_array_equal(np.array(list(resumed[column])), np.array(list(whole[column])))


def test_draws_in_groups_are_the_same(tmp_path: Path, drawn: Drawn) -> None:
    name, alone = drawn
    together = draw_null(inputs_of(tmp_path, name, together=3), "test")
    np.testing.assert_allclose(together["eigenvalue"], alone["eigenvalue"], rtol=1e-4)
    np.testing.assert_array_equal(together["optimizer"], alone["optimizer"])
    for one, other in zip(together["eigenvector"], alone["eigenvector"], strict=True):
        np.testing.assert_allclose(np.abs((one * other).sum(1)), 1, atol=1e-4)


@pytest.mark.parametrize("name", ["reinitialized", "permuted", "shuffled_labels", "observed"])
def test_draws_of_equal_networks_have_equal_bits(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise copies would differ by rounding and would count as replicates.

    Networks that are solved together, as on a GPU, may be rounded differently.
    """

    def ignoring_numbers(*parts: str | int) -> torch.Generator:
        of_network = "start" not in parts
        return generator(*(part for part in parts if isinstance(part, str) or not of_network))

    inputs = inputs_of(tmp_path, name, trained=False, together=1)
    equal = inputs.initial(0)
    monkeypatch.setattr(sampling, "generator", ignoring_numbers)
    for weights in ("initial", "end_of", "trained_on"):
        monkeypatch.setattr(NullInputs, weights, lambda *_: equal)
    columns = {column: np.array(list(values)) for column, values in draw_null(inputs, "test").items()}
    for column in columns.keys() - {"draw", "rank"}:
        for draw in range(1, 4):
            np.testing.assert_array_equal(columns[column][draw], columns[column][0], err_msg=column)


def test_the_example_starts_all_draws_alike(tmp_path: Path) -> None:
    draw = runpy.run_path(str(EXAMPLES / "flipped.py"))["draw"]
    starts = []

    class Recording:
        def eigenpairs_at_each(self, weights: list[np.ndarray], given: list[torch.Generator]) -> None:
            starts.extend(given)

    draw(replace(inputs_of(tmp_path, "reinitialized"), landscape=Recording()), range(3))
    first, *others = (start.get_state() for start in starts)
    assert all(torch.equal(state, first) for state in others)
    assert len({id(start) for start in starts}) == 3


def test_store_accepts_the_columns(tmp_path: Path, drawn: Drawn) -> None:
    name, columns = drawn
    write_store(tmp_path / "null.zarr", "null", columns, {}, summarize_draws(columns))
    stored = open_store(tmp_path / "null.zarr", "null")
    assert stored["draw"].values.tolist() == [0, 1, 2, 3]
    assert stored["rank"].values.tolist() == [1, 2, 3]
    assert stored["eigenvector"].shape == (4, 3, SIZE)
    assert stored.attrs["summary"] == {"parameters": SIZE, "diverged": []}
    belongs = name in ("permuted", "shuffled_labels")
    assert stored["optimizer"].values.tolist() == ([0, 1, 0, 1] if belongs else [-1] * 4)


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (lambda records: None, "'isotropic' draws NoneType for 2 draws, expected a list of a record for each"),
        (lambda records: [1, None], "draws something other than records, which are dicts of arrays; fix"),
        (lambda records: records[:1], "draws 1 for 2 draws, expected a list"),
        (
            lambda records: [record | {"eigenvector": record["eigenvector"][:1]} for record in records],
            "draws a record whose arrays differ from the arrays of a null store, .* fix its function draw",
        ),
        (lambda records: [{"eigenvalue": record["eigenvalue"]} for record in records], "a record whose"),
    ],
)
def test_invalid_draws_are_refused(made: Callable[[list[Record]], Any], sentence: str, tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, "isotropic")
    with pytest.raises(UserError, match=sentence):
        checked(made(isotropic(inputs, range(2))), inputs, 2)
