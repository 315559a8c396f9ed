"""A cell and a shared stage keep the number of threads with which they began, since their last bits depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import work
from methods.stages.finetune import FineTune
from methods.stages.start import FromScratch
from slurm.executor import Outcome
from slurm.inline import InProcess
from tests.bench import short

BROKEN: set[str] = set()  # stages that fail


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """The threads that each stage has, on a machine of four cores."""
    before, found = torch.get_num_threads(), list[tuple[str, int]]()
    monkeypatch.setattr(work, "cores", lambda: 4)
    for stage in (FromScratch, FineTune):

        def noted(self: Any, *arguments: Any, real: Any = stage.run) -> Any:
            found.append((self.name, torch.get_num_threads()))
            if self.name in BROKEN:
                raise OSError("the machine went away")
            return real(self, *arguments)

        monkeypatch.setattr(stage, "run", noted)
    yield found
    BROKEN.clear()
    torch.set_num_threads(before)


def run(out: Path, threads: int) -> list[Outcome]:
    return list(InProcess(threads).run(short.jobs(out, "finetune", assignments=("start.optimiser.lr=0.0231",))))


def test_they_stay_as_they_began(tmp_path: Path, bench_home: Path, seen: list[tuple[str, int]]) -> None:
    BROKEN.add("start")
    assert not run(tmp_path, 2)[0].ok
    BROKEN.clear()
    BROKEN.add("finetune")
    assert not run(tmp_path, 4)[-1].ok
    BROKEN.clear()
    assert [one.ok for one in run(tmp_path, 1)] == [True]
    assert seen == [("start", 2), ("start", 2), ("finetune", 4), ("finetune", 4)]
    assert not list((tmp_path / "checkpoints").iterdir())
    assert not list((bench_home / "artifacts").glob("start-*.threads"))


@pytest.mark.parametrize("content", ['{"threads": 9}', '{"threads": 0}', "{", "[]"])
def test_a_number_that_is_no_use_here(
    tmp_path: Path, seen: list[tuple[str, int]], capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "checkpoints").mkdir()
    built = short.built("finetune")
    (tmp_path / "checkpoints" / f"{built.cell.identity}.threads").write_text(content)
    assert short.run(tmp_path, "finetune")[-1].ok
    assert seen[-1] == ("finetune", 1)
    assert ("warning: begun with 9 threads, goes on with 1" in capsys.readouterr().err) == ("9" in content)
