"""What a long job says while it runs."""

import io
import logging

import pytest

from eigendrift import tracking
from eigendrift.tracking import tracked


def test_without_a_terminal_the_log_has_plain_lines(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    now = iter(range(0, 1000, 6))
    monkeypatch.setattr(tracking.time, "monotonic", lambda: float(next(now)))
    with tracked("train a", 4, done=1) as tracker:
        for done in (2, 3, 4):
            tracker.reach(done, f"loss {done}")
    assert caplog.messages == ["train a: 3 of 4 loss 3", "train a: 4 of 4 loss 4"]


def test_on_a_terminal_there_is_a_bar_that_begins_where_an_earlier_job_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(tracking.sys, "__stderr__", terminal)
    with tracked("train a", 4, done=1) as tracker:
        tracker.reach(4, "loss 3")
    assert "train a:  25%" in terminal.getvalue()
