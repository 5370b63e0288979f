"""A trained network and its dense Hessian."""

import numpy as np
import pytest
import torch
from eigenpairs_helpers import dense_hessian, trained_on_digits
from torch import nn
from torch.nn.functional import cross_entropy


@pytest.fixture(scope="module")
def network() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    return trained_on_digits()


@pytest.fixture(scope="module")
def dense(network: tuple[nn.Module, torch.Tensor, torch.Tensor]) -> np.ndarray:
    return dense_hessian(network[0], cross_entropy, *network[1:]).numpy()
