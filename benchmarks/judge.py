"""Quality of an answer in float64: its true residuals, and whether it consists of the leading eigenpairs."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from benchmarks.problems import SEED, Checkpoint
from benchmarks.task import TOLERANCE, Answer
from eigendrift.eigenpairs.perceptron import PerceptronHessian

# ARPACK computes more pairs than requested, in a larger basis than its default, so that it misses no requested pair.
SPARE = 5
BASIS_FOR_EACH = 3
REFERENCE_TOLERANCE = 1e-7
# Singular values of the rows below this add no direction to their span: the rows are nearly dependent.
DEPENDENT = 1e-3


@dataclass(frozen=True)
class Reference:
    """Leading eigenpairs in float64, from ARPACK over the exact Hessian in float64.

    Attributes:
        values: (k,), descending.
        vectors: (k, N), orthonormal rows.
    """

    values: np.ndarray
    vectors: np.ndarray


@dataclass(frozen=True)
class Verdict:
    """Quality of an answer.

    Attributes:
        residual: The worst ‖Hv − λv‖ / λ1 of the k pairs as returned, with v scaled to length 1.
        missing: The largest (λi − θi) / λ1, where θ are the Ritz values of the answer's span. If a leading pair is
            left out or another is returned twice, this is about the gap between the eigenvalues. If the pairs are
            only inexact, this is below their residual.
        overlap: Smallest cosine of a principal angle between the answer's span and the reference's span.
        beyond: The largest (θi − λi) / λ1. A Ritz value never exceeds the eigenvalue of its rank. A value that is
            positive beyond rounding therefore shows that the reference misses a pair.
    """

    residual: float
    missing: float
    overlap: float
    beyond: float

    @property
    def accurate(self) -> bool:
        """Whether all residuals meet the tolerance."""
        return self.residual <= TOLERANCE

    @property
    def complete(self) -> bool:
        """Whether these are the k leading pairs, as far as their residual can show."""
        return self.missing <= max(TOLERANCE, self.residual)

    @property
    def reference_is_incomplete(self) -> bool:
        """Whether the reference itself misses a leading pair."""
        return self.beyond > TOLERANCE


class Judge:
    """Judges answers with the Hessian of one checkpoint in float64."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        model, inputs, targets = checkpoint.load(device, torch.float64)
        self._operator = PerceptronHessian(model, inputs, targets)

    def reference(self, count: int) -> Reference:
        """Return the ``count`` leading eigenpairs, computed for accuracy rather than speed."""
        size, wanted = self._operator.size, count + SPARE

        def product(vector: np.ndarray) -> np.ndarray:
            return self._images(vector.reshape(1, -1))[0]

        operator = LinearOperator((size, size), matvec=product, dtype=np.dtype(np.float64))
        start = np.random.default_rng(SEED).standard_normal(size)
        values, vectors = eigsh(
            operator,
            k=wanted,
            which="LA",
            tol=REFERENCE_TOLERANCE,
            ncv=min(BASIS_FOR_EACH * wanted, size),
            v0=start,
        )
        return Reference(values[::-1][:count].copy(), vectors[:, ::-1].T[:count].copy())

    def verdict(self, answer: Answer, reference: Reference) -> Verdict:
        """Judge an answer by the same number of leading pairs of the reference."""
        rows = answer.vectors.astype(np.float64)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return judge(answer.values, rows, self._images(rows), reference)

    def _images(self, rows: np.ndarray) -> np.ndarray:
        block = torch.from_numpy(np.ascontiguousarray(rows)).to(self._operator.device)
        images: np.ndarray = (self._operator @ block).cpu().numpy()
        return images


def judge(values: np.ndarray, rows: np.ndarray, images: np.ndarray, reference: Reference) -> Verdict:
    """Judge eigenpairs by their products with the operator.

    Args:
        values: Eigenvalues (k,), descending.
        rows: Eigenvectors (k, N), each of length 1.
        images: Products of the operator with each row (k, N).
        reference: At least k reference pairs.
    """
    count = len(values)
    expected = reference.values[:count]
    scale = abs(expected[0])
    residual = np.linalg.norm(images - values[:, None] * rows, axis=1).max() / scale
    left, lengths, _ = np.linalg.svd(rows, full_matrices=False)
    spanning = left[:, lengths > DEPENDENT] / lengths[lengths > DEPENDENT]
    basis, basis_images = spanning.T @ rows, spanning.T @ images
    projected = basis @ basis_images.T
    ritz = np.zeros(count)
    ritz[: len(basis)] = np.linalg.eigvalsh((projected + projected.T) / 2)[::-1]
    cosines = np.linalg.svd(reference.vectors[:count] @ basis.T, compute_uv=False)
    return Verdict(
        residual=float(residual),
        missing=float((expected - ritz).max() / scale),
        overlap=float(cosines.min()) if len(basis) == count else 0.0,
        beyond=float((ritz - expected).max() / scale),
    )
