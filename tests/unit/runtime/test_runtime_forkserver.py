"""Forks of a server run jobs exactly as processes of their own would."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from importlib.util import find_spec
from multiprocessing.connection import Client
from pathlib import Path

import psutil
import pytest

from runtime import forkserver

WORKFLOW = Path(__file__).resolve().parents[3] / "workflow"
# Starts a server, and ends when its standard input is closed.
PARENT = f"""
import sys
sys.path.insert(0, {str(WORKFLOW)!r})
import os
from runtime import forkserver
forkserver.start()
print(os.environ[forkserver.VARIABLE], flush=True)
sys.stdin.read()
"""
# A module that the server imports for this script.
MODULE = "zarr"
SCRIPT = "tmp1234.data.py"
JOB = f"""
import sys
sys.path.insert(0, {str(WORKFLOW)!r})
from runtime.forkserver import hand_over, script_name
hand_over(script_name())
import json, os
print(json.dumps({{
    "parent": os.getppid(),
    "process": os.getpid(),
    "there": {MODULE!r} in sys.modules,
    "argument": sys.argv[0],
    "directory": os.getcwd(),
    "variable": os.environ.get("ONLY_HERE"),
}}))
"""


@contextmanager
def serving():
    """A process that has started a server, and the variable by which jobs find the server."""
    process = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def shared():
    """A server for all tests that leave it at work."""
    with serving() as started:
        yield started


@pytest.fixture
def parent(shared):
    return shared[0]


def test_where_there_can_be_no_socket_there_is_no_server(tmp_path):
    """Its path would be too long."""
    place = tmp_path / ("x" * 100)
    place.mkdir()
    code = PARENT.replace("os.environ[forkserver.VARIABLE]", "os.environ.get(forkserver.VARIABLE)")
    process = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(place)},
        input="",
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout == "None\n"
    assert not list(place.iterdir())


def test_a_server_deletes_sockets_of_killed_servers_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    abandoned, used, full, file = (tmp_path / f"{forkserver.PREFIX}{name}" for name in ("dead", "used", "full", "file"))
    for directory in (abandoned, used, full, file):
        directory.mkdir()
    (file / "socket").write_text("mine")
    (full / "data").write_text("mine")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as other:
        listener.bind(f"{used}/socket")
        listener.listen(0)
        other.connect(f"{used}/socket")
        for directory in (abandoned, full):
            with socket.socket(socket.AF_UNIX) as killed:
                killed.bind(f"{directory}/socket")
        forkserver._delete_abandoned_sockets()
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()}
    assert left == {f"{used.name}/socket", f"{full.name}/data", f"{file.name}/socket"}
    assert not abandoned.exists()


@pytest.fixture
def variable(shared):
    return shared[1]


@pytest.fixture
def server(parent, variable):
    return psutil.Process(parent.pid).children()[0]


@pytest.fixture
def job(tmp_path, variable):
    """Run a job's script as Snakemake would, and return what became of it."""
    return lambda text=JOB, **keywords: finished(started(tmp_path, variable, text, **keywords))


def started(directory, variable, text, threads="1", python=sys.executable, **keywords):
    (directory / SCRIPT).write_text(text)
    one = {f"{name}_NUM_THREADS": threads for name in ("OMP", "OPENBLAS", "MKL", "GOTO", "NUMEXPR")}
    return subprocess.Popen(
        [python, SCRIPT],
        cwd=directory,
        env={**os.environ, **one, "EIGENDRIFT_FORK_SERVER": variable, "ONLY_HERE": "yes"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **keywords,
    )


def finished(process):
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def told(result):
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_a_job_is_a_fork_that_finds_its_imports_there(job, server, tmp_path):
    for _ in range(2):
        seen = told(job())
        assert seen["parent"] == server.pid
        assert seen["there"]
        assert seen["argument"] == SCRIPT
        assert seen["directory"] == str(tmp_path)
        assert seen["variable"] == "yes"


def test_scripts_without_a_preload_list_run_by_themselves(tmp_path, variable):
    (tmp_path / "tmp1234.other.py").write_text(JOB)
    environment = {**os.environ, **forkserver.THREADS, forkserver.VARIABLE: variable}
    command = [sys.executable, "tmp1234.other.py"]
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert told(result)["parent"] == os.getpid()


def test_what_the_server_imports_is_installed():
    for module in set().union(*forkserver.PRELOAD.values()):
        assert find_spec(module), module
    scripts = {path.stem for path in (WORKFLOW / "scripts").glob("*.py")}
    assert forkserver.PRELOAD.keys() <= scripts


def test_each_fork_is_a_process_of_its_own(job):
    assert len({told(job())["process"] for _ in range(4)}) == 4


@pytest.mark.parametrize(
    ("end", "code", "message"),
    [
        ("sys.exit(3)", 3, ""),
        ("sys.exit()", 0, ""),
        ("raise ValueError('because')", 1, "ValueError: because"),
        ("sys.stderr.write('a line\\n')", 0, "a line\n"),
        ("import subprocess; subprocess.run(['false'], check=True)", 1, "CalledProcessError"),
        ("sys.exit('a reason')", 1, "a reason"),
        ("import atexit; atexit.register(sys.stderr.write, 'at exit')", 0, "at exit"),
        ("import threading; threading.Timer(0.2, lambda: sys.stderr.write('thread')).start()", 0, "thread"),
        ("import atexit; atexit.register(os.kill, os.getpid(), 9)", 1, "ended without an exit status"),
        ("print(flush=True); sys.stdout.close()", 0, ""),
    ],
)
def test_a_fork_ends_as_its_job_ends(job, end, code, message):
    result = job(JOB + end)
    assert (result.returncode, message in result.stderr) == (code, True), result.stderr
    assert json.loads(result.stdout)["there"]


@pytest.mark.parametrize(
    "write",
    [
        "import atexit; atexit.register(print, 'written')",
        "import threading; threading.Timer(0.2, print, ['written']).start()",
        "import ctypes; ctypes.CDLL(None).puts(b'written')",
        "sys.notes = open('/dev/stdout', 'w'); sys.notes.write('written')",
    ],
    ids=["at exit", "thread", "C", "open file"],
)
def test_a_fork_writes_what_is_in_buffers(job, write):
    result = job(JOB + write)
    assert result.returncode == 0, result.stderr
    assert "written" in result.stdout


def test_code_of_the_project_is_never_remembered(job, tmp_path):
    text = JOB + "\nsys.path.insert(0, os.getcwd())\nimport module\nprint(module.VALUE)"
    values = []
    for value in (1, 2, 3):
        (tmp_path / "module.py").write_text(f"VALUE = {value}")
        # Python takes bytecode for current if the source has the same size and second.
        os.utime(tmp_path / "module.py", (value, value))
        values.append(job(text).stdout.splitlines()[-1])
    assert values == ["1", "2", "3"]


@pytest.mark.parametrize("other", [{"threads": "2"}, {"variable": json.dumps(["/other/python", "/none"])}])
def test_what_a_fork_cannot_stand_in_for_runs_by_itself(job, tmp_path, variable, other):
    result = finished(started(tmp_path, **{"variable": variable, "text": JOB, **other}))
    assert told(result)["parent"] == os.getpid()


WAITING = JOB + "\nimport time\nprint('', flush=True, file=sys.stderr)\ntime.sleep(600)"


@pytest.fixture
def waiting(job, server, tmp_path, variable):
    """A client whose fork is at work."""
    client = started(tmp_path, variable, WAITING)
    client.stderr.readline()
    yield client
    client.kill()
    client.communicate()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_fork_dies_with_its_client(waiting, server, how):
    (fork,) = server.children()
    waiting.send_signal(how)
    waiting.wait(timeout=20)
    assert waiting.returncode != 0
    # The server has no use for how its forks end, and no zombie is left.
    eventually(lambda: not fork.is_running())


def test_a_client_reports_that_its_fork_was_killed(waiting, server):
    server.children()[0].kill()
    _, message = waiting.communicate(timeout=20)
    assert waiting.returncode == 1
    assert "ended without an exit status" in message


def test_a_server_outlives_clients_that_say_nothing(job, variable):
    for said in (b"", b'{"script": "unfinished'):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(json.loads(variable)[1])
            connection.sendall(said)
    assert told(job())["there"]


def test_a_fork_whose_client_is_gone_ends_and_does_not_serve(job, server, variable):
    address = json.loads(variable)[1]
    request = {"script": "data", "file": "none", "path": [], "directory": "/", "environment": {}}
    with Client(address, "AF_UNIX") as client:
        client.send_bytes(json.dumps(request).encode())
        int(client.recv_bytes())
    eventually(lambda: not server.children())
    assert Path(address).exists()
    assert told(job())["there"]


class TestWithoutTheServer:
    @pytest.fixture
    def shared(self):
        """A server that the test may end."""
        with serving() as started:
            yield started

    def test_without_a_server_jobs_run_by_themselves(self, job, parent, server):
        parent.kill()
        parent.wait()
        server.wait(timeout=20)
        assert told(job())["parent"] == os.getpid()

    def test_a_server_ends_with_the_process_that_started_it_and_leaves_nothing(self, parent, server, variable):
        address = Path(json.loads(variable)[1])
        eventually(address.exists)
        parent.kill()
        eventually(lambda: not address.parent.exists())
        server.wait(timeout=20)

    def test_after_the_server_was_killed_no_client_waits_for_a_fork(self, waiting, job, server):
        server.kill()
        eventually(lambda: server.status() == psutil.STATUS_ZOMBIE)
        assert told(job())["parent"] == os.getpid()
