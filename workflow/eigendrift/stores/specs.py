"""What is said of an array of a store, and of a kind of store."""

from dataclasses import dataclass

from eigendrift.stores.float16 import DTYPE as HALF


@dataclass(frozen=True)
class ArraySpec:
    """One array of a store.

    Attributes:
        name: Name in the store.
        dims: Names of the dimensions, outermost first.
        dtype: numpy name of the element type.
        unit: Unit of the values, ``1`` for pure numbers.
        meaning: What the values are, in a sentence.
        optional: Whether a store may lack it.
        half: Whether a store may have it in float16, see `eigendrift.stores.float16`.
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    unit: str
    meaning: str
    optional: bool = False
    half: bool = False

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The element types that a store may have it in."""
        return (self.dtype, HALF) if self.half else (self.dtype,)

    @property
    def recorded(self) -> bool:
        """Whether the array is large and therefore stored one chunk per checkpoint or draw."""
        return self.dims[-1:] == ("parameter",)


@dataclass(frozen=True)
class StoreSpec:
    """One kind of store.

    Attributes:
        kind: Name of the kind, also the stem of its file where there is one per run.
        meaning: What the store holds, in a sentence.
        arrays: The arrays, coordinates among them.
    """

    kind: str
    meaning: str
    arrays: tuple[ArraySpec, ...]
