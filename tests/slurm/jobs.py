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
from slurm.interruption import Interrupted, requested


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
    """Say that it runs, then end once the file ``until`` is there; stop if asked to."""
    Path(payload["folder"], payload["name"]).write_text(str(os.getpid()))
    deadline = time.monotonic() + 60
    while not Path(payload["folder"], payload["until"]).exists():
        if requested():
            raise Interrupted
        assert time.monotonic() < deadline
        time.sleep(0.02)


def meet_and_tell(payload: dict[str, Any]) -> None:
    """Note the GPU that this process sees, then wait until as many others have: so each has a process of its own."""
    folder = Path(payload["folder"])
    (folder / f"{payload['name']}.gpu").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*.gpu"))) < payload["others"]:
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


def save_when_asked(payload: dict[str, Any]) -> None:
    """Run until asked to stop, then take a moment to save."""
    Path(payload["folder"], payload["name"]).write_text(str(os.getpid()))
    while not requested():
        time.sleep(0.02)
    time.sleep(0.3)
    Path(payload["folder"], payload["name"] + ".saved").write_text(str(os.getpid()))
    raise Interrupted


def stop_once(payload: dict[str, Any]) -> None:
    """At first, run until asked to stop; after that, end at once."""
    begun = Path(payload["folder"], payload["name"])
    if not begun.exists():
        begun.write_text(f"{os.getpid()} {os.getppid()}")
        while not requested():
            time.sleep(0.02)
        raise Interrupted
    begun.with_suffix(".ended").write_text(f"{payload['deaths']}\n")


def ignore_asking(payload: dict[str, Any]) -> None:
    Path(payload["folder"], payload["name"]).write_text(str(os.getpid()))
    time.sleep(60)


def signal_itself(payload: dict[str, Any]) -> None:
    """As a scheduler does that signals all processes of a job."""
    os.kill(os.getpid(), payload["signal"])
    save_when_asked(payload)


def die_at_first(payload: dict[str, Any]) -> None:
    """Note each attempt with what it is told of the ones before; die in the first ``times`` of them."""
    with Path(payload["folder"], payload["name"]).open("a") as file:
        file.write(f"{payload['deaths']}\n")
    print(f"attempt after {payload['deaths']} deaths", flush=True)
    if payload["deaths"] < payload["times"]:
        os.kill(os.getpid(), signal.SIGKILL)


def noted(payload: dict[str, Any], reason: str, output: str) -> None:
    """The ``on_failure`` of a job."""
    text = "\n".join([reason, output, str("torch" in sys.modules)])
    Path(payload["folder"], payload["name"] + ".failed").write_text(text)


def environment(payload: dict[str, Any]) -> None:
    Path(payload["folder"], payload["name"]).write_text(
        f"{os.environ['OMP_NUM_THREADS']} {os.environ['MKL_NUM_THREADS']} {'torch' in sys.modules}"
    )
