"""Muon as its authors use it: matrices by Muon, everything else by AdamW."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.nn import Parameter

MATRIX = 2


class MuonWithAdamW:
    """Two of torch's optimizers as one (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon).

    torch's Muon takes matrices only. Its steps are scaled to the size of AdamW's (Liu et al. 2025, "Muon is
    scalable for LLM training"), so that one learning rate serves both. It orthogonalizes in bfloat16.
    """

    def __init__(
        self, parameters: Iterable[Parameter], lr: float, momentum: float, weight_decay: float
    ) -> None:
        """Make the optimizer.

        Args:
            parameters: Of the network.
            lr: Learning rate.
            momentum: Of Muon; AdamW has its authors' settings.
            weight_decay: Decoupled, of both.
        """
        every = list(parameters)
        matrices = [parameter for parameter in every if parameter.dim() == MATRIX]
        others = [parameter for parameter in every if parameter.dim() != MATRIX]
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            self._parts.append(
                torch.optim.Muon(
                    matrices,
                    lr=lr,
                    momentum=momentum,
                    weight_decay=weight_decay,
                    adjust_lr_fn="match_rms_adamw",
                )
            )
        if others:
            self._parts.append(torch.optim.AdamW(others, lr=lr, weight_decay=weight_decay, fused=True))

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for part in self._parts:
            part.zero_grad()

    def step(self, closure: Callable[[], object] | None = None) -> None:
        """Take a step from the gradients that are there."""
        for part in self._parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both."""
        return {str(place): part.state_dict() for place, part in enumerate(self._parts)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a state."""
        for place, part in enumerate(self._parts):
            part.load_state_dict(state[str(place)])
