"""The user's data directory: which one counts, and what is said about what it lacks."""

import gzip
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eigendrift.data import datasets, directory, full_mnist
from eigendrift.errors import UserError

Put = Callable[..., Path]
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST as the files of these tests have it."""
    declared = datasets.DATASETS["mnist"]
    small = replace(declared, training_samples=6, image_shape=(2, 3), classes=3)
    monkeypatch.setitem(datasets.DATASETS, "mnist", small)


def test_nothing_named(no_variable: None) -> None:
    assert directory.data_directory(None) is None
    assert directory.data_directory("") is None


def test_argument_alone(no_variable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert directory.data_directory("~/data") == Path("/home/somebody/data")


def test_variable_wins_unless_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(directory.VARIABLE, "/from/variable")
    assert directory.data_directory("/from/argument") == Path("/from/variable")
    assert directory.data_directory(None) == Path("/from/variable")
    monkeypatch.setenv(directory.VARIABLE, "")
    assert directory.data_directory("/from/argument") == Path("/from/argument")


def test_variable_decides_what_is_read(
    monkeypatch: pytest.MonkeyPatch, put: Put, files: dict[str, bytes], no_network: None, small_mnist: None
) -> None:
    good, empty = put(files), put({}, where="empty")
    monkeypatch.setenv(directory.VARIABLE, str(good))
    assert len(datasets.load("mnist", empty).train_labels) == 6
    monkeypatch.setenv(directory.VARIABLE, str(empty))
    with pytest.raises(UserError, match=str(empty)):
        datasets.load("mnist", good)


def test_a_file_in_place_of_the_directory_is_told(
    tmp_path: Path, no_variable: None, no_network: None
) -> None:
    (tmp_path / "train.gz").write_bytes(b"")
    with pytest.raises(UserError, match=r"train\.gz is no directory"):
        datasets.load("mnist", tmp_path / "train.gz")


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


def test_missing_directory(tmp_path: Path, no_variable: None, no_network: None) -> None:
    with pytest.raises(UserError, match=rf"{tmp_path}/nowhere does not exist.*mnist/\{{train-images"):
        datasets.load("mnist", tmp_path / "nowhere")


def test_missing_files_are_all_named(
    put: Put, files: dict[str, bytes], no_variable: None, no_network: None
) -> None:
    root = put({name: files[name] for name in files if name.startswith("t10k")})
    expected = f"lacks {root}/mnist/{IMAGES}.gz, {root}/mnist/{LABELS}.gz \\(unpacked"
    with pytest.raises(UserError, match=expected):
        datasets.load("mnist", root)


def test_missing_directory_of_the_data_set(put: Put, no_variable: None, no_network: None) -> None:
    root = put({})
    with pytest.raises(UserError, match=f"lacks {root}/fashion_mnist/{IMAGES}.gz"):
        datasets.load("fashion_mnist", root)


def test_torchvisions_folder_of_fashion_mnist(put: Put, no_network: None) -> None:
    root = put({IMAGES: b""}, "FashionMNIST/raw")
    (found,) = directory.find_files(root, "fashion_mnist", [IMAGES])
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


@pytest.mark.parametrize("name", list(full_mnist.DIGESTS))
def test_full_data_set(name: str, no_network: None) -> None:
    if not os.environ.get(directory.VARIABLE):
        pytest.skip(f"{directory.VARIABLE} names no directory with the full data sets")
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
