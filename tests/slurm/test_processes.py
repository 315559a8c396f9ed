"""What worker processes promise beyond the contract: they may die, and they never outlive the run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slurm import worker
from slurm.executor import Job, Outcome
from slurm.processes import LocalProcesses
from tests.slurm.test_executor_contract import job, outcomes

ROOT = Path(__file__).resolve().parents[2]


def until(condition: Callable[[], bool], what: str) -> None:
    """Poll; fail naming ``what`` if ``condition`` does not come true."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended. An orphan may stay a zombie until process 1 gets round to it."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] == "Z"


def process_ids(folder: Path) -> list[int]:
    return [int(text) for path in folder.iterdir() if path.suffix != ".log" and (text := path.read_text())]


@pytest.mark.parametrize(
    ("function", "payload", "reason"),
    [
        ("die", {"signal": 9}, "the worker process was killed by signal SIGKILL (out of memory?)"),
        ("die", {"signal": 11}, "the worker process was killed by signal SIGSEGV"),
        ("die", {"signal": 40}, "the worker process was killed by signal 40"),
        ("leave", {}, "the worker process exited with code 3 before the job ended"),
        ("exit_politely", {}, "the worker process exited with code 4 before the job ended"),
    ],
)
def test_a_dead_worker_costs_one_job(tmp_path: Path, function: str, payload: dict[str, Any], reason: str) -> None:
    good = [job(name, folder=str(tmp_path)) for name in ("a", "b", "c")]
    bad = job("bad", function, **payload)
    ended = outcomes(LocalProcesses(1, 1), [good[0], bad, *good[1:], job("next", needs=("bad",))])
    assert ended["bad"].reason == reason
    assert ended["next"].reason == f"needs job bad, which failed: {reason}"
    assert all(ended[name].ok for name in ("a", "b", "c"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_a_dead_worker_is_seen_although_its_child_holds_the_pipe(tmp_path: Path) -> None:
    ended = outcomes(LocalProcesses(1, 1), [job("bad", "die_beside_a_child", folder=str(tmp_path))])
    child = int((tmp_path / "bad").read_text())
    assert not gone(child)
    os.kill(child, signal.SIGKILL)
    assert "SIGKILL" in ended["bad"].reason


def test_a_terminals_interrupt_is_for_the_parent_to_judge() -> None:
    assert outcomes(LocalProcesses(1, 1), [job("a", "be_interrupted")])["a"].ok


def test_a_worker_killed_from_outside(tmp_path: Path) -> None:
    folder = str(tmp_path)
    victim = job("victim", "wait_for", folder=folder, until="never")
    other = job("other", "wait_for", folder=folder, until="killed")

    def kill() -> None:
        until(lambda: len(process_ids(tmp_path)) == 2, "both jobs running")
        os.kill(int((tmp_path / "victim").read_text()), signal.SIGKILL)
        (tmp_path / "killed").touch()

    killer = threading.Thread(target=kill)
    killer.start()
    ended = outcomes(LocalProcesses(2, 1), [victim, other, job("after", folder=folder)])
    killer.join()
    assert not ended["victim"].ok
    assert ended["other"].ok
    assert ended["after"].ok


def test_a_worker_that_died_between_jobs_is_replaced(tmp_path: Path) -> None:
    folder = str(tmp_path)
    ends = []
    for outcome in LocalProcesses(1, 1).run([job("a", folder=folder), job("b", folder=folder)]):
        pid = int((tmp_path / outcome.job.id).read_text().split()[0])
        if outcome.job.id == "a":
            os.kill(pid, signal.SIGKILL)  # it is idle now: the next job starts after this body
            until(lambda: not multiprocessing.active_children(), "the end of the idle worker")
        ends.append((outcome.job.id, outcome.ok))
    assert ends == [("a", True), ("b", True)]


def test_two_workers_share_many_jobs(tmp_path: Path) -> None:
    folder = str(tmp_path)
    # Each of the first two waits for the other: they run side by side or not at all.
    pair = [job("p", "wait_for", folder=folder, until="q"), job("q", "wait_for", folder=folder, until="p")]
    ended = outcomes(LocalProcesses(2, 1), [*pair, *(job(f"n{number}", folder=folder) for number in range(60))])
    assert all(outcome.ok for outcome in ended.values())
    lines = [path.read_text().splitlines() for path in tmp_path.iterdir() if path.name.startswith("n")]
    assert [len(text) for text in lines] == [1] * 60
    workers = {int((tmp_path / name).read_text()) for name in "pq"}
    assert len(workers) == 2
    assert {int(text[0].split()[0]) for text in lines} <= workers  # persistent: no third process
    assert all(gone(pid) for pid in workers)


def test_a_job_has_as_many_threads_whatever_else_runs(tmp_path: Path) -> None:
    def alone(name: str, needs: tuple[str, ...] = ()) -> Job:
        return Job(name, name, "tests.slurm.jobs:note", {"name": name, "folder": str(tmp_path)}, needs, alone=True)

    folder = str(tmp_path)
    before = dict(os.environ)
    jobs = [
        alone("stage"),
        alone("crowded", needs=("stage",)),
        job("cell", needs=("stage",), folder=folder),
        alone("last", needs=("crowded", "cell")),
        job("env", "environment", needs=("last",), folder=folder),
    ]
    assert all(outcome.ok for outcome in outcomes(LocalProcesses(2, 3, all_threads=7), jobs).values())
    threads = {name: (tmp_path / name).read_text().split()[1] for name in ("stage", "crowded", "cell", "last")}
    assert threads == {"stage": "7", "crowded": "7", "cell": "3", "last": "7"}
    assert (tmp_path / "env").read_text() == "7 7 False"  # numerical libraries take no more either
    assert dict(os.environ) == before


def test_nothing_runs_beside_a_job_that_is_alone(tmp_path: Path) -> None:
    payload = {"folder": str(tmp_path), "name": "x"}
    jobs = [
        Job(name, name, "tests.slurm.jobs:note", payload, alone=name in ("first", "second"))
        for name in ("a", "first", "b", "second", "c", "d")
    ]
    events: list[tuple[str, str]] = []
    for outcome in LocalProcesses(3, 1).run(jobs, started=lambda job: events.append(("start", job.id))):
        events.append(("end", outcome.job.id))
    running: set[str] = set()
    for what, name in events:
        running ^= {name}
        if what == "start" and running & {"first", "second"}:
            assert len(running) == 1
    assert len(events) == 2 * len(jobs)
    assert events[:3] == [("start", "a"), ("end", "a"), ("start", "first")]


def test_what_a_job_prints_is_in_its_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    logs = tmp_path / "run" / "logs"
    jobs = [job("a", "speak"), job("b", "fail"), job("c", "leave")]
    ended = outcomes(LocalProcesses(1, 1, logs), jobs)
    assert (logs / "a.log").read_text().splitlines() == ["from python", "from a child"]
    assert ended["c"].traceback == "one last word"
    assert "Traceback" in ended["b"].traceback
    outcomes(LocalProcesses(1, 1, logs), jobs[:1])
    assert len((logs / "a.log").read_text().splitlines()) == 2  # the last run's alone
    assert capfd.readouterr() == ("", "")


def test_the_tail_of_a_long_log(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert worker.tail(path).splitlines() == [f"line {number}" for number in range(99_980, 100_000)]


def test_leaving_early_ends_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "GRACE_SECONDS", 0.5)
    folder = str(tmp_path)
    stubborn = job("stubborn", "ignore_ending", folder=folder, until="never")
    trigger = job("trigger", "wait_for", folder=folder, until="stubborn")
    for outcome in LocalProcesses(2, 1).run([stubborn, trigger]):
        assert outcome.job.id == "trigger"
        break
    assert len(process_ids(tmp_path)) == 2
    assert all(gone(pid) for pid in process_ids(tmp_path))


PARENT = """
import signal, sys
from slurm.executor import Job, Outcome
from slurm.processes import LocalProcesses
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup ignores it
payloads = [{"folder": sys.argv[1], "name": name, "until": "never"} for name in "ab"]
jobs = [Job(payload["name"], "x", "tests.slurm.jobs:wait_for", payload) for payload in payloads]
for outcome in LocalProcesses(2, 1).run(jobs):
    print(outcome)
"""


WAYS = {
    "kill": lambda parent: parent.kill(),
    "terminate": lambda parent: parent.terminate(),
    "Ctrl-C": lambda parent: os.killpg(parent.pid, signal.SIGINT),  # as a terminal does: to every process of the group
    "hang up": lambda parent: os.killpg(parent.pid, signal.SIGHUP),  # the terminal was closed
}


@pytest.mark.parametrize("way", WAYS)
def test_jobs_save_their_state_however_the_run_ends(tmp_path: Path, way: str) -> None:
    script = PARENT.replace("wait_for", "save_when_asked")
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        until(lambda: len(process_ids(tmp_path)) == 2, "both jobs running")
        WAYS[way](parent)
        until(lambda: all((tmp_path / f"{name}.saved").exists() for name in "ab"), "both saved")
        parent.communicate(timeout=30)
    finally:
        parent.kill()
        parent.wait()
    until(lambda: all(gone(int((tmp_path / name).read_text())) for name in "ab"), "the end of the workers")


def test_nohup_lets_a_run_go_on(tmp_path: Path) -> None:
    script = PARENT.replace("signal.SIGHUP, signal.SIG_DFL", "signal.SIGHUP, signal.SIG_IGN").replace("never", "go")
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        until(lambda: len(process_ids(tmp_path)) == 2, "both jobs running")
        os.killpg(parent.pid, signal.SIGHUP)
        (tmp_path / "go").touch()
        out = parent.communicate(timeout=30)[0]
    finally:
        parent.kill()
        parent.wait()
    assert parent.returncode == 0
    assert out.count("ok=True") == 2


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM])
def test_a_scheduler_that_signals_the_workers_interrupts_the_run(tmp_path: Path, number: int) -> None:
    folder = str(tmp_path)
    jobs = [job("a", "signal_itself", folder=folder, signal=number), job("b", folder=folder)]
    with pytest.raises(KeyboardInterrupt):
        list(LocalProcesses(1, 1).run(jobs))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "a.saved"]  # b never started


def test_a_worker_signalled_before_it_listens_starts_nothing(tmp_path: Path) -> None:
    one = worker.Worker(1, None)
    try:
        assert one.process.pid is not None
        for number in (signal.SIGUSR2, signal.SIGTERM):
            os.kill(one.process.pid, number)
        one.start(job("a", folder=str(tmp_path)), 1)
        ended: list[Outcome] = []
        until(lambda: bool((found := one.look()) and ended.append(found) is None), "an outcome")
    finally:
        worker.end([one])
    assert ended[0].interrupted
    assert not ended[0].ok
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", [*WAYS, "crash"])
def test_workers_do_not_outlive_the_parent(tmp_path: Path, way: str) -> None:
    script = PARENT
    if way == "crash":  # with the iteration still held, by the traceback if by nothing else
        script = PARENT.replace("for outcome in", "outcomes =").replace(":\n    print(outcome)", "")
        script = script.replace("jobs = ", "payloads[0]['until'] = 'b'\njobs = ") + "print(next(outcomes)); 1 / 0\n"
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        until(lambda: len(process_ids(tmp_path)) == 2, "both jobs running")
        workers = process_ids(tmp_path)
        if way in WAYS:
            WAYS[way](parent)
        out, err = parent.communicate(timeout=30)
    finally:
        parent.kill()
        parent.wait()
    assert (out == "") == (way != "crash")
    if way == "crash":
        assert "ZeroDivisionError" in err
    if way in ("Ctrl-C", "terminate", "hang up"):
        assert err.count("KeyboardInterrupt") == 1  # the parent's own, and nothing from the workers
    if way != "kill":
        assert all(gone(pid) for pid in workers)  # ended, and waited for
    until(lambda: all(gone(pid) for pid in workers), "the end of the workers")


def test_nothing_here_imports_torch() -> None:
    modules = "slurm.executor, slurm.schedule, slurm.inline, slurm.processes, slurm.worker, bench.progress"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
