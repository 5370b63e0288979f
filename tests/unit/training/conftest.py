"""Tests of training use the numerical settings of the stages."""

from collections.abc import Iterator

import pytest
import torch

from eigendrift import numerics


@pytest.fixture(autouse=True, scope="package")
def _deterministic() -> Iterator[None]:
    threads = torch.get_num_threads()
    numerics.configure()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)
