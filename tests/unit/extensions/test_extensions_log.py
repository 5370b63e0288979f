"""What a job's log says of an error: whose it may be."""

import io
import logging
from pathlib import Path

import pytest

from eigendrift.extensions.plugins import load_plugins
from runtime import job

PLUGIN = "from eigendrift.extensions import Optimizer\nEXTENSIONS = [Optimizer(name='mine', build=print)]\n"


pytestmark = pytest.mark.usefixtures("plugins_forgotten")


def logged(error: BaseException, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.ERROR):
        try:
            raise error
        except BaseException as raised:
            job._log_unexpected(io.StringIO(), raised)
    return caplog.messages


def test_a_plugin_that_was_read_may_be_at_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    load_plugins([path])
    said = logged(TypeError("no"), caplog)
    assert said == [f"The job failed, which is a bug in eigendrift or in {path}:"]


def test_without_plugins_it_is_nobodys(caplog: pytest.LogCaptureFixture) -> None:
    assert logged(TypeError("no"), caplog) == ["The job failed, which is a bug in eigendrift:"]
    with pytest.raises(SystemExit):
        logged(SystemExit(3), caplog)
