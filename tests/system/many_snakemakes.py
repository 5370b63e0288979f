"""Many runs of snakemake that cost one import of it."""

import json
import subprocess
import sys
from pathlib import Path

# Forks for each list of arguments, two at a time; what it says goes to a file, its exit status behind it.
DRIVER = """
import json, os, sys
from snakemake.cli import main

running = 0
for arguments, said in json.load(sys.stdin):
    if running == 2:
        os.wait()
        running -= 1
    if os.fork() == 0:
        out = os.open(said, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(out, 1)
        os.dup2(out, 2)
        code = 1
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code or 0
        finally:
            sys.stdout.flush()
            os.write(out, f"\\n{code}".encode())
            os._exit(0)
    running += 1
while running:
    os.wait()
    running -= 1
"""


def run_each(commands: list[list[str]], where: Path, said: Path) -> list[tuple[int, str]]:
    """Run snakemake with each list of arguments; return exit status and what it said.

    Args:
        commands: Arguments of each run.
        where: Working directory.
        said: Directory for what they say.
    """
    said.mkdir(exist_ok=True)
    files = [said / f"{number}.said" for number in range(len(commands))]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        cwd=where,
        input=json.dumps([(command, str(file)) for command, file in zip(commands, files, strict=True)]),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    outcomes = [file.read_text().rpartition("\n") for file in files]
    return [(int(status), text) for text, _, status in outcomes]
