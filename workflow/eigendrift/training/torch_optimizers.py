"""Optimizers made of torch's, as declared in `eigendrift.training.optimizers`."""

from collections.abc import Callable, Iterable, Mapping
from inspect import signature
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from eigendrift.errors import UserError
from eigendrift.extensions.kinds import Optimizer as Declared

Settings = Mapping[str, Any]
# The methods of an optimizer that training calls.
METHODS = ("zero_grad", "step", "state_dict", "load_state_dict")
MATRIX = 2
TINY = 1e-12


class MuonWithAdamW:
    """Muon for matrices and AdamW for all other parameters, as the authors of Muon recommend.

    From Jordan et al. 2024, https://kellerjordan.github.io/posts/muon. torch's Muon accepts only matrices. Its steps
    are scaled to the size of AdamW's steps (Liu et al. 2025, "Muon is scalable for LLM training"), so that both use the
    learning rate ``lr`` and the same decoupled weight decay. Muon orthogonalizes in bfloat16 and has the given
    momentum, while AdamW has the settings of its authors.
    """

    def __init__(self, parameters: Iterable[Parameter], lr: float, momentum: float, weight_decay: float) -> None:
        every = list(parameters)
        matrices = [parameter for parameter in every if parameter.dim() == MATRIX]
        others = [parameter for parameter in every if parameter.dim() != MATRIX]
        both: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay}
        self._parts: list[Optimizer] = []
        if matrices:
            self._parts.append(torch.optim.Muon(matrices, **both, momentum=momentum, adjust_lr_fn="match_rms_adamw"))
        if others:
            self._parts.append(AdamW(others, **both, fused=True))

    def zero_grad(self) -> None:
        """Reset all gradients."""
        for part in self._parts:
            part.zero_grad()

    def step(self, closure: Callable[[], object] | None = None) -> None:
        """Take a step from the parameters' gradients."""
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both optimizers."""
        return {str(index): part.state_dict() for index, part in enumerate(self._parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        for index, part in enumerate(self._parts):
            part.load_state_dict(state[str(index)])


class SAM(SGD):
    r"""SGD with the gradient at :math:`\theta + \rho\, g / |g|`, where g is the gradient of the batch at θ.

    ρ is the ``radius``, a length in the space of all weights. From Foret, Kleiner, Mobahi & Neyshabur 2021,
    "Sharpness-aware minimization".
    """

    def __init__(self, parameters: Iterable[Parameter], lr: float, momentum: float, radius: float) -> None:
        super().__init__(parameters, lr=lr, momentum=momentum, fused=True)
        self._radius = radius

    @torch.no_grad()
    def step(self, closure: Callable[[], object] | None = None) -> None:  # type: ignore[override]
        """Take a step from the parameters' gradients, which are unchanged afterwards.

        Args:
            closure: Evaluates loss and gradients of the same batch again; required.
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


def sgd(parameters: Iterable[Parameter], settings: Settings) -> Optimizer:
    """Build SGD, with heavy-ball momentum if the settings have it."""
    return SGD(parameters, lr=settings["learning_rate"], momentum=settings.get("momentum", 0.0), fused=True)


def adam(parameters: Iterable[Parameter], settings: Settings) -> Optimizer:
    """Build Adam."""
    betas = (settings["beta1"], settings["beta2"])
    return Adam(parameters, lr=settings["learning_rate"], betas=betas, eps=settings["epsilon"], fused=True)


def adamw(parameters: Iterable[Parameter], settings: Settings) -> Optimizer:
    """Build AdamW."""
    return AdamW(
        parameters,
        lr=settings["learning_rate"],
        betas=(settings["beta1"], settings["beta2"]),
        eps=settings["epsilon"],
        weight_decay=settings["weight_decay"],
        fused=True,
    )


def rmsprop(parameters: Iterable[Parameter], settings: Settings) -> Optimizer:
    """Build RMSprop."""
    return RMSprop(parameters, lr=settings["learning_rate"], alpha=settings["beta2"], eps=settings["epsilon"])


def sam(parameters: Iterable[Parameter], settings: Settings) -> Optimizer:
    """Build `SAM`."""
    return SAM(parameters, lr=settings["learning_rate"], momentum=settings["momentum"], radius=settings["radius"])


def muon(parameters: Iterable[Parameter], settings: Settings) -> MuonWithAdamW:
    """Build `MuonWithAdamW`.

    Raises:
        UserError: If this version of torch has no Muon.
    """
    if not hasattr(torch.optim, "Muon"):
        raise UserError(
            f"Config key 'optimizers.muon' needs torch.optim.Muon, which torch {torch.__version__} does not "
            "have; install torch 2.9 or newer, or remove the optimizer from the experiments."
        )
    return MuonWithAdamW(
        parameters, lr=settings["learning_rate"], momentum=settings["momentum"], weight_decay=settings["weight_decay"]
    )


def build_optimizer(spec: Declared, parameters: Iterable[Parameter], settings: Settings) -> Optimizer:
    """Build a declared optimizer from the parameters of a network and its settings in the configuration.

    Raises:
        UserError: If the result is not an optimizer, or if its step takes other arguments than declared.
    """
    optimizer: Optimizer = spec.build(parameters, settings)
    # Not by class, because an optimizer may consist of several, as `MuonWithAdamW` does.
    has_state = spec.second_moment is None or isinstance(getattr(optimizer, "state", None), Mapping)
    if not (has_state and all(callable(getattr(optimizer, method, None)) for method in METHODS)):
        raise UserError(
            f"The optimizer '{spec.name}' is built as {type(optimizer).__name__}, expected a "
            "torch.optim.Optimizer; correct its function build."
        )
    step = signature(optimizer.step)
    try:
        step.bind(*["closure"] * spec.takes_closure)
    except TypeError:
        given = "a closure" if spec.takes_closure else "nothing"
        raise UserError(
            f"The optimizer '{spec.name}' has a method step{step}, but is called with {given} because of "
            f"takes_closure={spec.takes_closure}; correct one of them."
        ) from None
    return optimizer


def second_moment(
    spec: Declared, optimizer: Optimizer, parameters: Iterable[Parameter], steps: int
) -> torch.Tensor | None:
    """Return the flat second-moment estimate, zero before the first step; None if there is none.

    Args:
        spec: Declaration of the optimizer.
        optimizer: The optimizer, which may group the parameters in another order.
        parameters: Parameters of the network, in its order.
        steps: Number of steps taken.

    Raises:
        UserError: If the state of the optimizer has no such estimate.
    """
    if spec.second_moment is None:
        return None
    listed = list(parameters)
    if steps and not any(optimizer.state.get(parameter) for parameter in listed):
        raise UserError(
            f"The optimizer '{spec.name}' declares the second_moment '{spec.second_moment}', but after "
            f"{steps} steps optimizer.state has no state of any parameter; correct one of them."
        )
    return torch.cat([_moment_of(parameter, spec, optimizer) for parameter in listed])


def _moment_of(parameter: Parameter, spec: Declared, optimizer: Optimizer) -> torch.Tensor:
    state = optimizer.state.get(parameter)
    if not state:
        return torch.zeros_like(parameter).flatten()
    if spec.second_moment not in state:
        raise UserError(
            f"The optimizer '{spec.name}' declares the second_moment '{spec.second_moment}', but the state "
            f"of its parameters has only {', '.join(map(str, state))}; correct the declaration."
        )
    moment = state[spec.second_moment]
    if not isinstance(moment, torch.Tensor) or moment.shape != parameter.shape:
        is_tensor = isinstance(moment, torch.Tensor)
        found = f"of shape {tuple(moment.shape)}" if is_tensor else f"a {type(moment).__name__}"
        raise UserError(
            f"The optimizer '{spec.name}' declares the second_moment '{spec.second_moment}', but that state "
            f"is {found} for a parameter of shape {tuple(parameter.shape)}; correct the declaration."
        )
    return moment.flatten()
