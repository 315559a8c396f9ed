"""Jobs in the process of the command line: the first signal lets one save its state, the second ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.slurm.test_processes import gone, until

SCRIPT = """
import signal, sys
from slurm.executor import Job
from slurm.inline import InProcess
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
payload = {"folder": sys.argv[1], "name": "a"}
list(InProcess(1).run([Job(name, "x", f"tests.slurm.jobs:{sys.argv[2]}", payload) for name in "ab"]))
"""


def start(folder: Path, function: str) -> subprocess.Popen[str]:
    """Start the first of two jobs, and wait until it runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), function], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    until(lambda: (folder / "a").exists() or process.poll() is not None, "the job running")
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_lets_the_job_save(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, "save_when_asked")
    process.send_signal(number)
    err = process.communicate(timeout=30)[1]
    assert (tmp_path / "a.saved").read_text() == str(process.pid)
    assert err.startswith("interrupted: saving after this step; once more ends it at once\n")
    assert err.splitlines()[-1] == "KeyboardInterrupt"
    assert process.returncode != 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_a_job_that_does_not_listen(tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path, "ignore_asking")
    assert process.stderr
    os.kill(process.pid, signal.SIGHUP)  # as a terminal may that is closed: of it several count as one
    assert process.stderr.readline().startswith("interrupted: ")
    os.kill(process.pid, signal.SIGHUP)
    assert not gone(process.pid)
    os.kill(process.pid, number)
    assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]


def test_the_handlers_are_those_before_when_it_is_over() -> None:
    from slurm.inline import InProcess

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    list(InProcess(1).run([]))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
