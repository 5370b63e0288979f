"""Fixtures: the tiny study, and the report of the smoke study in an offline Chromium."""

import contextlib
import os
import shutil
import subprocess
import sys
from tempfile import gettempdir

import psutil
import pytest
import tally
from clone import copy_of, copy_repository, replace_by
from tiny_study import TINY, contents, processes_of

FAILED = pytest.StashKey[bool]()
BROWSER, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


# Every job of the tiny study records which files of the project it imported, for test_declared_code.py.
NOTE_IMPORTS = """
import atexit, logging, os, sys

def note():
    script = os.path.basename(sys.argv[0]).partition(".")[2]
    # A process that handed its job over to the fork server has no log.
    if os.sep + ".snakemake" + os.sep not in sys.argv[0] or not logging.getLogger().handlers:
        return
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    own = [os.path.relpath(file) for file in files if file and file.startswith(os.getcwd() + "/workflow/")]
    with open(os.path.join({directory!r}, f"{{script}}-{{os.getpid()}}"), "w") as notes:
        # The log distinguishes jobs that run the same script.
        notes.write("\\n".join([logging.getLogger().handlers[0].stream.name, *own]))

atexit.register(note)
"""


# Bytes that copies of the repository and their results need.
NEEDED = 2 * 2**30


def pytest_sessionstart(session):
    """Refuse to start on a nearly full disk, because tests would fail there for no visible reason."""
    if (free := shutil.disk_usage(gettempdir()).free) < NEEDED:
        pytest.exit(
            f"{gettempdir()} has {free / 2**30:.1f} GiB left, but the tests need {NEEDED / 2**30:.0f} GiB; free "
            "space, or set TMPDIR to another directory.",
            returncode=1,
        )


def pytest_sessionfinish(session):
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output |= {"figures": tally.FIGURES, "shown": tally.SHOWN}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    # A worker that has crashed has no output.
    output = getattr(node, "workeroutput", {})
    for what, number in output.get("figures", {}).items():
        tally.count(what, number)
    for text in output.get("shown", []):
        tally.show(text)


def pytest_terminal_summary(terminalreporter):
    for what, number in tally.FIGURES.items():
        terminalreporter.write_line(f"{what}: {number}")
    for text in tally.SHOWN:
        terminalreporter.write_line(text)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    item.stash[FAILED] = report.failed or item.stash.get(FAILED, False)
    return report


@pytest.fixture(autouse=True)
def _no_failure_makes_others_fail(request):
    """Restore the tiny study after a test that failed."""
    clone = request.getfixturevalue("tiny") if "tiny" in request.fixturenames else None
    yield
    if clone and request.node.stash[FAILED]:
        left = list(processes_of(clone))
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left)
        replace_by(clone, as_it_was(clone))


def as_it_was(clone):
    """Return the directory of the unchanged copy of the tiny study."""
    return clone.path.with_name("as-it-was")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A copy of the repository in which the tiny study is complete; tests that change the copy restore it."""
    directory = tmp_path_factory.mktemp("tiny")
    (directory / "imports").mkdir()
    (directory / "sitecustomize.py").write_text(NOTE_IMPORTS.format(directory=str(directory / "imports")))
    clone = copy_repository(directory / "clone")
    result = clone.snakemake("reported", study=TINY, PYTHONPATH=str(directory))
    assert result.returncode == 0, result.stdout
    shutil.copytree(clone.path, as_it_was(clone), symlinks=True)
    return clone


@pytest.fixture(scope="session")
def undisturbed(tiny):
    """The contents of the tiny study's results by path, before any test changed them."""
    return contents(tiny)


@pytest.fixture(scope="session")
def made(tiny):
    """All outputs of the tiny study, by path."""
    return tiny.outputs("reported", study=TINY)


@pytest.fixture(scope="session")
def chromium():
    """The paths of the browser and its driver."""
    if not (BROWSER and DRIVER):
        pytest.skip("needs Chromium: apt-get install chromium chromium-driver")
    return BROWSER, DRIVER


@pytest.fixture(scope="session")
def report(chromium, smoke, tmp_path_factory):
    """The report of the smoke study, created with the environment of the tests instead of .venv."""
    clone = copy_of(smoke, tmp_path_factory.mktemp("report") / "clone").path
    result = subprocess.run(
        ["make", "report", "STUDY=smoke", f"VENV={sys.prefix}", "--old-file=venv"],
        cwd=clone,
        env=os.environ | {"MAKEFLAGS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout
    return clone / "results/smoke/report.html"


@pytest.fixture(scope="module")
def browser(chromium, report):
    """A headless Chromium that has opened the report and logs messages and requests."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location, driver_path = chromium
    for argument in (
        "--headless=new",
        "--no-sandbox",  # Chromium refuses to run as root with its sandbox.
        "--disable-dev-shm-usage",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--window-size=1600,1000",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver_path))
    # A moving element cannot be clicked.
    still = "document.addEventListener('DOMContentLoaded', () => document.head.insertAdjacentHTML('beforeend', "
    still += "'<style>* { transition: none !important; animation: none !important }</style>'))"
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": still})
    driver.get(report.as_uri())
    yield driver
    driver.quit()
