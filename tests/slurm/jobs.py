"""Functions that the executors' tests run, in this process or in a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.errors import RequestError
from slurm.executor import allowed_threads


def note(payload: dict[str, Any]) -> None:
    """Append one line to the file of this name; ``also`` names files that must be there already."""
    for earlier in payload.get("also", []):
        assert Path(payload["folder"], earlier).is_file()
    with Path(payload["folder"], payload["name"]).open("a") as file:
        file.write(f"{os.getpid()} {allowed_threads()} {type(payload).__name__} {payload.get('values')}\n")
    payload.clear()


def fail(payload: dict[str, Any]) -> None:
    raise ValueError("two\n  lines")


def refuse(payload: dict[str, Any]) -> None:
    raise RequestError("lr: expected a number, got 'x'")


def leave(payload: dict[str, Any]) -> None:
    print("one last word")
    os._exit(3)


def exit_politely(payload: dict[str, Any]) -> None:
    sys.exit(4)


def die(payload: dict[str, Any]) -> None:
    os.kill(os.getpid(), payload["signal"])
    time.sleep(60)


def die_beside_a_child(payload: dict[str, Any]) -> None:
    """Die while a forked child still holds this process's pipe open."""
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    Path(payload["folder"], payload["name"]).write_text(str(child))
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for(payload: dict[str, Any]) -> None:
    """Say that it runs, then end once the file ``until`` is there."""
    Path(payload["folder"], payload["name"]).write_text(str(os.getpid()))
    deadline = time.monotonic() + 60
    while not Path(payload["folder"], payload["until"]).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def be_interrupted(payload: dict[str, Any]) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.1)


def speak(payload: dict[str, Any]) -> None:
    print("from python")
    subprocess.run([sys.executable, "-c", "import sys; print('from a child', file=sys.stderr)"], check=True)


def ignore_ending(payload: dict[str, Any]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    wait_for(payload)


def environment(payload: dict[str, Any]) -> None:
    Path(payload["folder"], payload["name"]).write_text(
        f"{os.environ['OMP_NUM_THREADS']} {os.environ['MKL_NUM_THREADS']} {'torch' in sys.modules}"
    )
