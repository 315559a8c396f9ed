"""A cell that is asked to stop in mid-stage: no failure, one step at most is lost, and the same bits in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bench import work
from bench.records import Record, scan
from slurm import interruption
from slurm.executor import Job, attempt
from slurm.inline import InProcess
from tests.bench import short
from tests.conftest import ROOT
from tests.slurm.test_processes import until


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process be a job's own, and forget afterwards what it was asked."""
    monkeypatch.setattr(interruption, "_requested", threading.Event())
    before = {number: signal.getsignal(number) for number in interruption.SIGNALS}
    interruption.listen()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def reference(bench_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """What an undisturbed cell of tapweight ends with."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert short.run(out, "tapweight")[0].ok
    return scan(out).records[0]


def alike(out: Path, reference: Record) -> None:
    (found,) = scan(out).records
    assert found.identity == reference.identity
    assert found.scores == reference.scores
    assert found.trajectory == reference.trajectory
    assert found.learning_curve == reference.learning_curve
    assert not scan(out).failures
    assert list((out / "checkpoints").iterdir()) == []


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_is_a_request(listening: None, number: int) -> None:
    assert not interruption.requested()
    os.kill(os.getpid(), number)
    assert interruption.requested()


def test_a_signal_that_is_held_back_comes_with_listening(listening: None) -> None:
    with interruption.held_back():
        for number in interruption.SIGNALS:  # to this thread: one to the process could go to another
            signal.pthread_kill(threading.get_ident(), number)
        assert not interruption.requested()
        interruption.listen()
        assert interruption.requested()
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(interruption.SIGNALS)


def stop(payload: object) -> None:
    raise interruption.Interrupted


def test_an_attempt_that_was_interrupted_has_not_failed(listening: None) -> None:
    job = Job("a", "a", f"{__name__}:stop", {})
    outcome = attempt(job, 1)
    assert (outcome.ok, outcome.interrupted, outcome.died, outcome.traceback) == (False, True, False, "")
    with pytest.raises(KeyboardInterrupt):
        list(InProcess(1).run([job]))
    interruption.request()
    assert attempt(Job("b", "b", "no.such:function", {}), 1).interrupted  # nothing was started


# Steps of the stage when the signal comes; the shortened stages have 3 (start), 4 and at least 4.
@pytest.mark.parametrize(("stage", "at"), [("start", 1), ("tri-level", 2), ("tri-level", 4), ("finetune", 3)])
def test_a_cell_goes_on_where_it_was_interrupted(
    tmp_path: Path, reference: Record, listening: None, monkeypatch: pytest.MonkeyPatch, stage: str, at: int
) -> None:
    monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", "100000")
    if stage == "start":  # not trained yet
        home = tmp_path / "home"
        home.mkdir()
        for prepared in Path(os.environ["BENCH_HOME"]).iterdir():
            if prepared.name != "artifacts":
                (home / prepared.name).symlink_to(prepared)
        monkeypatch.setenv("BENCH_HOME", str(home))
    out, seen, pending = tmp_path / "out", list[tuple[str, int]](), {True}

    def reporter(path: Path, what: str) -> Callable[[int, int], None]:
        name = what.removesuffix(" (shared)").rpartition(", ")[2]

        def report(step: int, total: int) -> None:
            seen.append((name, step))
            if (name, step) == (stage, at) and pending:
                pending.clear()
                os.kill(os.getpid(), signal.SIGUSR2)

        return report

    monkeypatch.setattr(work, "_reporter", reporter)
    with pytest.raises(KeyboardInterrupt):
        short.run(out, "tapweight")
    assert seen[-1] == (stage, at)
    assert not scan(out).failures
    assert not scan(out).records
    monkeypatch.setattr(interruption, "_requested", threading.Event())  # as in another process
    (outcome,) = short.run(out, "tapweight")
    assert outcome.ok, outcome.traceback
    assert len(set(seen)) == len(seen)  # no step was taken twice
    alike(out, reference)


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [1, 2])
def test_a_local_run_that_is_ended_saves_its_cells(tmp_path: Path, reference: Record, at_once: int) -> None:
    out = tmp_path / "out"
    long = [item.replace("finetune.epochs=2", "finetune.epochs=400") for item in short.ASSIGNMENTS]
    command = [sys.executable, "-m", "bench", "run", "--methods", "tapweight", "--tasks", "demo:rings"]
    command += ["--protocol", "smoke", "--device", "cpu", "--out", str(out), "--seeds", "0-1", "--jobs", str(at_once)]
    command += [word for item in long for word in ("--set", item)]
    environment = os.environ | {"BENCH_CHECKPOINT_SECONDS": "100000"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stderr=subprocess.PIPE)

    def all_tune() -> bool:
        assert process.poll() is None, process.communicate()
        return sum("finetune" in path.read_text() for path in out.glob("progress/*.json")) == at_once

    try:
        until(all_tune, "the cells in fine-tuning")
        process.terminate()
        err = process.communicate(timeout=30)[1]
    finally:
        process.kill()
    assert process.returncode == 130
    assert "error: interrupted; the same command goes on from the last checkpoints" in err
    assert "Traceback" not in err
    assert len(list((out / "checkpoints").glob("*-finetune.checkpoint"))) == at_once
    assert not scan(out).failures
