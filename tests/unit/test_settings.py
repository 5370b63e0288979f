"""The settings of the caller's process change no bit of any result, and they are restored."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.nn.utils import parametrize

import eigendrift
from eigendrift.eigenpairs.batched import leading_eigenpairs_together
from eigendrift.eigenpairs.batched_perceptrons import PerceptronStack
from eigendrift.eigenpairs.perceptron import PerceptronHessian
from eigendrift.eigenpairs.preconditioned import PreconditionedOperator
from eigendrift.numerics import PRECISION_SETTINGS, full_precision

CPU = torch.device("cpu")
SETTINGS: dict[str, Callable[[], Any]] = {}


def setting(change: Callable[[], Iterator[None]]) -> Callable[[], Iterator[None]]:
    SETTINGS[change.__name__] = contextmanager(change)
    return change


@contextmanager
def changed(change: Callable[[Any], object], value: object, original: object) -> Iterator[None]:
    change(value)
    try:
        yield
    finally:
        change(original)


def bfloat16_products(precision: Any) -> None:
    torch.backends.mkldnn.matmul.fp32_precision = precision


def bfloat16_everywhere(precision: Any) -> None:
    torch.backends.fp32_precision = precision


def tf32_convolutions(allowed: bool) -> None:
    torch.backends.cudnn.conv.fp32_precision = "tf32" if allowed else CONVOLUTIONS
    torch.backends.mkldnn.conv.fp32_precision = "bf16" if allowed else "none"


CONVOLUTIONS, PRODUCTS = (
    torch.backends.cudnn.conv.fp32_precision,
    torch._C._get_fp32_precision_getter("mkldnn", "matmul"),
)
SETTINGS |= {
    "medium": lambda: changed(torch.set_float32_matmul_precision, "medium", torch.get_float32_matmul_precision()),
    "high": lambda: changed(torch.set_float32_matmul_precision, "high", torch.get_float32_matmul_precision()),
    "bfloat16_everywhere": lambda: changed(bfloat16_everywhere, "bf16", "none"),
    "bfloat16_products": lambda: changed(bfloat16_products, "bf16", PRODUCTS),
    "tf32_convolutions": lambda: changed(tf32_convolutions, True, False),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast_without_cache": lambda: torch.autocast("cpu", torch.float16, cache_enabled=False),
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "default_dtype": lambda: changed(torch.set_default_dtype, torch.float64, torch.float32),
    "float16_as_default_dtype": lambda: changed(torch.set_default_dtype, torch.float16, torch.float32),
    "default_device": lambda: torch.device("meta"),
    "flushed_denormals": lambda: changed(torch.set_flush_denormal, True, False),
    "deterministic": lambda: changed(torch.use_deterministic_algorithms, True, False),
    "numpy_raises": lambda: np.errstate(all="raise"),
}


@setting
def anomalies() -> Iterator[None]:
    with pytest.warns(UserWarning, match="Anomaly Detection"), torch.autograd.detect_anomaly():
        yield


@setting
def another_global_seed() -> Iterator[None]:
    state = torch.get_rng_state()
    torch.manual_seed(12345)
    np.random.seed(12345)
    try:
        yield
    finally:
        torch.set_rng_state(state)


@setting
def rounded_saved_tensors() -> Iterator[None]:
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda _: 1 / 0), rounding_hooks():
        yield


def rounding_hooks() -> torch.autograd.graph.saved_tensors_hooks:
    """Return hooks that save memory at the cost of digits."""
    return torch.autograd.graph.saved_tensors_hooks(
        lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor,
        lambda tensor: tensor.float() if tensor.is_floating_point() else tensor,
    )


@setting
def cached_parametrizations() -> Iterator[None]:
    with parametrize.cached():
        # This fills the cache with wrong values.
        parametrized = PARAMETRIZED[0]
        weight = parametrized.parametrizations.weight.original  # type: ignore[union-attr]
        right = weight.data
        weight.data = 2 * right
        PARAMETRIZED(MEASURED[0])
        weight.data = right
        yield


def perceptron() -> nn.Module:
    random = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random) / 8
    return model


def data(requires: str = "labels") -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    inputs = torch.randn(50, 64, generator=random)
    return inputs, torch.arange(50) % 10 if requires == "labels" else torch.randn(50, 10, generator=random)


MODEL, CONVOLUTION = (
    perceptron(),
    nn.Sequential(nn.Conv1d(1, 2, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 10)),
)
SMALL = nn.Sequential(nn.Linear(64, 3), nn.Tanh(), nn.Linear(3, 10))
LABELLED, MEASURED = data(), data("values")


class Doubled(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return 2 * weight.sin()


class Cached(nn.Sequential):
    """A network that uses the cache itself, which must not contain the caller's values."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        with parametrize.cached():
            return super().forward(inputs)


PARAMETRIZED = Cached(
    parametrize.register_parametrization(nn.Linear(64, 16), "weight", Doubled()), nn.Tanh(), nn.Linear(16, 10)
)
VECTOR = torch.randn(4810, generator=torch.Generator().manual_seed(2))
VECTORS = torch.linalg.qr(torch.randn(40, 12, generator=torch.Generator().manual_seed(3))).Q.T.reshape(4, 3, 40)
OVERLAPS = eigendrift.overlaps(VECTORS)


def random() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def known() -> object:
    return eigendrift.hessian_operator(MODEL, cross_entropy, *LABELLED, 20)


def general() -> object:
    return eigendrift.hessian_operator(MODEL, mse_loss, *MEASURED, 20)


FUNCTIONS: dict[str, Callable[[], object]] = {
    "product": lambda: known() @ VECTOR,
    "product, one chunk": lambda: eigendrift.hessian_operator(MODEL, cross_entropy, *LABELLED) @ VECTOR,
    "product by automatic differentiation": lambda: general() @ VECTOR,
    "product of a convolution": lambda: (
        eigendrift.hessian_operator(CONVOLUTION, mse_loss, MEASURED[0][:, None], MEASURED[1]) @ VECTOR[:1222]
    ),
    **{
        f"product of a parametrized {type(network).__name__}": lambda network=network: (
            eigendrift.hessian_operator(network, mse_loss, *MEASURED, 20) @ VECTOR[:1210]
        )
        for network in (PARAMETRIZED, nn.Sequential(*PARAMETRIZED))
    },
    # The loss is below the normal range, and so are its products with small weights.
    "product with denormal numbers": lambda: (
        eigendrift.hessian_operator(MODEL, lambda o, y: mse_loss(o, y) * 1e-37, *MEASURED) @ VECTOR
    ),
    "product of one of a stack": lambda: PerceptronStack(MODEL, VECTOR[None], *LABELLED)[0] @ VECTOR,
    "products of a stack": lambda: PerceptronStack(MODEL, VECTOR[None], *LABELLED).products(VECTOR[None], [0]),
    "preconditioned product": lambda: PreconditionedOperator(known(), VECTOR.abs()) @ VECTOR,  # type: ignore[arg-type]
    "leading_eigenpairs": lambda: eigendrift.leading_eigenpairs(known(), 2, generator=random()),  # type: ignore[arg-type]
    "leading_eigenpairs by automatic differentiation": lambda: eigendrift.leading_eigenpairs(
        eigendrift.hessian_operator(SMALL, mse_loss, *MEASURED, 20),
        2,
        generator=random(),  # type: ignore[arg-type]
    ),
    "leading_eigenpairs_together": lambda: leading_eigenpairs_together(
        PerceptronStack(MODEL, VECTOR[None], *LABELLED), 2, generators=[random()]
    )[0],
    "spectral_density": lambda: eigendrift.spectral_density(known(), generator=random(), probes=2, steps=5),  # type: ignore[arg-type]
    "density": lambda: eigendrift.SpectralDensity(np.array([[0.0, 1e-3]]), np.array([[1e-9, 1 - 1e-9]]), 0).density(
        np.linspace(-1e3, 1e3, 7), 1e-6
    ),
    "trace": lambda: eigendrift.trace(known(), generator=random(), products=12),  # type: ignore[arg-type]
    **{
        f"null_draws, {name}": lambda name=name: eigendrift.null_draws(
            MODEL, cross_entropy, *LABELLED, name, count=2, draws=2, generator=random()
        )
        for name in ("isotropic", "reinitialized", "permuted")
    },
    "overlaps": lambda: eigendrift.overlaps(VECTORS),
    "displacement": lambda: eigendrift.displacement(OVERLAPS),
    "subspace_displacement": lambda: eigendrift.subspace_displacement(OVERLAPS),
    "tracked_displacement": lambda: eigendrift.tracked_displacement(np.where(OVERLAPS > 0.3, np.nan, OVERLAPS)),
    "inverse_participation_ratio": lambda: eigendrift.inverse_participation_ratio(
        np.stack([VECTORS, 0 * VECTORS, 1e-300 * VECTORS.double(), np.nan * VECTORS])
    ),
    "alignment": lambda: eigendrift.alignment(VECTORS[:, 0].double() * 1e-300, VECTORS),
    "isotropic_displacement": lambda: eigendrift.isotropic_displacement(40),
    "isotropic_inverse_participation_ratio": lambda: eigendrift.isotropic_inverse_participation_ratio(40),
}
FAST = {"product by automatic differentiation", "leading_eigenpairs"}
CLASSES = {"Eigenpairs", "HessianOperator", "NullDraws", "SpectralDensity", "Trace", "hessian_operator"}


def bits_of(result: object) -> list[bytes]:
    """Return the bits of a result; comparing them, NaN equals NaN."""
    parts = list(vars(result).values()) if hasattr(result, "__dataclass_fields__") else [result]
    return [part.numpy().tobytes() if isinstance(part, torch.Tensor) else np.asarray(part).tobytes() for part in parts]


@pytest.fixture(scope="module")
def expected() -> dict[str, list[bytes]]:
    return {name: bits_of(function()) for name, function in FUNCTIONS.items()}


def state() -> list[object]:
    """Return the values of all settings."""
    return [
        *(torch._C._get_fp32_precision_getter(*place) for place in PRECISION_SETTINGS),
        *(_of(torch.get_float32_matmul_precision), _of(lambda: torch.backends.cudnn.allow_tf32)),
        (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic, torch.backends.cudnn.enabled),
        (
            torch.is_autocast_enabled("cpu"),
            torch.get_autocast_dtype("cpu"),
            torch.is_autocast_cache_enabled(),
        ),
        (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        (torch.get_default_dtype(), torch.get_default_device()),
        (torch.are_deterministic_algorithms_enabled(), sys.float_info.min / 2),
        np.geterr(),
        torch._C._autograd._top_saved_tensors_default_hooks(False),
        parametrize._cache_enabled,
        list(parametrize._cache),
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),
    ]


def _of(read: Callable[[], object]) -> object:
    try:
        return (read(),)
    except RuntimeError:
        return ("contradicted by the newer interface",)


@pytest.mark.parametrize(
    "function", [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in FUNCTIONS]
)
@pytest.mark.parametrize("name", SETTINGS)
def test_results_have_the_same_bits(name: str, function: str, expected: dict[str, list[bytes]]) -> None:
    with SETTINGS[name]():  # type: ignore[attr-defined]
        before = state()
        found = FUNCTIONS[function]()
        assert state() == before
        assert bits_of(found) == expected[function]


def test_every_public_function_is_tried() -> None:
    tried = {name.split(",")[0] for name in FUNCTIONS}
    assert set(eigendrift.api.__all__) - CLASSES <= tried


def has_reduced_precision() -> bool:
    with SETTINGS["medium"]():  # type: ignore[attr-defined]
        narrow = LABELLED[0] @ LABELLED[0].T
    return not torch.equal(narrow, LABELLED[0] @ LABELLED[0].T)


@pytest.mark.skipif(not has_reduced_precision(), reason="this processor has no bfloat16 to reduce precision to")
def test_reduced_precision_changes_bits_outside_the_scope() -> None:
    """So the test above can fail."""
    operator = PerceptronHessian(MODEL, *LABELLED)
    exact = operator @ VECTOR
    with SETTINGS["medium"]():  # type: ignore[attr-defined]
        bare = PerceptronHessian.__matmul__.__wrapped__(operator, VECTOR)  # type: ignore[attr-defined]
        assert torch.equal(operator @ VECTOR, exact)
    assert (bare - exact).norm() > 1e-4 * exact.norm()


@pytest.mark.filterwarnings("ignore:.* in training mode:UserWarning")
def test_generators_of_gpus_are_not_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.manual_seed would seed the generators of all GPUs without restoring them."""

    def seed(seed: int) -> None:
        raise AssertionError("a GPU's generator was seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed", seed)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seed)
    network = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 2)).train()
    eigendrift.hessian_operator(network, mse_loss, torch.ones(3, 6), torch.ones(3, 2))
    FUNCTIONS["null_draws, reinitialized"]()


def test_an_error_restores_the_settings() -> None:
    def interrupted(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        raise KeyboardInterrupt

    for name in SETTINGS:
        with SETTINGS[name]():  # type: ignore[attr-defined]
            before = state()
            with pytest.raises(KeyboardInterrupt):
                eigendrift.hessian_operator(MODEL, interrupted, *MEASURED)
            assert state() == before


def test_cudnn_always_chooses_the_same_kernels() -> None:
    """Only results on a GPU depend on these settings, so the test reads the settings."""
    seen = []

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        cudnn = torch.backends.cudnn
        seen.append((cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32))
        return mse_loss(outputs, targets)

    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        eigendrift.hessian_operator(MODEL, loss, *MEASURED)
    finally:
        torch.backends.cudnn.benchmark = before
    assert set(seen) == {(False, True, False)}


def test_threads_restore_the_settings_when_the_last_has_ended() -> None:
    inside, outside = Barrier(2), Barrier(2)
    precisions: list[str] = []

    @full_precision()
    def slow() -> None:
        inside.wait()
        outside.wait()
        precisions.append(torch.get_float32_matmul_precision())

    @full_precision()
    def quick() -> None:
        inside.wait()

    def quick_then_release() -> None:
        quick()
        precisions.append(torch.get_float32_matmul_precision())
        outside.wait()

    with SETTINGS["medium"](), ThreadPoolExecutor(2) as threads:  # type: ignore[attr-defined]
        for job in [threads.submit(slow), threads.submit(quick_then_release)]:
            job.result()
        assert precisions == ["highest", "highest"]
        assert torch.get_float32_matmul_precision() == "medium"
