"""What every declaration of an extension has, and how it is checked."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from inspect import signature
from reprlib import repr as shown
from types import NoneType, UnionType
from typing import Any, ClassVar, get_args, get_origin

# pandas reads null and nan in a table as a missing value.
NAME = re.compile(r"(?!(null|nan)$)[a-z0-9][a-z0-9_-]*")
# A '-' sets the number of training samples apart, as in digits-200; and a figure or metric names a file and
# an array.
PLAIN_NAME = re.compile(r"(?!(null|nan)$)[a-z][a-z0-9_]*")
TYPES: dict[Any, str] = {
    Callable: "a function",
    Mapping: "a dict",
    NoneType: "None",
    bool: "True or False",
    int: "an integer",
    str: "text",
    tuple: "a tuple",
}


@dataclass(frozen=True, kw_only=True)
class Extension:
    """What all kinds have in common.

    Attributes:
        name: How a study calls it: lower-case letters, digits, '-' and '_', of data sets, metrics and figures
            without '-'. What the package itself names so is taken.

    Raises:
        ValueError: Something declared does not fit; the message says what.
    """

    KIND: ClassVar[str] = "extension"
    ALLOWED: ClassVar[re.Pattern[str]] = NAME
    # Settings that every one of the kind has.
    SHARED_SETTINGS: ClassVar[tuple[str, ...]] = ()
    # What each function is given, in this order.
    GIVEN: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.ALLOWED.fullmatch(self.name):
            more = ", '-' and '_'" if self.ALLOWED is NAME else " and '_', a letter first"
            raise ValueError(
                f"the {self.KIND} is named {self.name!r}, expected text of lower-case letters, digits{more}, "
                "other than null and nan"
            )
        for one in fields(self):
            types = get_args(one.type) if isinstance(one.type, UnionType) else (one.type,)
            plain = [get_origin(each) or each for each in types]
            if set(plain) <= set(TYPES):
                value = getattr(self, one.name)
                fits = isinstance(value, tuple(plain)) and (bool in plain or not isinstance(value, bool))
                self._expect(one.name, fits, " or ".join(TYPES[each] for each in plain))
        for function, given in self.GIVEN.items():
            self._check_takes(function, given)
        for setting, schema in getattr(self, "settings", {}).items():
            self._check_setting(setting, schema)

    def _expect(self, attribute: str, fits: bool, expected: str) -> None:
        if not fits:
            found = shown(getattr(self, attribute))
            raise ValueError(f"the {self.KIND} '{self.name}' has {attribute}={found}, expected {expected}")

    def _check_takes(self, attribute: str, given: tuple[str, ...]) -> None:
        """Check that a function can be called as it will be."""
        function = getattr(self, attribute)
        if function is None:
            return
        try:
            declared = signature(function)
        except ValueError:  # of some functions in C there is nothing to tell
            return
        try:
            declared.bind(*given)
        except TypeError:
            raise ValueError(
                f"the {self.KIND} '{self.name}' has a function {attribute}{declared}, expected one that "
                f"takes ({', '.join(given)})"
            ) from None

    def _check_setting(self, setting: object, schema: object) -> None:
        if not isinstance(setting, str) or setting in self.SHARED_SETTINGS:
            raise ValueError(
                f"the {self.KIND} '{self.name}' declares the setting {setting!r}, expected text, and none of "
                f"{', '.join(self.SHARED_SETTINGS)}, which every {self.KIND} has"
            )
        if not isinstance(schema, Mapping) or not {"description", "$ref"} & set(schema):
            raise ValueError(
                f"the {self.KIND} '{self.name}' declares the setting '{setting}' as {shown(schema)}, "
                "expected a JSON schema, a dict with a description"
            )
