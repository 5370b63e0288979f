"""A copy of the repository in which the smoke study has been run once."""

import pytest
from clone import copy_repository


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """The smoke study, run; tests that change the copy put it back."""
    clone = copy_repository(tmp_path_factory.mktemp("smoke study"))
    result = clone.snakemake()
    assert result.returncode == 0, result.stdout
    return clone


@pytest.fixture
def fresh(tmp_path):
    return copy_repository(tmp_path / "clone")
