r"""The interface of the library for your own networks, without a study.

Any PyTorch network works, with a loss that is a mean or a sum over the samples:

>>> import torch
>>> from torch import nn
>>> from torch.nn.functional import mse_loss
>>> from eigendrift import alignment, hessian_operator, inverse_participation_ratio, leading_eigenpairs
>>> _ = torch.manual_seed(0)
>>> model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
>>> inputs, targets = torch.randn(50, 4), torch.randn(50, 1)

The Hessian of the mean loss is an operator whose products with vectors are exact:

>>> hessian = hessian_operator(model, mse_loss, inputs, targets)
>>> hessian.size
49
>>> pairs = leading_eigenpairs(hessian, 3, generator=torch.Generator().manual_seed(0))
>>> bool(pairs.converged.all())
True
>>> v = pairs.eigenvectors[0]
>>> bool(torch.allclose(hessian @ v, pairs.eigenvalues[0].float() * v, atol=1e-3))
True

Metrics take arrays. The inverse participation ratio is between 1/N and 1:

>>> ratios = inverse_participation_ratio(pairs.eigenvectors.numpy())
>>> bool((1 / 49 < ratios).all() and (ratios < 1).all())
True

Alignment is the cosine between a direction, such as the gradient, and each eigenvector:

>>> mse_loss(model(inputs), targets).backward()
>>> gradient = nn.utils.parameters_to_vector(p.grad for p in model.parameters())
>>> alignment(gradient.numpy()[None], pairs.eigenvectors.numpy()[None]).shape
(1, 3)
"""

from eigendrift.eigenpairs.density import SpectralDensity, spectral_density
from eigendrift.eigenpairs.hessian import HessianOperator
from eigendrift.eigenpairs.lanczos import Eigenpairs, leading_eigenpairs
from eigendrift.eigenpairs.operators import hessian_operator
from eigendrift.eigenpairs.trace import Trace, trace
from eigendrift.metrics.alignment import alignment
from eigendrift.metrics.displacement import (
    displacement,
    isotropic_displacement,
    overlaps,
    subspace_displacement,
    tracked_displacement,
)
from eigendrift.metrics.localization import inverse_participation_ratio, isotropic_inverse_participation_ratio
from eigendrift.null.network import NullDraws, null_draws

__all__ = [
    "Eigenpairs",
    "HessianOperator",
    "NullDraws",
    "SpectralDensity",
    "Trace",
    "alignment",
    "displacement",
    "hessian_operator",
    "inverse_participation_ratio",
    "isotropic_displacement",
    "isotropic_inverse_participation_ratio",
    "leading_eigenpairs",
    "null_draws",
    "overlaps",
    "spectral_density",
    "subspace_displacement",
    "trace",
    "tracked_displacement",
]
