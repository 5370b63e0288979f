"""Null models for any network and any mean loss, without a study."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from eigendrift.eigenpairs.hessian import Reduction
from eigendrift.eigenpairs.lanczos import leading_eigenpairs
from eigendrift.eigenpairs.network_checks import Loss, check_model, unwrapped
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.eigenpairs.snapshot import Snapshot
from eigendrift.eigenpairs.symmetric import check_count, check_generator, whole_number
from eigendrift.null.sampling import permute_within, uniform_frame
from eigendrift.numerics import full_precision, seeded

NullModelName: TypeAlias = Literal["isotropic", "reinitialized", "permuted"]


@dataclass(frozen=True)
class NullDraws:
    """Leading eigenpairs of draws from a null model.

    Attributes:
        eigenvalues: float64 (draw, k), descending; NaN for isotropic vectors, which have no spectrum.
        eigenvectors: float32 or float64 (draw, k, N), unit vectors with arbitrary signs.
        converged: bool (draw, k), see `eigendrift.Eigenpairs`.
    """

    eigenvalues: np.ndarray
    eigenvectors: np.ndarray
    converged: np.ndarray


@full_precision()
def null_draws(
    model: nn.Module,
    loss: Loss,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    null_model: NullModelName,
    *,
    count: int,
    draws: int,
    generator: torch.Generator,
    initialize: Callable[[nn.Module], object] | None = None,
    chunk_size: int | None = None,
    reduction: Reduction = "mean",
) -> NullDraws:
    """Return draws from a null model, whose leading eigenvectors lack something that training creates.

    ``isotropic``: random orthonormal vectors. ``reinitialized``: eigenvectors of the Hessian at fresh draws
    from the initialization. ``permuted``: eigenvectors of the Hessian at the network's weights, permuted within each
    parameter tensor. The network itself does not change.

    Args:
        model: Network in the mode, on the device and in the dtype that its Hessian is wanted for.
        loss: Returns one number from outputs and targets, such as ``torch.nn.functional.cross_entropy``.
        inputs: (n, …) on the model's device.
        targets: (n, …) on the model's device.
        null_model: Name of the null model.
        count: Number of leading eigenpairs of each draw, k.
        draws: Number of draws.
        generator: CPU generator for all random numbers.
        initialize: Initializes the weights of a network in place, from torch's own generators, which are seeded before
            the call. None calls ``reset_parameters`` of each module that has it.
        chunk_size: Number of samples in one pass; None for all at once.
        reduction: Whether the loss is a mean or a sum over the samples, see `eigendrift.hessian_operator`.

    Raises:
        ValueError: If the null model is unknown, ``draws`` is below 1, ``count`` is not from 1 to N, or a parameter
            belongs to a module without ``reset_parameters``; or as `eigendrift.hessian_operator` and
            `eigendrift.leading_eigenpairs`.
        TypeError: If ``generator`` is of another type; or as `eigendrift.hessian_operator`.
        FloatingPointError: As `eigendrift.hessian_operator` and `eigendrift.leading_eigenpairs`.

    >>> from torch.nn.functional import mse_loss
    >>> model = nn.Linear(3, 1)
    >>> random = torch.Generator().manual_seed(0)
    >>> data = torch.randn(20, 3), torch.randn(20, 1)
    >>> drawn = null_draws(model, mse_loss, *data, "permuted", count=2, draws=5, generator=random)
    >>> drawn.eigenvectors.shape
    (5, 2, 4)
    """
    check_generator(generator)
    model = unwrapped(model)
    check_model(model)
    size = sum(parameter.numel() for parameter in model.parameters())
    check_count(count, size)
    if whole_number("draws", draws) < 1:
        raise ValueError(f"draws is {draws}, expected at least 1")
    if null_model == "isotropic":
        frames = np.stack([uniform_frame(size, count, generator) for _ in range(draws)])
        nothing = np.full((draws, count), np.nan)
        return NullDraws(nothing, frames, np.ones((draws, count), bool))
    pairs = []
    for changed in _changed(model, null_model, draws, generator, initialize):
        # The Hessian is taken at the network itself, because the loss may read its parameters.
        with Snapshot(model, values=changed).restored():
            hessian = hessian_operator(model, loss, inputs, targets, chunk_size, reduction=reduction)
        pairs.append(leading_eigenpairs(hessian, count, generator=generator))
    return NullDraws(
        np.stack([pair.eigenvalues.numpy() for pair in pairs]),
        np.stack([pair.eigenvectors.cpu().numpy() for pair in pairs]),
        np.stack([pair.converged.numpy() for pair in pairs]),
    )


def _changed(
    model: nn.Module,
    null_model: NullModelName,
    draws: int,
    generator: torch.Generator,
    initialize: Callable[[nn.Module], object] | None,
) -> Iterator[nn.Module]:
    """Yield a copy of the network with the null model's weights for each draw."""
    if null_model not in ("reinitialized", "permuted"):
        raise ValueError(f"null_model is '{null_model}', expected 'isotropic', 'reinitialized' or 'permuted'")
    sizes = [parameter.numel() for parameter in model.parameters()]
    for _ in range(draws):
        changed = deepcopy(model)
        if null_model == "permuted":
            flat = parameters_to_vector(model.parameters()).detach()
            permuted = torch.from_numpy(permute_within(flat.cpu().numpy(), sizes, generator))
            vector_to_parameters(permuted.to(flat.device), changed.parameters())
        else:
            seed = int(torch.randint(2**62, (1,), device="cpu", generator=generator))
            with seeded(seed, (parameter.device for parameter in changed.parameters())):
                (initialize or _reset)(changed)
        yield changed


def _reset(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if callable(reset := getattr(module, "reset_parameters", None)):
            reset()
        elif module._parameters:
            raise ValueError(
                f"module '{name}' ({type(module).__name__}) has parameters and no reset_parameters, expected "
                "it to; pass initialize"
            )
