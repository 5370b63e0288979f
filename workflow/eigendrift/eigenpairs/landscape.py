"""The loss of one network on one sample, and the leading eigenpairs of its Hessian at given weights."""

import logging
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import vector_to_parameters

from eigendrift.data.samples import Samples, hessian_sample
from eigendrift.eigenpairs.batched import leading_eigenpairs_together
from eigendrift.eigenpairs.batched_perceptrons import PerceptronStack, stack_size
from eigendrift.eigenpairs.lanczos import Eigenpairs, leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.eigenpairs.perceptron import is_perceptron
from eigendrift.eigenpairs.preconditioned import PreconditionedOperator, PreconditionedStack
from eigendrift.eigenpairs.symmetric import OperatorStack, SymmetricOperator
from eigendrift.errors import UserError
from eigendrift.numerics import generator
from eigendrift.training.networks import kind_of
from eigendrift.training.torch_networks import build_model

logger = logging.getLogger(__name__)

Record = dict[str, np.ndarray]


class Landscape:
    """The loss of one network on one fixed sample, which gives the Hessian and its eigenpairs at any weights.

    Attributes:
        model: The network.
        size: N, the number of its parameters.
        shapes: The shape of each of its parameter tensors, in order.
        together: Best number of weights for one call of `eigenpairs_at_each`.
    """

    def __init__(
        self,
        samples: Samples,
        model_settings: Mapping[str, Any],
        settings: Mapping[str, Any],
        device: torch.device,
        together: int | None = None,
    ) -> None:
        """Put network and sample on the device.

        Args:
            samples: Data set; the Hessian is over its training part.
            model_settings: The network, as in the configuration.
            settings: ``count``, ``samples``, ``chunk_size``, ``tolerance``, ``max_products`` and ``basis_size``, as in
                the configuration.
            device: Where to compute.
            together: Number of weights whose eigenpairs are computed at once. By default, as many as pay on a GPU, and
                one on a CPU, which gains little. Always one for networks that are no perceptrons, and if a chunk is
                smaller than the sample, because memory is short then.

        Raises:
            UserError: If there are fewer samples or eigenpairs than requested.
        """
        indices = hessian_sample(samples.train_labels, settings["samples"])
        self._inputs = torch.from_numpy(samples.train_images[indices]).to(device)
        self._targets = torch.from_numpy(samples.train_labels[indices]).to(device)
        rows, columns = samples.train_images.shape[1:]
        unused = generator("placeholder")
        self.model: nn.Module = build_model(model_settings, (rows, columns), samples.classes, unused).to(device)
        self.model.eval()
        self.shapes = [list(parameter.shape) for parameter in self.model.parameters()]
        self.size = sum(parameter.numel() for parameter in self.model.parameters())
        self._kind = kind_of(model_settings)
        self._settings = settings
        self._request = {key: settings[key] for key in ("count", "tolerance", "max_products", "basis_size")}
        if settings["count"] > self.size:
            raise UserError(
                f"{settings['count']} eigenpairs are requested, but the network has only {self.size} "
                "parameters; request fewer."
            )
        samples_used = len(self._targets)
        if settings["chunk_size"] < samples_used or not is_perceptron(self.model):
            together = 1
        elif together is None:
            on_gpu = device.type == "cuda"
            together = stack_size(self.model, samples_used, settings["basis_size"]) if on_gpu else 1
        self.together = together

    def hessian_at(self, weights: np.ndarray) -> SymmetricOperator:
        """Return the Hessian at float32 weights (N,), which become the network's weights."""
        # A copy, because the network's parameters become views of it.
        flat = torch.tensor(weights, device=self._inputs.device)
        vector_to_parameters(flat, self.model.parameters())
        return hessian_operator(self.model, cross_entropy, self._inputs, self._targets, self._settings["chunk_size"])

    def eigenpairs_at(
        self, weights: np.ndarray, start: torch.Generator, preconditioner: np.ndarray | None = None
    ) -> Record:
        """Return the leading eigenpairs as a record of an eigenpairs or null store.

        Args:
            weights: float32 (N,) flat weights, in ``model.parameters()`` order.
            start: Generator of the solver's random vectors.
            preconditioner: (N,), the diagonal P for the eigenpairs of P^(−1/2) H P^(−1/2); None for the eigenpairs of
                H.

        Returns:
            The record. It is `undefined_record` if the weights or the Hessian are not finite, or the Hessian is too
            small or loses its digits in float32. If the Hessian is zero, no pair counts as converged.

        Raises:
            UserError: If the network has no second derivatives, or its Hessian changes from call to call.
        """
        if not np.isfinite(weights).all():
            return undefined_record(self._settings["count"], self.size)
        try:
            operator = self.hessian_at(weights)
            if preconditioner is not None:
                operator = PreconditionedOperator(operator, self._inverse_root(preconditioner))
            return self._record(leading_eigenpairs(operator, generator=start, **self._request))
        except FloatingPointError as error:
            return self._record(error)
        except ValueError as error:
            raise UserError(f"The Hessian of the network '{self._kind}' cannot be computed: {error}.") from error

    def eigenpairs_at_each(
        self,
        weights: Sequence[np.ndarray],
        starts: Sequence[torch.Generator],
        preconditioners: Sequence[np.ndarray] | None = None,
    ) -> list[Record]:
        """Return the records of `eigenpairs_at` at several weights, computed at once if ``together`` > 1.

        The bits of a record then depend on the other weights in the call.
        """
        if self.together == 1:
            each = repeat(None, len(weights)) if preconditioners is None else preconditioners
            return [self.eigenpairs_at(*one) for one in zip(weights, starts, each, strict=True)]
        records = [undefined_record(self._settings["count"], self.size) for _ in weights]
        finite = [index for index, flat in enumerate(weights) if np.isfinite(flat).all()]
        if finite:
            stacked = torch.from_numpy(np.stack([weights[index] for index in finite]))
            stack: OperatorStack = PerceptronStack(
                self.model, stacked.to(self._inputs.device), self._inputs, self._targets
            )
            if preconditioners is not None:
                diagonals = np.stack([preconditioners[index] for index in finite])
                stack = PreconditionedStack(stack, self._inverse_root(diagonals))
            outcomes = leading_eigenpairs_together(
                stack, generators=[starts[index] for index in finite], **self._request
            )
            for index, outcome in zip(finite, outcomes, strict=True):
                records[index] = self._record(outcome)
        return records

    def _inverse_root(self, diagonals: np.ndarray) -> torch.Tensor:
        # The root is taken before rounding, because P may be below the smallest number of float32.
        with np.errstate(over="ignore"):
            roots = (diagonals.astype(np.float64) ** -0.5).astype(np.float32)
        return torch.from_numpy(roots).to(self._inputs.device)

    def _record(self, outcome: Eigenpairs | FloatingPointError) -> Record:
        if isinstance(outcome, FloatingPointError):
            logger.warning("The Hessian cannot be computed here: %s.", outcome)
            return undefined_record(self._settings["count"], self.size)
        # Every vector is an eigenvector of the zero matrix, so the solver's vectors say nothing.
        if outcome.scale == 0:
            logger.warning("The Hessian is zero, so it has no leading eigenvectors.")
        return {
            "eigenvalue": outcome.eigenvalues.numpy(),
            "eigenvector": outcome.eigenvectors.cpu().numpy(),
            "residual": outcome.residuals.numpy(),
            "converged": outcome.converged.numpy() & (outcome.scale > 0),
            "gap": outcome.gaps.numpy(),
            "next_eigenvalue": np.array(outcome.next_eigenvalue),
            "miss_probability": np.array(outcome.miss_probability),
            "matvecs": np.array(outcome.products),
            "search_matvecs": np.array(outcome.search_products),
        }


def undefined_record(count: int, size: int) -> Record:
    """Return the record for weights without a Hessian: NaN, not converged, no products."""
    return {
        **{name: np.full(count, np.nan) for name in ("eigenvalue", "residual", "gap")},
        "eigenvector": np.full((count, size), np.nan, np.float32),
        "converged": np.zeros(count, bool),
        "next_eigenvalue": np.array(np.nan),
        "miss_probability": np.array(np.nan),
        "matvecs": np.array(0),
        "search_matvecs": np.array(0),
    }
