"""A server that has imported the large libraries forks itself for each job, so jobs skip the start-up.

Most jobs of a small study take less time than importing torch does. Snakemake starts a Python process for every job,
the client. Before the client imports anything, it asks the server for a fork, sends its environment, and waits. The
fork runs the client's script as a process of its own, and dies with its client. The server imports installed packages
only, so jobs always run the project's code as it is on disk.

Where there is no server (on a cluster, or in a conda environment), jobs run in their own process.
"""

import atexit
import errno
import gc
import importlib
import io
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Client, Connection
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any, NoReturn

VARIABLE = "EIGENDRIFT_FORK_SERVER"
# Machines may share the directory for temporary files.
PREFIX = f"eigendrift-{os.uname().nodename}-"
# Libraries read these when they are imported, so a fork cannot have values of its own.
THREADS = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL", "GOTO", "NUMEXPR")}
STREAMS = (0, 1, 2)
LOST = "The process of this job ended without an exit status; it was killed, perhaps for lack of memory."

STORES = ("snakemake.logging", "snakemake.script", "numpy", "xarray", "zarr")
TORCH = (*STORES, "torch", "torch.func", "scipy.sparse.linalg", "tqdm")
ANALYSIS = (*STORES, "pandas", "scipy.stats")
# What the server imports before it forks for the first job of a script. Other scripts run by themselves.
PRELOAD = {
    "data": STORES,
    # The optimizers of torch import its compiler.
    "train": (*TORCH, "torch._dynamo"),
    "eigenpairs": TORCH,
    "null": TORCH,
    "minimum": TORCH,
    "metrics": ANALYSIS,
    "plugin_metric": ANALYSIS,
    "preconditioned_metrics": ANALYSIS,
    "baseline": ANALYSIS,
    "validation": ANALYSIS,
    "claims": ANALYSIS,
    "regimes": ANALYSIS,
    "figure": (*ANALYSIS, "matplotlib.pyplot", "matplotlib.backends.backend_agg", "fontTools.subset"),
}


def start() -> None:
    """Start a server for the jobs of this process; jobs find its address in their environment.

    There is no server if it cannot be started, for example because the path of its socket is too long.
    """
    with suppress(OSError), socket.socket(socket.AF_UNIX) as listener:
        _delete_abandoned_sockets()
        directory = tempfile.mkdtemp(prefix=PREFIX)
        address = f"{directory}/socket"
        try:
            # This process listens already, so that the first clients need not wait until the server is up.
            listener.bind(f"{directory}/bound")
        except OSError:
            os.rmdir(directory)
            return
        listener.listen()
        # A socket under this name always listens, unless its server was killed.
        os.rename(f"{directory}/bound", address)
        server = subprocess.Popen(
            [sys.executable, "-P", __file__, str(listener.fileno()), directory],
            stdin=subprocess.PIPE,
            pass_fds=[listener.fileno()],
            env={**os.environ, **THREADS},
            # Control-C in the terminal ends the clients, and their forks end with them.
            start_new_session=True,
        )
        assert server.stdin
        # The server ends when its standard input is closed, which also happens if this process is killed.
        atexit.register(server.stdin.close)
        os.environ[VARIABLE] = json.dumps([sys.executable, address])


def _delete_abandoned_sockets() -> None:
    """Delete the sockets of servers that were killed, which could not delete their own."""
    for address in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/socket"):
        with suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)
            if address.is_socket() and probe.connect_ex(str(address)) == errno.ECONNREFUSED:
                address.unlink()
                address.parent.rmdir()


def script_name() -> str:
    """Return the name of this process's script; Snakemake runs a copy named `tmp<random>.<name>.py`."""
    return Path(sys.argv[0]).stem.partition(".")[2]


def hand_over(script: str) -> None:
    """Let a fork of the server run this process's script, and exit as the fork does; return if there is no server.

    Args:
        script: Name of the script.
    """
    interpreter, address = json.loads(os.environ.pop(VARIABLE, "[null, null]"))
    same_threads = all(os.environ.get(name) == threads for name, threads in THREADS.items())
    if script not in PRELOAD or interpreter != sys.executable or not same_threads:
        return
    job = {
        "script": script,
        "file": sys.argv[0],
        "path": sys.path,
        "directory": os.getcwd(),
        "environment": dict(os.environ),
    }
    try:
        server = Client(address, "AF_UNIX")
        server.send_bytes(json.dumps(job).encode())
        process = int(server.recv_bytes())
    except (OSError, EOFError):
        return
    sys.exit(_status(server, process))


def _status(server: Any, process: int) -> int:
    """Give the standard streams to a fork, and return its exit status when it has ended."""
    sys.stdout.flush()
    sys.stderr.flush()
    status = None
    try:
        for stream in STREAMS:
            send_handle(server, stream, process)
        status = int(server.recv_bytes())
        # The fork has ended when it has closed the connection.
        server.recv_bytes()
    except (OSError, EOFError):
        pass
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    if status is None:
        print(LOST, file=sys.stderr)
        return 1
    return status


def serve(listener: socket.socket) -> None:
    """Fork for each client until standard input is closed; a fork runs its client's script and exits."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        client = Connection(listener.accept()[0].detach())
        # A client may be killed at any moment, and may ask for a script of another version.
        with suppress(OSError, EOFError, ValueError, LookupError, ImportError):
            job = json.loads(client.recv_bytes())
            for module in PRELOAD[job["script"]]:
                importlib.import_module(module)
            # Forks share memory with the server until something writes to it, as the garbage collector does.
            gc.freeze()
            if os.fork() == 0:
                # Otherwise clients could still connect after the server was killed, and would wait for this fork.
                listener.close()
                try:
                    _run(client, job)
                finally:
                    # Whatever happens, for example if the client is gone, a fork must not continue as a second server.
                    os._exit(1)
        client.close()


def _run(client: Any, job: dict[str, Any]) -> NoReturn:
    """Run the script of a client in this process as the client would, and exit."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    client.send_bytes(str(os.getpid()).encode())
    for stream in STREAMS:
        received = recv_handle(client)
        os.dup2(received, stream)
        os.close(received)
    threading.Thread(target=_die_with, args=[client], daemon=True).start()
    os.chdir(job["directory"])
    os.environ.clear()
    os.environ.update(job["environment"])
    sys.path[:] = job["path"]
    sys.argv[:] = [job["file"]]
    status = 0
    try:
        runpy.run_path(job["file"], run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            status = end.code or 0
        else:
            print(end.code, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    _finish()
    client.send_bytes(str(status).encode())
    os._exit(status)


def _finish() -> None:
    """Do what the interpreter does at its exit, except for the destruction of all modules, which takes a second."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    # The server froze its own objects, so these are the job's.
    for file in (sys.stdout, sys.stderr, *gc.get_objects()):
        with suppress(Exception):
            if isinstance(file, io.IOBase):
                file.flush()
    # Libraries in C have buffers of their own. The clients, which import this module, do not need ctypes.
    import ctypes

    ctypes.CDLL(None).fflush(None)


def _die_with(client: Any) -> None:
    """Kill this process when its client ends, however the client ends."""
    with suppress(OSError, EOFError):
        client.recv_bytes()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as inherited:
        serve(inherited)
    shutil.rmtree(sys.argv[2], ignore_errors=True)
