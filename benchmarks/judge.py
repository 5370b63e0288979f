"""What an answer is worth: true residuals, and whether these are the leading eigenpairs, in float64."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from benchmarks.problems import SEED, Checkpoint
from benchmarks.task import TOLERANCE, Answer
from eigendrift.eigenpairs.perceptron import PerceptronHessian

# Pairs beyond those asked for, and a small basis' worth more: ARPACK then misses none of those asked for.
SPARE = 5
BASIS_FOR_EACH = 3
REFERENCE_TOLERANCE = 1e-7
# Rows that are this nearly dependent on others span nothing new.
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
    """How good an answer is.

    Attributes:
        residual: The worst ‖Hv − λv‖ / λ1 of the k pairs as returned, v scaled to length 1.
        missing: How far the answer's span falls short of the leading eigenvalues: the largest of
            (λi − θi) / λ1, θ the Ritz values of the span. That of a set with a leading pair left out, or with one
            twice, is about the gap that it leaves; that of inexact ones is below their residual.
        overlap: Smallest cosine of a principal angle between the answer's span and the reference's.
        beyond: The largest of (θi − λi) / λ1. A Ritz value is never above the eigenvalue of its rank, so a positive
            one, beyond rounding, convicts the reference.
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
        """Whether these are the k leading ones, as far as their residual can tell."""
        return self.missing <= max(TOLERANCE, self.residual)

    @property
    def convicts_reference(self) -> bool:
        """Whether the reference itself misses a leading pair."""
        return self.beyond > TOLERANCE


class Judge:
    """Knows one checkpoint's Hessian in float64."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        model, inputs, targets = checkpoint.load(device, torch.float64)
        self._operator = PerceptronHessian(model, inputs, targets)

    def reference(self, count: int) -> Reference:
        """Find ``count`` leading eigenpairs, with care and without hurry."""
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
        """Judge an answer by as many leading pairs of the reference."""
        rows = answer.vectors.astype(np.float64)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return judge(answer.values, rows, self._images(rows), reference)

    def _images(self, rows: np.ndarray) -> np.ndarray:
        block = torch.from_numpy(np.ascontiguousarray(rows)).to(self._operator.device)
        images: np.ndarray = (self._operator @ block).cpu().numpy()
        return images


def judge(values: np.ndarray, rows: np.ndarray, images: np.ndarray, reference: Reference) -> Verdict:
    """Judge eigenpairs by their images.

    Args:
        values: (k,), descending.
        rows: (k, N), of length 1.
        images: (k, N), the operator times each row.
        reference: At least k pairs.
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
