"""Claims are decided often, without the garbage collection at every correction."""

import pytest


@pytest.fixture(autouse=True)
def no_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    # statsmodels collects at every correction, which takes longer than deciding a claim among all that tests import.
    monkeypatch.setattr("gc.collect", lambda *_: 0)
