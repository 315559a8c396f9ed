"""Checkpoints in mid-stage: the same bits after any interruption, a fresh start from a damaged file."""

from __future__ import annotations

import errno
import resource
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bench.checkpoint import CheckpointedRun
from bench.errors import RequestError
from methods.stage import Stateful
from slurm import interruption

STEPS = 7


@pytest.fixture(autouse=True)
def after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", "0")


def fresh() -> tuple[nn.Linear, torch.optim.Optimizer, dict[str, Stateful]]:
    model = nn.Linear(50, 50)
    nn.init.constant_(model.weight, 0.1)
    nn.init.zeros_(model.bias)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1)
    return model, optimiser, {"model": model, "optimiser": optimiser}


def train(
    path: Path, stop_before: int | None = None, taken: list[int] | None = None, ask_at: int | None = None
) -> tuple[torch.Tensor, list[int], CheckpointedRun]:
    model, optimiser, parts = fresh()
    run, taken = CheckpointedRun(path, lambda *_: None), [] if taken is None else taken
    for step in run.steps(STEPS, parts, examples=10):
        if step == stop_before:
            break
        taken.append(step)
        if step == ask_at:
            interruption.request()
        inputs = nn.functional.dropout(torch.full((1, 50), step + 1.0), 0.5)
        loss = (model(inputs) - 1).square().sum()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return model.weight.detach().clone(), taken, run


@pytest.mark.parametrize("stop", [0, 1, 4, STEPS - 1, STEPS])
def test_the_same_bits_wherever_it_stopped(tmp_path: Path, stop: int) -> None:
    whole, taken, run = train(tmp_path / "whole")
    assert taken == list(range(STEPS))
    assert train(tmp_path / "cut", stop_before=stop)[1] == list(range(stop))
    weight, rest, again = train(tmp_path / "cut")
    assert rest == list(range(stop, STEPS))
    assert torch.equal(weight, whole)
    assert again.examples == run.examples == 10 * STEPS


def test_time_counts_over_all_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("bench.checkpoint.time.perf_counter", lambda: now[0])

    def attempt(steps: Iterator[int], count: int) -> None:
        for step in steps:
            if count == 0:
                break
            now[0] += 10.0 + step
            count -= 1

    first = CheckpointedRun(tmp_path / "a", lambda *_: None)
    attempt(first.steps(STEPS, fresh()[2], 1), 3)
    now[0] += 1000.0  # between the attempts
    second = CheckpointedRun(tmp_path / "a", lambda *_: None)
    attempt(second.steps(STEPS, fresh()[2], 1), STEPS)
    assert second.facts() == {"seconds": sum(10.0 + step for step in range(STEPS)), "examples": STEPS}


def test_progress_goes_on_where_it_stopped(tmp_path: Path) -> None:
    train(tmp_path / "a", stop_before=5)
    seen: list[tuple[int, int]] = []
    for _ in CheckpointedRun(tmp_path / "a", lambda *now: seen.append(now)).steps(STEPS, fresh()[2], 1):
        pass
    assert seen == [(6, STEPS), (7, STEPS)]


def test_the_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", "1000")
    _, _, run = train(tmp_path / "a")
    assert not (tmp_path / "a").exists()
    run.discard()  # nothing to delete is no error
    for text in ("soon", "", "nan", "-1"):
        monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", text)
        with pytest.raises(RequestError, match=f"BENCH_CHECKPOINT_SECONDS: expected seconds, got '{text}'"):
            CheckpointedRun(tmp_path / "a", lambda *_: None)


def test_asked_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(tmp_path / "whole")[0]
    monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", "100000")
    monkeypatch.setattr(interruption, "_requested", threading.Event())
    taken: list[int] = []
    with pytest.raises(interruption.Interrupted):
        train(tmp_path / "a", taken=taken, ask_at=3)
    assert taken == [0, 1, 2, 3]
    saved = (tmp_path / "a").read_bytes()
    with pytest.raises(interruption.Interrupted):  # asked while its data was loaded: not one step more
        train(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == saved
    monkeypatch.setattr(interruption, "_requested", threading.Event())
    weight, rest, _ = train(tmp_path / "a")
    assert rest == [4, 5, 6]
    assert torch.equal(weight, whole)


def _cut(content: bytearray) -> bytearray:
    return content[: len(content) // 2]


def _flip(content: bytearray) -> bytearray:
    content[len(content) // 2] ^= 1  # inside a tensor: torch itself would load it
    return content


def _empty(content: bytearray) -> bytearray:
    return content[:0]


@pytest.mark.parametrize("damage", [_cut, _flip, _empty])
def test_a_damaged_checkpoint_restarts_the_stage(
    tmp_path: Path, damage: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.checkpoint"
    train(path, stop_before=4)
    path.write_bytes(damage(bytearray(path.read_bytes())))
    weight, taken, run = train(path)
    assert taken == list(range(STEPS))
    assert run.examples == 10 * STEPS
    assert torch.equal(weight, train(tmp_path / "whole")[0])
    assert f"{path} is damaged" in capsys.readouterr().err


def _without_part(content: dict[str, Any]) -> None:
    del content["parts"]["optimiser"]


def _without_step(content: dict[str, Any]) -> None:
    del content["step"]


def _other_sizes(content: dict[str, Any]) -> None:
    content["parts"]["optimiser"]["param_groups"] = []


def _no_state(content: dict[str, Any]) -> None:
    content["parts"]["optimiser"] = 3


@pytest.mark.parametrize("change", [_without_part, _without_step, _other_sizes, _no_state])
def test_a_sound_archive_of_other_content_restarts_the_stage(
    tmp_path: Path, change: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model is read before the optimiser is found to be unusable: it starts as it was, not where it stopped."""
    path = tmp_path / "a.checkpoint"
    train(path, stop_before=4)
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    weight, taken, run = train(path)
    assert taken == list(range(STEPS))
    assert run.examples == 10 * STEPS
    assert torch.equal(weight, train(tmp_path / "whole")[0])
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"warning: the stage starts again: {path} is damaged (")


def test_memory_that_runs_out_says_nothing_of_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    train(tmp_path / "a", stop_before=4)
    with monkeypatch.context() as during:
        during.setattr(torch.optim.AdamW, "load_state_dict", full)
        with pytest.raises(torch.OutOfMemoryError):
            train(tmp_path / "a")
    assert train(tmp_path / "a")[1] == [4, 5, 6]


def test_a_full_disk_says_so_and_keeps_the_last_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "a.checkpoint"
    train(path, stop_before=3)
    before = path.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    # The system refuses to write more than this to any file: as a full disk, for real.
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limit[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            train(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.EFBIG
    assert caught.value.filename == str(path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert path.read_bytes() == before
    assert train(path)[1] == list(range(3, STEPS))
