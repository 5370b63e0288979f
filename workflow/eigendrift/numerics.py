"""Determinism, device and seeds: the one place that decides how numbers are computed."""

import hashlib
import logging
import os

import torch

from eigendrift.errors import UserError

logger = logging.getLogger(__name__)


def configure(threads: int = 1) -> None:
    """Make this process compute the same bits every time.

    TF32 is off, matrix products keep full precision, and only deterministic kernels are allowed. The number
    of threads is fixed because it decides the order of summation.

    Args:
        threads: CPU threads that torch may use.
    """
    # cuBLAS reads this once, when its first handle is made.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("highest")
    # The same switch as use_deterministic_algorithms, which would import torch's compiler: a second per job.
    torch.set_deterministic_debug_mode("error")
    # Nothing here reads memory before it is written; to fill it costs a pass over every Krylov basis.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False


def resolve_device(name: str, gpus: int = 0) -> torch.device:
    """Turn the config's device name into a device that is there, and log which it is.

    Args:
        name: ``auto`` (CUDA if there is one, else the CPU), ``cpu``, ``cuda`` or ``cuda:<index>``.
        gpus: How many GPUs this process was given; a warning tells if it uses none of them.

    Raises:
        UserError: The device is not on this machine.
    """
    if name == "auto":
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    else:
        device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"Config key 'device' is '{name}', but this machine shows {torch.cuda.device_count()} CUDA "
            "devices; set it to 'auto' or 'cpu'."
        )
    logger.info("Computing on %s with PyTorch %s", device, torch.__version__)
    if gpus and device.type == "cpu":
        logger.warning(
            "This job asked for a GPU, and does not use it: config key 'device' is '%s', and PyTorch %s sees "
            "%d CUDA devices here.",
            name,
            torch.__version__,
            torch.cuda.device_count(),
        )
    return device


def seed_from(*labels: object) -> int:
    """Derive a 63-bit seed from labels, so that streams with different names are independent.

    Args:
        *labels: What the stream is for, such as ``("batches", 3, 17)``; compared by their ``str``.
    """
    digest = hashlib.sha256("\0".join(map(str, labels)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*labels: object) -> torch.Generator:
    """Return a CPU generator seeded from labels; CPU, so that draws agree on every device."""
    return torch.Generator(device="cpu").manual_seed(seed_from(*labels))
