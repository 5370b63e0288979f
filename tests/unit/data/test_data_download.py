"""Downloading from mirrors that work, lie, break, and recover."""

import gzip
import socket
from pathlib import Path

import pytest
import torchvision
from idx_helpers import Mirror

from eigendrift.data import directory, download, full_mnist
from eigendrift.data.samples import Samples
from eigendrift.errors import UserError

pytestmark = pytest.mark.usefixtures("no_variable")

IMAGES = "train-images-idx3-ubyte"
HTML = b"<!DOCTYPE html><html>Sign in to this network</html>"


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, pauses: list[float]):
    def from_mirrors(*mirrors: str) -> Samples:
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", list(mirrors))
        return full_mnist.load("mnist", pause=pauses.append)

    return from_mirrors


def test_good_mirror(load, mirror: Mirror, files: dict[str, bytes], pauses: list[float]) -> None:
    samples = load(mirror.serve(files))
    assert samples.train_labels.tolist() == [0, 1, 2, 2, 1, 0]
    assert samples.test_labels.tolist() == [2, 1, 0, 1]
    assert mirror.requests == [f"/{name}.gz" for name in files]
    assert pauses == []


@pytest.mark.parametrize(
    "broken",
    [
        (404, b"gone"),
        (503, b"busy"),
        (200, HTML),
        (200, gzip.compress(HTML)),
        (200, b""),
        (200, "truncated"),
        (200, "another file"),
    ],
    ids=["404", "503", "html", "gzipped html", "empty", "truncated", "another file"],
)
def test_broken_mirror_leads_to_the_next(
    load, mirror: Mirror, files: dict[str, bytes], pauses: list[float], broken: tuple[int, bytes | str]
) -> None:
    status, body = broken
    if body == "truncated":
        body = gzip.compress(files[IMAGES])[:-20]
    elif body == "another file":
        body = gzip.compress(files["t10k-images-idx3-ubyte"])
    good, bad = mirror.serve(files, "good/"), mirror.serve(files, "bad/")
    mirror.answers[f"/bad/{IMAGES}.gz"] = [(status, body)]
    assert len(load(bad, good).train_labels) == 6
    assert mirror.requests[:2] == [f"/bad/{IMAGES}.gz", f"/good/{IMAGES}.gz"]
    assert pauses == []


def test_connection_cut_short_leads_to_the_next(load, mirror: Mirror, files: dict[str, bytes]) -> None:
    bad, good = mirror.serve(files, "bad/"), mirror.serve(files, "good/")
    mirror.cut.add(f"/bad/{IMAGES}.gz")
    assert len(load(bad, good).train_labels) == 6
    assert mirror.requests[:2] == [f"/bad/{IMAGES}.gz", f"/good/{IMAGES}.gz"]


def test_second_round_succeeds(load, mirror: Mirror, files: dict[str, bytes], pauses: list[float]) -> None:
    url = mirror.serve(files)
    mirror.answers[f"/{IMAGES}.gz"].insert(0, (503, b"busy"))
    assert len(load(url).train_labels) == 6
    assert pauses == [download.PAUSES[0]]


def test_pauses_grow() -> None:
    assert sorted(set(download.PAUSES)) == list(download.PAUSES)


def test_all_mirrors_broken(load, mirror: Mirror, files: dict[str, bytes], pauses: list[float]) -> None:
    html, gone = mirror.serve(files, "html/"), mirror.serve({}, "gone/")
    mirror.answers[f"/html/{IMAGES}.gz"] = [(200, HTML)]
    with pytest.raises(UserError) as caught:
        load(html, gone)
    message = str(caught.value)
    assert f"{html}{IMAGES}.gz starts with b'<!DO'" in message
    assert f"{gone}{IMAGES}.gz answered 404 Not Found" in message
    assert len(mirror.requests) == 2 * (1 + len(download.PAUSES))
    assert pauses == list(download.PAUSES)


def test_offline_names_both_ways_out(load, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError(-3, "Temporary failure in name resolution")

    monkeypatch.setattr("socket.getaddrinfo", unreachable)
    for proxy in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    with pytest.raises(UserError) as caught:
        load("http://mirror.invalid/mnist/")
    message = str(caught.value)
    assert "Temporary failure in name resolution" in message
    assert "connect this machine to the network" in message
    assert "EIGENDRIFT_DATA or data_dir a directory that holds mnist/{train-images-idx3-ubyte," in message
    assert message.endswith("t10k-labels-idx1-ubyte}.gz.")
    assert "\n" not in message


def test_stalled_mirror_is_given_up(
    load, mirror: Mirror, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A listening socket that nobody accepts from: the connection stands, and no answer ever comes.
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stalled = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        assert len(load(stalled, mirror.serve(files)).train_labels) == 6


def test_nothing_is_left_on_disk(
    load, mirror: Mirror, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("TMPDIR", "HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(tmp_path)
    load(mirror.serve(files))
    with pytest.raises(UserError):
        load(mirror.serve({}, "gone/"))
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("name", list(full_mnist.DIGESTS))
def test_torchvision_still_serves_these_files(name: str) -> None:
    dataset = getattr(torchvision.datasets, directory.TORCHVISION_CLASSES[name])
    assert {file for file, _ in dataset.resources} == {f"{file}.gz" for file in full_mnist.DIGESTS[name]}
    assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in dataset.mirrors)
