"""What the tests of the data sets build with."""

import gzip
import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">2xBB{array.ndim}I", 8, array.ndim, *array.shape) + array.tobytes()


@dataclass
class Mirror:
    """A web server on this machine.

    `answers` maps a path to what successive requests for it get, the last one for ever; `requests` lists
    the paths asked for; the answers to those in `cut` end one byte before the length they promise.
    """

    url: str
    answers: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)

    def serve(self, files: dict[str, bytes], prefix: str = "") -> str:
        """Serve gzipped files below a prefix, every time; returns the mirror's URL."""
        for name, content in files.items():
            self.answers[f"/{prefix}{name}.gz"] = [(200, gzip.compress(content))]
        return self.url + prefix
