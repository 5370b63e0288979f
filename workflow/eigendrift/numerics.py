"""Precision, determinism, device and seeds: the one place that decides how numbers are computed."""

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock

import numpy as np
import torch

from eigendrift.digests import digest
from eigendrift.errors import UserError

logger = logging.getLogger(__name__)

# Every setting that lets torch compute with fewer digits than float32 has. A setting that is "none" follows the more
# general one, so the general ones come first.
PRECISION_SETTINGS = (
    ("generic", "all"),
    ("cuda", "all"),
    ("mkldnn", "all"),
    *((backend, operation) for backend in ("cuda", "mkldnn") for operation in ("matmul", "conv", "rnn")),
)


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute as the library needs it, whatever the caller's settings are, and restore them afterwards.

    Within the scope, float32 is float32 (no TF32 and no bfloat16), autocast is off, numbers below the normal range are
    not flushed to zero, and cuDNN chooses the same kernels every time. Compiled modules run eagerly, parametrizations
    are computed and not taken from a cache, and hooks on saved tensors are not called. Derivatives can be taken inside
    ``torch.no_grad`` and ``torch.inference_mode``, and NumPy neither warns nor raises. The scope also serves as a
    decorator: ``@full_precision()``.

    Some of these settings belong to the whole process. While several threads compute at once, the first to enter
    changes the settings and the last to leave restores them.
    """
    with ExitStack() as scope:
        scope.enter_context(_PROCESS_SETTINGS)
        scope.enter_context(torch.inference_mode(False))
        scope.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                scope.enter_context(torch.autocast(device, enabled=False))
        # Hooks on saved tensors may compress what derivatives are computed from.
        while (hooks := torch._C._autograd._top_saved_tensors_default_hooks(False)) is not None:
            torch._C._autograd._pop_saved_tensors_default_hooks()
            scope.callback(torch._C._autograd._push_saved_tensors_default_hooks, *hooks)
        # torch cannot report this setting, but Python's own numbers follow the same setting of the processor.
        if sys.float_info.min * 0.5 == 0:
            torch.set_flush_denormal(False)
            scope.callback(torch.set_flush_denormal, True)
        scope.enter_context(np.errstate(all="ignore"))
        yield


class _ProcessSettings:
    """The settings that all threads share, changed while at least one thread is inside."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._inside = 0
        self._restore = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._change()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._restore.close()

    def _change(self) -> None:
        if hasattr(torch._C, "_set_fp32_precision_setter"):
            for setting in PRECISION_SETTINGS:
                before = torch._C._get_fp32_precision_getter(*setting)
                self._restore.callback(torch._C._set_fp32_precision_setter, *setting, before)
                # A specific setting can be read only while the general one is "none".
                torch._C._set_fp32_precision_setter(*setting, "none")
        cudnn, parametrize = torch.backends.cudnn, torch.nn.utils.parametrize
        try:
            allowed = cudnn.allow_tf32
        except RuntimeError:
            # The newer settings are all "none" here, which contradicts nothing but True.
            allowed = True
        # torch raises an error if the older and the newer interface disagree. So both are changed.
        self._restore.callback(setattr, cudnn, "allow_tf32", allowed)
        self._restore.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
        torch.set_float32_matmul_precision("highest")
        cudnn.allow_tf32 = False
        for owner, name, value in (
            (cudnn, "benchmark", False),
            (cudnn, "deterministic", True),
            (parametrize, "_cache_enabled", 0),
            (parametrize, "_cache", {}),
        ):
            self._restore.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        # Without the compiler nothing is compiled, and importing it takes seconds.
        if "torch._dynamo" in sys.modules:
            self._restore.enter_context(torch.compiler.set_stance("force_eager"))


_PROCESS_SETTINGS = _ProcessSettings()


def configure(threads: int = 1) -> None:
    """Make this process compute the same bits every time.

    TF32 is off, matrix products keep full precision, and only deterministic kernels are allowed. The number of threads
    is fixed because it decides the order of summation.

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
    """Return the device with a name of the configuration, and log it.

    Args:
        name: ``auto`` (CUDA if there is one, otherwise the CPU), ``cpu``, ``cuda`` or ``cuda:<index>``.
        gpus: Number of GPUs that this process may use; if it uses none of them, a warning is logged.

    Raises:
        UserError: If this machine does not have the device.
    """
    device = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"Config key 'device' is '{name}', but this machine has {torch.cuda.device_count()} CUDA "
            "devices; set it to 'auto' or 'cpu'."
        )
    logger.info("Computing on %s with PyTorch %s", device, torch.__version__)
    if gpus and device.type == "cpu":
        logger.warning(
            "This job requested a GPU but does not use it: config key 'device' is '%s', and PyTorch %s sees "
            "%d CUDA devices here.",
            name,
            torch.__version__,
            torch.cuda.device_count(),
        )
    return device


def seed_from(*labels: object) -> int:
    """Derive a 63-bit seed from labels, so that streams with different names are independent.

    Args:
        *labels: Name of the stream, such as ``"batches", 3, 17``; labels are compared by their ``str``.
    """
    first_64_bits = digest("\0".join(map(str, labels)).encode())[:16]
    return int(first_64_bits, 16) >> 1


def generator(*labels: object) -> torch.Generator:
    """Return a CPU generator seeded from labels; CPU, so that draws agree on every device."""
    return torch.Generator(device="cpu").manual_seed(seed_from(*labels))


@contextmanager
def seeded(seed: int, devices: Iterable[torch.device] = ()) -> Iterator[None]:
    """Seed torch's global generators of the CPU and some devices, and restore their states afterwards.

    ``torch.manual_seed`` would also seed the devices whose states are not restored.
    """
    gpus = [device for device in set(devices) if device.type == "cuda"]
    with torch.random.fork_rng(gpus):
        torch.default_generator.manual_seed(seed)
        for gpu in gpus:
            with torch.cuda.device(gpu):
                torch.cuda.manual_seed(seed)
        yield
