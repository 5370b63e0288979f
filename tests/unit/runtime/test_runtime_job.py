"""What surrounds a job, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

WORKFLOW = Path(__file__).resolve().parents[3] / "workflow"
JOB = """
import atexit, logging, sys
from types import SimpleNamespace
sys.path.insert(0, sys.argv[1])
sys.argv[0] = "tmp1234.claims_page.py"
from runtime import code_digest, job

code = code_digest.digest_of(code_digest.code_of("claims_page"))
with job.job(SimpleNamespace(log=["job.log"], params=PARAMETERS)) as verify_code:
    from eigendrift.errors import UserError
    WORK
"""
PARAMETERS = "type('P', (dict,), {'code': code})()"


def run(directory, work, parameters=PARAMETERS):
    code = JOB.replace("WORK", work).replace("PARAMETERS", parameters)
    ended = subprocess.run(
        [sys.executable, "-c", code, str(WORKFLOW)],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended, (directory / "job.log").read_text()


def test_a_job_logs_its_messages_and_how_long_it_worked(tmp_path):
    ended, log = run(tmp_path, "print('hello'); verify_code()")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert log.startswith("hello\n")
    assert "INFO Worked for" in log.splitlines()[-1]


def test_a_users_error_is_one_sentence_and_later_messages_are_lost(tmp_path):
    late = "atexit.register(lambda: logging.error('Task was destroyed but it is pending!'))"
    ended, log = run(tmp_path, f"{late}; raise UserError('Nothing of this is right.')")
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "")
    assert log.endswith("ERROR Nothing of this is right.\n")
    assert "Traceback" not in log


def test_a_bug_is_logged_with_a_traceback(tmp_path):
    ended, log = run(tmp_path, "1 / 0")
    assert ended.returncode == 1
    assert "The job failed, which is a bug in eigendrift:" in log
    assert log.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize("when", ["at the start", "before publishing"])
def test_a_job_whose_code_was_edited_fails_with_one_sentence(tmp_path, when):
    if when == "at the start":
        ended, log = run(tmp_path, "print('published')", "type('P', (dict,), {'code': 'other'})()")
    else:
        edit = "code_digest.digest_of = lambda *_: 'other'"
        ended, log = run(tmp_path, f"{edit}; verify_code(); print('published')")
    assert ended.returncode == 1
    assert "ERROR The code of this job (scripts/claims_page.py and what it imports) has changed since" in log
    assert "published" not in log
    assert "Traceback" not in log


def test_every_script_verifies_its_code_before_it_writes():
    scripts = list((WORKFLOW / "scripts").glob("*.py"))
    assert len(scripts) > 10
    for script in scripts:
        text = script.read_text()
        verified, *_, written = text.find("verify_code()"), text.find("\n    write_"), text.rfind("write_")
        assert 0 < verified < max(written, text.find("produce(")), script.name
