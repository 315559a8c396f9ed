"""GPUs are found without a numerical library and shared out among workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from slurm import gpus
from slurm.executor import Job
from slurm.processes import LocalProcesses


def test_what_the_variable_lists_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("0000:01:00.0", "0000:02:00.0", "0000:03:00.0"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(gpus, "DRIVER", tmp_path)
    monkeypatch.delenv(gpus.VARIABLE, raising=False)
    assert gpus.visible() == ("0", "1", "2")
    monkeypatch.setenv(gpus.VARIABLE, "2, GPU-5a")
    assert gpus.visible() == ("2", "GPU-5a")
    monkeypatch.setenv(gpus.VARIABLE, "")
    assert gpus.visible() == ()
    monkeypatch.delenv(gpus.VARIABLE)
    monkeypatch.setattr(gpus, "DRIVER", tmp_path / "none")
    assert gpus.visible() == ()


def test_the_least_used_one_is_next() -> None:
    assert gpus.least_used(("4", "7"), []) == "4"
    assert gpus.least_used(("4", "7"), ["4"]) == "7"
    assert gpus.least_used(("4", "7"), ["4", "7", "7"]) == "4"
    assert gpus.least_used(("4",), []) is None  # nothing to choose: the worker sees what its parent sees
    assert gpus.least_used((), []) is None


def test_each_worker_sees_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpus.VARIABLE, "3,5")
    jobs = [
        Job(
            str(index), "", "tests.slurm.jobs:meet_and_tell", {"folder": str(tmp_path), "name": str(index), "others": 2}
        )
        for index in range(2)
    ]
    assert all(outcome.ok for outcome in LocalProcesses(2, 1).run(jobs))
    assert sorted(path.read_text() for path in tmp_path.glob("*.gpu")) == ["3", "5"]
