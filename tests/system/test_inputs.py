"""Data that are missing, wrong or in a directory with an unusual name: they work, or one sentence says why not."""

import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
import yaml
from clone import copy_repository
from tiny_study import RESULTS, TINY, delete

pytestmark = pytest.mark.xdist_group("inputs")

MNIST = RESULTS / "data/mnist.json"
HTML = b"<!DOCTYPE html><html>Sign in to this network</html>"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A copy of the repository with a non-ASCII path, whose tiny study uses MNIST."""
    clone = copy_repository(tmp_path_factory.mktemp("inputs") / "Läufe π")
    study = yaml.safe_load((clone.path / TINY).read_text())
    study["experiments"]["main"]["datasets"] = ["mnist"]
    (clone.path / TINY).write_text(yaml.safe_dump(study))
    download = clone.path / "workflow/eigendrift/data/mnist.py"
    before = download.read_text()
    download.write_text(before.replace("PAUSES = (2.0, 8.0)", "PAUSES = ()"))
    assert download.read_text() != before
    return clone


@pytest.fixture
def portal() -> Iterator[str]:
    """The URL of a web server that answers every request with a page, like the login portal of a hotel network."""

    class Gate(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(HTML)))
            self.end_headers()
            self.wfile.write(HTML)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Gate) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def said(result: subprocess.CompletedProcess[str]) -> str:
    """Return the error message of the only job that failed."""
    assert result.returncode == 1
    assert "Traceback" not in result.stdout
    (line,) = [line for line in result.stdout.splitlines() if " ERROR " in line]
    return line.partition(" ERROR ")[2]


def without_directory(**more: str) -> dict[str, str]:
    return {"EIGENDRIFT_DATA": "", "no_proxy": "127.0.0.1", **more}


def test_a_web_page_instead_of_data(clone, portal):
    module = clone.path / "workflow/eigendrift/data/mnist.py"
    before = module.read_text()
    lookup = "getattr(torchvision.datasets, TORCHVISION_CLASSES[name]).mirrors"
    assert lookup in before
    module.write_text(before.replace(lookup, f"[{portal!r}]"))
    try:
        sentence = said(clone.snakemake(str(MNIST), study=TINY, **without_directory()))
    finally:
        module.write_text(before)
    assert sentence.startswith(f"The data set mnist could not be downloaded ({portal}train-images")
    assert "starts with b'<!DO'" in sentence
    assert not (clone.path / MNIST).exists()


def test_no_network(clone):
    nowhere = {f"{kind}_proxy": "http://127.0.0.1:9" for kind in ("http", "https", "HTTP", "HTTPS")}
    sentence = said(clone.snakemake(str(MNIST), study=TINY, **without_directory(**nowhere)))
    assert "could not be read" in sentence
    assert "connect this machine to the network, or name by EIGENDRIFT_DATA or data_dir" in sentence


def test_a_truncated_file_in_a_directory_with_an_unusual_name(clone, tmp_path):
    directory = tmp_path / "Daten für π"
    (directory / "mnist").mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (directory / "mnist" / f"{name}-ubyte").write_bytes(bytes([0, 0, 8, int(name[-1]), 0, 0]))
    sentence = said(clone.snakemake(str(MNIST), study=TINY, EIGENDRIFT_DATA=str(directory)))
    assert sentence.startswith(f"The file {directory}/mnist/train-images-idx3-ubyte ends after 6 bytes")


def test_good_files_in_a_directory_with_an_unusual_name(clone, tmp_path):
    if not os.environ.get("EIGENDRIFT_DATA"):
        pytest.skip("needs MNIST; set EIGENDRIFT_DATA to a directory with its files")
    directory = tmp_path / "Daten für π"
    directory.symlink_to(Path(os.environ["EIGENDRIFT_DATA"]).resolve())
    result = clone.snakemake(str(MNIST), study=TINY, EIGENDRIFT_DATA=str(directory))
    assert result.returncode == 0, result.stdout
    assert (clone.path / MNIST).exists()


def test_a_results_directory_that_is_not_writable(clone):
    """Snakemake refuses to replace an output in this directory, and eigendrift refuses to create one there."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a file system")
    data = clone.path / RESULTS / "data"
    target = str(RESULTS / "data/digits.json")
    assert clone.snakemake(target, study=TINY).returncode == 0
    # Another test may have created MNIST's store.
    delete(clone, [str(MNIST), str(MNIST.with_suffix(".zarr"))])
    if subprocess.run(["mount", "--bind", str(data), str(data)], check=False).returncode != 0:
        pytest.skip("this machine does not allow mounting a file system")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(data)], check=True)
        again = clone.snakemake("--force", target, study=TINY)
        created = clone.snakemake(str(MNIST), study=TINY)
        planned = clone.snakemake("--dry-run", str(MNIST), study=TINY)
    finally:
        subprocess.run(["umount", str(data)], check=True)
    assert (again.returncode, created.returncode) == (1, 1)
    assert "Write-protected output files for rule data" in again.stdout
    assert (
        f"{RESULTS}/data/mnist.zarr cannot be created, because the directory {data} is not writable" in created.stdout
    )
    assert "Traceback" not in again.stdout + created.stdout
    assert planned.returncode == 0, planned.stdout


def test_a_second_snakemake_is_refused_while_the_first_is_running(clone, tmp_path):
    """The second Snakemake runs in the same clone, or in another clone with a link to the same results."""
    target = str(RESULTS / "data/digits.json")
    other = copy_repository(tmp_path / "other")
    shutil.copy2(clone.path / TINY, other.path / TINY)
    shutil.rmtree(other.path / "results")
    (other.path / "results").symlink_to(clone.path / "results")
    first = subprocess.Popen(
        [sys.executable, "-m", "snakemake", f"--configfile={TINY}", "--force", target],
        cwd=clone.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    process = psutil.Process(first.pid)
    lock = clone.path / RESULTS / "logs/snakemake.lock"
    while not (lock.exists() and f"process {first.pid} on" in lock.read_text()):
        assert first.poll() is None
        time.sleep(0.005)
    process.suspend()
    try:
        plain = clone.snakemake("--force", target, study=TINY)
        linked = other.snakemake("--force", target, study=TINY)
        dry = other.snakemake("--dry-run", target, study=TINY)
        make = clone.clean_up(RESULTS)
    finally:
        process.resume()
    refusal = f"Another snakemake is working on {RESULTS} (process {first.pid} on {platform.node()}, in "
    refusal += f"{clone.path}); wait until it ends or end it, and do not unlock.\n"
    assert plain.returncode == 1
    assert plain.stdout.index(refusal) < plain.stdout.index("Directory cannot be locked")
    assert linked.returncode == 1
    # Snakemake prints the refusal when it reads the study, and again instead of its first job.
    assert linked.stdout.count(refusal) == 2
    assert "Traceback" not in linked.stdout
    assert dry.returncode == 0, dry.stdout
    assert make.returncode == 1
    assert make.stderr == refusal
    assert first.wait() == 0
    assert (clone.path / target).exists()
