"""Sharpness-aware minimization (Foret, Kleiner, Mobahi & Neyshabur 2021, "Sharpness-aware minimization")."""

from collections.abc import Callable, Iterable

import torch
from torch.nn import Parameter
from torch.optim import SGD

TINY = 1e-12


class SAM(SGD):
    r"""SGD with the gradient at :math:`\theta + \rho\, g / |g|`, g the gradient at θ, of one batch."""

    def __init__(self, parameters: Iterable[Parameter], lr: float, momentum: float, radius: float) -> None:
        """Make the optimizer.

        Args:
            parameters: Of the network.
            lr: Learning rate, η.
            momentum: Of heavy-ball SGD, β.
            radius: ρ, a length in the space of all weights.
        """
        super().__init__(parameters, lr=lr, momentum=momentum, fused=True)
        self._radius = radius

    @torch.no_grad()
    def step(self, closure: Callable[[], object] | None = None) -> None:  # type: ignore[override]
        """Take a step from the gradients that are there; they are there again afterwards.

        Args:
            closure: Evaluates loss and gradients of the same batch anew; required.
        """
        assert closure
        parameters = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        gradients = [parameter.grad for parameter in parameters]
        weights = [parameter.clone() for parameter in parameters]
        length = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.add_(gradient * (self._radius / (length + TINY)))
        with torch.enable_grad():
            closure()
        for parameter, weight in zip(parameters, weights, strict=True):
            parameter.copy_(weight)
        super().step()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
