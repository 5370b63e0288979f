"""Small IDX files under the names of the true ones, and a mirror to serve them."""

import gzip
import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from idx_helpers import Mirror, idx_bytes
from numpy.typing import NDArray

from eigendrift.data import directory, full_mnist


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    # Else a proxy of the machine that runs the tests would be asked for 127.0.0.1.
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
    monkeypatch.delenv(directory.VARIABLE, raising=False)


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Four small files that pass for the true ones of mnist: 6 training and 4 test images of 2 x 3."""
    generator = np.random.default_rng(0)

    def pixels(samples: int) -> NDArray[np.uint8]:
        return generator.integers(0, 256, (samples, 2, 3), dtype=np.uint8)

    contents = [
        idx_bytes(pixels(6)),
        idx_bytes(np.array([0, 1, 2, 2, 1, 0], np.uint8)),
        idx_bytes(pixels(4)),
        idx_bytes(np.array([2, 1, 0, 1], np.uint8)),
    ]
    named = dict(zip(full_mnist.DIGESTS["mnist"], contents, strict=True))
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in named.items()}
    monkeypatch.setitem(full_mnist.DIGESTS, "mnist", digests)
    return named


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Writes files as a data directory and returns it."""

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
