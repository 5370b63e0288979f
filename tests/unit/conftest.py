"""What tests of several parts of the library share."""

from collections.abc import Iterator

import pytest

from eigendrift.extensions.registry import forget_plugins


@pytest.fixture
def plugins_forgotten() -> Iterator[None]:
    """What a test adds to the registry is gone after it."""
    yield
    forget_plugins()
