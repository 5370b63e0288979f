"""Training on a CUDA device."""

from pathlib import Path

import numpy as np
import pytest
import torch
from training_helpers import OPTIMIZERS, arrays, assert_same_bits, run, settings_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_same_bits_twice_also_after_an_interruption(name: str, tmp_path: Path) -> None:
    device, settings = torch.device("cuda"), settings_of(name)
    complete = run(settings, tmp_path / "complete", device=device)
    assert_same_bits(run(settings, tmp_path / "again", device=device), complete)
    # A shorter run leaves the same state as an interrupted one.
    shorter = settings | {"steps": 9, "checkpoints": {"count": 10, "spacing": "linear"}}
    run(shorter, tmp_path / "resumed", device=device)
    assert_same_bits(run(settings, tmp_path / "resumed", device=device), complete)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_close_to_the_cpu(name: str, tmp_path: Path) -> None:
    cpu = arrays(run(settings_of(name), tmp_path / "cpu"))
    cuda = arrays(run(settings_of(name), tmp_path / "cuda", device=torch.device("cuda")))
    np.testing.assert_array_equal(cuda["weights"][0], cpu["weights"][0])
    np.testing.assert_allclose(cuda["weights"], cpu["weights"], atol=1e-4)
