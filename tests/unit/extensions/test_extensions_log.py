"""What a job's log says of an error: whose it may be."""

import io
import logging
import sys
from pathlib import Path

import pytest

from eigendrift.extensions.plugins import load_plugins

SCRIPTS = Path(__file__).parents[3] / "workflow/scripts"
PLUGIN = "from eigendrift.extensions import Optimizer\nEXTENSIONS = [Optimizer(name='mine', build=print)]\n"


pytestmark = pytest.mark.usefixtures("plugins_forgotten")


def logged(
    error: BaseException, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    monkeypatch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    from joblog import tell_whose

    with caplog.at_level(logging.ERROR):
        try:
            raise error
        except BaseException as raised:
            tell_whose(io.StringIO(), raised)
    return caplog.messages


def test_a_plugin_that_was_read_may_be_at_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    load_plugins([path])
    said = logged(TypeError("no"), caplog, monkeypatch)
    assert said == [f"The job failed, and this is not the user's doing, unless it is that of {path}:"]


def test_without_plugins_it_is_nobodys(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert logged(TypeError("no"), caplog, monkeypatch) == [
        "The job failed, and this is not the user's doing:"
    ]
    with pytest.raises(SystemExit):
        logged(SystemExit(3), caplog, monkeypatch)
