"""Jobs without the start-up: a server that has imported what jobs import forks itself for each of them.

Most jobs of a small study take less time than it takes to import torch. Snakemake starts a Python for every
job, the client: before it imports anything, it asks the server for a fork, passes its own environment on, and
waits. The fork runs the job's script as a process of its own, and dies with its client.

Nobody tells the server what to import. The first job of a script runs in its client, as without a server, and
reports which installed modules it had imported; before the second one the server imports them, too. Modules
of the project are not among them, so that jobs always run the code that is there.

Where there is no server, as on a cluster or in an environment of a rule's own, jobs run as they are.
"""

import atexit
import contextlib
import errno
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import traceback
from pathlib import Path
from typing import Any

VARIABLE = "EIGENDRIFT_FORK_SERVER"
PREFIX = "eigendrift-"
# Libraries read these when they are imported, so a fork cannot have its own.
THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "GOTO", "NUMEXPR")}
STREAMS = (0, 1, 2)
INSTALLED = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
LOST = "The process of this job ended without a word; it was killed, perhaps for want of memory."


def start() -> None:
    """Start a server for the jobs of this process, and say so in the environment that they inherit.

    Where sockets cannot be made, as below a long path, there is none, and jobs take longer.
    """
    _remove_abandoned()
    directory = tempfile.mkdtemp(prefix=PREFIX)
    address = str(Path(directory) / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            # Bound here, it takes calls from now on; the server answers them when it is up.
            listener.bind(address)
        except OSError:
            shutil.rmtree(directory)
            return
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, __file__, str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env={**os.environ, **THREADS},
            # Control-C in the terminal ends the clients; their forks follow them.
            start_new_session=True,
        )
    assert server.stdin
    # The server ends when its standard input does, also if this process is killed.
    atexit.register(server.stdin.close)
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    os.environ[VARIABLE] = json.dumps([sys.executable, address])


def _remove_abandoned() -> None:
    """Remove the sockets of servers that were killed, and had no time to."""
    for address in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/socket"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            if connection.connect_ex(str(address)) == errno.ECONNREFUSED:
                shutil.rmtree(address.parent, ignore_errors=True)


def hand_over() -> None:
    """Let a fork of the server run this process's script, and end with it; return where there is none."""
    interpreter, address = json.loads(os.environ.pop(VARIABLE, "[null, null]"))
    if interpreter != sys.executable or any(os.environ.get(name) != one for name, one in THREADS.items()):
        return
    script = script_name()
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address)
            _send(connection, {"script": script})
            is_forked = _receive(connection)
        except OSError:
            return
        if is_forked:
            sys.exit(_wait(connection))
        if is_forked is False:
            atexit.register(_report, address, script)


def script_name() -> str:
    """Return the name of this process's script, of which Snakemake runs a copy, tmp<random>.<name>."""
    return Path(sys.argv[0]).name.partition(".")[2]


def _wait(connection: socket.socket) -> int:
    """Tell the fork what to do, and return its exit status once it has ended."""
    sys.stdout.flush()
    sys.stderr.flush()
    job = {"file": sys.argv[0], "path": sys.path, "directory": os.getcwd(), "environment": dict(os.environ)}
    code = None
    try:
        socket.send_fds(connection, [b"\0"], STREAMS)
        _send(connection, job)
        code = _receive(connection)
        connection.recv(1)
    except OSError:
        pass
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    if code is None:
        print(LOST, file=sys.stderr)
        return 1
    return int(code)


def _report(address: str, script: str) -> None:
    """Tell the server what this process has imported."""
    names = [
        name
        for name, module in list(sys.modules.items())
        if str(getattr(module, "__file__", None)).startswith(INSTALLED) and name != "__main__"
    ]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        _send(connection, {"script": script, "imports": names})


class Server:
    """Answers clients, one after another."""

    def __init__(self) -> None:
        self._imports: dict[str, list[str]] = {}

    def serve(self, listener: socket.socket) -> socket.socket | None:
        """Fork for clients until standard input is closed.

        Returns:
            In the server None; in a fork the connection to its client.
        """
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if self._answer(connection):
                return connection
            connection.close()
        return None

    def _answer(self, connection: socket.socket) -> bool:
        """Answer one client; return whether this process is the fork that is to run its script."""
        with contextlib.suppress(OSError):
            request = _receive(connection) or {}
            if names := request.get("imports"):
                self._imports[request["script"]] = names
            elif request.get("script") not in self._imports:
                _send(connection, False)
            else:
                _import(self._imports[request["script"]])
                # Forks share memory with the server as long as nothing writes to it, as the collector does.
                gc.freeze()
                return os.fork() == 0
        return False


def _import(names: list[str]) -> None:
    for name in names:
        if name not in sys.modules:
            # Some are parts of others and cannot be imported by themselves; a job imports what it needs.
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def _run(connection: socket.socket) -> None:
    """Run the script of a client in this process, as if the client did."""
    _send(connection, True)
    _, streams, _, _ = socket.recv_fds(connection, 1, len(STREAMS))
    job = _receive(connection)
    for stream, target in zip(streams, STREAMS, strict=True):
        os.dup2(stream, target)
        os.close(stream)
    threading.Thread(target=_die_with, args=[connection], daemon=True).start()
    os.chdir(job["directory"])
    os.environ.clear()
    os.environ.update(job["environment"])
    sys.path[:] = job["path"]
    sys.argv[:] = [job["file"]]
    code: Any = 0
    try:
        runpy.run_path(job["file"], run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    _send(connection, code if isinstance(code, int) else int(code is not None))


def _die_with(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        client.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


def _send(connection: socket.socket, message: Any) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _receive(connection: socket.socket) -> Any:
    """Return the next message, or None if the other end is gone."""
    received = b""
    while not received.endswith(b"\n"):
        if not (part := connection.recv(1 << 16)):
            return None
        received += part
    return json.loads(received)


def main() -> None:
    """Serve at the socket whose number is the argument; a fork runs its client's script instead."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=int(sys.argv[1])) as listener:
        address = listener.getsockname()
        client = Server().serve(listener)
    if client:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _run(client)
    else:
        shutil.rmtree(Path(address).parent, ignore_errors=True)


if __name__ == "__main__":
    main()
