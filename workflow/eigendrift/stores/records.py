"""Sequences of records that come into being when they are used."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import overload

import numpy as np


class Records(Sequence[np.ndarray], ABC):
    """Records of one array, such as the eigenvectors of every checkpoint, none of them held in memory."""

    @abstractmethod
    def record(self, index: int) -> np.ndarray:
        """Return the record with an index from 0 to below the length."""

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...
    @overload
    def __getitem__(self, index: slice) -> list[np.ndarray]: ...
    def __getitem__(self, index: int | slice) -> np.ndarray | list[np.ndarray]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.record(index)
