"""MNIST in full: the IDX format, the user's data directory, and downloads from mirrors."""

import gzip
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from eigendrift.data import datasets, mnist
from eigendrift.data.mnist import IdxError, data_directory, find_files, read_idx
from eigendrift.data.samples import Samples
from eigendrift.digests import digest
from eigendrift.errors import UserError

Put = Callable[..., Path]
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
HTML = b"<!DOCTYPE html><html>Sign in to this network</html>"
PIXELS = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)


def idx_bytes(array: NDArray[np.uint8]) -> bytes:
    return struct.pack(f">2xBB{array.ndim}I", 8, array.ndim, *array.shape) + array.tobytes()


GOOD = idx_bytes(PIXELS)


@dataclass
class Mirror:
    """A web server on this machine.

    `answers` maps a path to its successive answers; the last answer is repeated. `requests` lists the
    requested paths. Answers for the paths in `cut` end one byte before the length in their header.
    """

    url: str
    answers: dict[str, list[tuple[int, bytes]]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    cut: set[str] = field(default_factory=set)

    def serve(self, files: dict[str, bytes], prefix: str = "") -> str:
        """Serve gzipped files below a prefix, every time; returns the mirror's URL."""
        for name, content in files.items():
            self.answers[f"/{prefix}{name}.gz"] = [(200, gzip.compress(content))]
        return self.url + prefix


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    # A proxy of this machine must not be asked for 127.0.0.1.
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.requests.append(self.path)
            answers = served.answers.get(self.path, [(404, b"")])
            status, body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + (self.path in served.cut)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Mirror(f"http://127.0.0.1:{server.server_port}/")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()


@pytest.fixture
def no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(mnist.VARIABLE, raising=False)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Four small files that count as the published ones of mnist: 6 training and 4 test images of 2 x 3."""
    generator = np.random.default_rng(0)

    def pixels(samples: int) -> NDArray[np.uint8]:
        return generator.integers(0, 256, (samples, 2, 3), dtype=np.uint8)

    contents = [
        idx_bytes(pixels(6)),
        idx_bytes(np.array([0, 1, 2, 2, 1, 0], np.uint8)),
        idx_bytes(pixels(4)),
        idx_bytes(np.array([2, 1, 0, 1], np.uint8)),
    ]
    named = dict(zip(mnist.DIGESTS["mnist"], contents, strict=True))
    digests = {name: digest(content) for name, content in named.items()}
    monkeypatch.setitem(mnist.DIGESTS, "mnist", digests)
    return named


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes files to a data directory and returns it."""

    def write(files: dict[str, bytes], dataset: str = "mnist", where: str = "data") -> Path:
        root = tmp_path / where
        (root / dataset).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (root / dataset / f"{name}.gz").write_bytes(gzip.compress(content))
        return root

    return write


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was touched")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(f"socket.{name}", refuse)


@settings(deadline=None)  # the machine may be busy
@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0)), st.booleans())
def test_reads_what_was_written(array: np.ndarray, packed: bool) -> None:
    content = idx_bytes(array)
    result = read_idx(gzip.compress(content) if packed else content, array.ndim, digest(content))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, array)


def test_bytes_written_by_hand_and_big_endian_dimensions() -> None:
    content = bytes.fromhex("00000801 00000003 05 00 04")
    assert read_idx(content, 1, digest(content)).tolist() == [5, 0, 4]
    content = bytes.fromhex("00000801 00000100") + bytes(256)
    assert read_idx(content, 1, digest(content)).shape == (256,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(GOOD)[:-12], "ends too early"),
        (gzip.compress(GOOD)[:-6] + b"\0" * 6, "corrupt gzip"),
        (gzip.compress(GOOD)[:10] + b"\xff" * 30, "corrupt gzip"),
        (HTML, "starts with b'<!DO'"),
        (gzip.compress(HTML), "starts with b'<!DO'"),
        (b"", "starts with b''"),
        (idx_bytes(PIXELS[0, 0]), r"starts with b'\\x00\\x00\\x08\\x01'.*3 dimension"),
        (struct.pack(">2xBB3I", 9, 3, 4, 2, 3) + bytes(24), "unsigned bytes"),
        (GOOD[:9], "ends after 9 bytes"),
        (GOOD[:-1], r"has 39 bytes.*\(4, 2, 3\) requires 40"),
        (GOOD + b"\0", "has 41 bytes"),
        (GOOD[:-1] + b"\xff", "has sha256"),
    ],
    # Gzipped content contains the time of day, so names made of it would differ between processes.
    ids=[
        "truncated gzip",
        "gzip with a wrong checksum",
        "gzip with broken blocks",
        "html",
        "gzipped html",
        "empty",
        "labels for images",
        "another number type",
        "header cut",
        "one byte short",
        "one byte long",
        "one byte changed",
    ],
)
def test_messages_name_the_damage(content: bytes, words: str) -> None:
    with pytest.raises(IdxError, match=words):
        read_idx(content, 3, digest(GOOD))


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST as declared for the files of these tests."""
    declared = datasets.DATASETS["mnist"]
    small = replace(declared, training_samples=6, image_shape=(2, 3), classes=3)
    monkeypatch.setitem(datasets.DATASETS, "mnist", small)


def test_the_variable_takes_precedence_unless_it_is_empty(no_variable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert data_directory(None) is None
    assert data_directory("") is None
    monkeypatch.setenv("HOME", "/home/somebody")
    assert data_directory("~/data") == Path("/home/somebody/data")
    monkeypatch.setenv(mnist.VARIABLE, "/from/variable")
    assert data_directory("/from/argument") == Path("/from/variable")
    assert data_directory(None) == Path("/from/variable")
    monkeypatch.setenv(mnist.VARIABLE, "")
    assert data_directory("/from/argument") == Path("/from/argument")


def test_variable_decides_what_is_read(
    monkeypatch: pytest.MonkeyPatch, put: Put, files: dict[str, bytes], no_network: None, small_mnist: None
) -> None:
    good, empty = put(files), put({}, where="empty")
    monkeypatch.setenv(mnist.VARIABLE, str(good))
    assert len(datasets.load("mnist", empty).train_labels) == 6
    monkeypatch.setenv(mnist.VARIABLE, str(empty))
    with pytest.raises(UserError, match=str(empty)):
        datasets.load("mnist", good)


@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw"])
@pytest.mark.parametrize("packed", [True, False])
def test_reads_a_directory_without_network(
    put: Put,
    files: dict[str, bytes],
    packed: bool,
    folder: str,
    no_variable: None,
    no_network: None,
    small_mnist: None,
) -> None:
    root = put(files, folder)
    if not packed:
        for path in (root / folder).iterdir():
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    samples = datasets.load("mnist", root)
    raw = np.frombuffer(files[IMAGES], np.uint8, offset=16).reshape(6, 2, 3)
    np.testing.assert_array_equal(samples.train_images, (raw / 255).astype(np.float32))
    assert samples.train_labels.tolist() == [0, 1, 2, 2, 1, 0]
    assert samples.test_labels.tolist() == [2, 1, 0, 1]
    assert samples.test_images.shape == (4, 2, 3)


def test_a_missing_directory_or_a_file_instead_is_refused(tmp_path: Path, no_variable: None, no_network: None) -> None:
    (tmp_path / "train.gz").write_bytes(b"")
    with pytest.raises(UserError, match=r"train\.gz is not a directory"):
        datasets.load("mnist", tmp_path / "train.gz")
    with pytest.raises(UserError, match=rf"{tmp_path}/nowhere does not exist.*mnist/\{{train-images"):
        datasets.load("mnist", tmp_path / "nowhere")


def test_missing_files_are_all_named(put: Put, files: dict[str, bytes], no_variable: None, no_network: None) -> None:
    root = put({name: files[name] for name in files if name.startswith("t10k")})
    expected = f"lacks {root}/mnist/{IMAGES}.gz, {root}/mnist/{LABELS}.gz \\(or"
    with pytest.raises(UserError, match=expected):
        datasets.load("mnist", root)
    with pytest.raises(UserError, match=f"lacks {root}/fashion_mnist/{IMAGES}.gz"):
        datasets.load("fashion_mnist", root)


def test_torchvisions_folder_of_fashion_mnist(put: Put, no_network: None) -> None:
    root = put({IMAGES: b""}, "FashionMNIST/raw")
    (found,) = find_files(root, "fashion_mnist", [IMAGES])
    assert found == root / "FashionMNIST/raw" / f"{IMAGES}.gz"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (gzip.compress(b"\0" * 100)[:-4], "is a gzip file that ends too early"),
        (b"<html>", "starts with b'<htm'"),
        (gzip.compress(b"\0\0\x08\x03" + b"\0" * 12), "has sha256"),
    ],
    ids=["truncated", "html", "digest"],
)
def test_damaged_file_is_named(
    put: Put, files: dict[str, bytes], content: bytes, words: str, no_variable: None, no_network: None
) -> None:
    root = put(files)
    path = root / "mnist" / f"{IMAGES}.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path} {words}.*replace it with the original {IMAGES} of mnist"):
        datasets.load("mnist", root)


def test_unreadable_file_is_named(
    put: Put, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, no_variable: None
) -> None:
    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    root = put(files)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UserError, match=rf"{IMAGES}.gz cannot be read \(Permission denied\)"):
        datasets.load("mnist", root)


@pytest.mark.parametrize("name", list(mnist.DIGESTS))
def test_full_data_set(name: str, no_network: None) -> None:
    if not os.environ.get(mnist.VARIABLE):
        pytest.skip(f"{mnist.VARIABLE} names no directory with the full data sets")
    samples, spec = datasets.load(name), datasets.DATASETS[name]
    assert samples.train_images.shape == (spec.training_samples, *spec.image_shape) == (60_000, 28, 28)
    assert samples.test_images.shape == (10_000, 28, 28)
    assert samples.classes == spec.classes == 10
    assert (samples.train_images.min(), samples.train_images.max()) == (0, 1)
    counts = np.bincount(samples.test_labels)
    if name == "fashion_mnist":
        assert (counts == 1000).all()
    else:
        assert samples.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
        assert counts.tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, pauses: list[float], no_variable: None):
    import torchvision

    def from_mirrors(*mirrors: str) -> Samples:
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", list(mirrors))
        return mnist.load("mnist", pause=pauses.append)

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
        (200, "cut short"),
    ],
    ids=["404", "503", "html", "gzipped html", "empty", "truncated", "another file", "cut short"],
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
    if body == "cut short":
        mirror.cut.add(f"/bad/{IMAGES}.gz")
    else:
        mirror.answers[f"/bad/{IMAGES}.gz"] = [(status, body)]
    assert len(load(bad, good).train_labels) == 6
    assert mirror.requests[:2] == [f"/bad/{IMAGES}.gz", f"/good/{IMAGES}.gz"]
    assert pauses == []


def test_second_round_succeeds(load, mirror: Mirror, files: dict[str, bytes], pauses: list[float]) -> None:
    url = mirror.serve(files)
    mirror.answers[f"/{IMAGES}.gz"].insert(0, (503, b"busy"))
    assert len(load(url).train_labels) == 6
    assert pauses == [mnist.PAUSES[0]]


def test_all_mirrors_broken(load, mirror: Mirror, files: dict[str, bytes], pauses: list[float]) -> None:
    html, gone = mirror.serve(files, "html/"), mirror.serve({}, "gone/")
    mirror.answers[f"/html/{IMAGES}.gz"] = [(200, HTML)]
    with pytest.raises(UserError) as caught:
        load(html, gone)
    message = str(caught.value)
    assert f"{html}{IMAGES}.gz starts with b'<!DO'" in message
    assert f"{gone}{IMAGES}.gz answered 404 Not Found" in message
    assert len(mirror.requests) == 2 * (1 + len(mnist.PAUSES))
    assert pauses == list(mnist.PAUSES) == sorted(set(pauses))


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
    assert "EIGENDRIFT_DATA or data_dir a directory with mnist/{train-images-idx3-ubyte," in message
    assert message.endswith("t10k-labels-idx1-ubyte}.gz.")
    assert "\n" not in message


def test_stalled_mirror_is_given_up(
    load, mirror: Mirror, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody accepts from this socket: the connection is open, and no answer ever comes.
    monkeypatch.setattr(mnist, "TIMEOUT", 0.1)
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


@pytest.mark.parametrize("name", list(mnist.DIGESTS))
def test_torchvision_still_serves_these_files(name: str) -> None:
    import torchvision

    dataset = getattr(torchvision.datasets, mnist.TORCHVISION_CLASSES[name])
    assert {file for file, _ in dataset.resources} == {f"{file}.gz" for file in mnist.DIGESTS[name]}
    assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in dataset.mirrors)
