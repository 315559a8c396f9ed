"""A sweep of cells that meet faults on a cluster, and the same cells undisturbed on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench.records import Record, scan
from slurm import site
from slurm.claims import holders
from slurm.submission import Submission
from tests.bench.commandline import Result, bench, distribution
from tests.slurm import held

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 240.0  # on a busy machine
STEPS = 12
REQUEST = [
    "--methods", "held", "--tasks", "analytic:isotropic", "--protocol", "smoke",
    "--set", "start.steps=2", "--set", f"continued.steps={STEPS}", "--set", "finetune.epochs=1",
]  # fmt: skip
METHOD = """
from methods.method import method
from methods.settings import TriLevelSettings

options = {"section": "tapweight", "options": TriLevelSettings, "learns": True}

@method("held", title="TapWeight with faults", paper="none", published=(), cost="1", **options)
def held(settings):
    from tests.slurm.held import stages

    return stages(settings)
"""


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something, but not for ever."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


@dataclass(frozen=True)
class Sweep:
    """Cells of :mod:`tests.slurm.held` in ``out``, whose faults are told in ``told``."""

    out: Path
    told: Path

    def faults(self, **faults: str | Sequence[int]) -> None:
        """Say which seeds meet which fault: ``hold=[0, 1], dies_once=[2]``."""
        content = {str(seed): name.replace("_", " ") for name, seeds in faults.items() for seed in seeds}
        (self.told / "faults.json").write_text(json.dumps(content))

    def submit(self, seeds: str, *arguments: str, **profile: object) -> Result:
        """``bench run --slurm dev`` with ``profile`` on top."""
        result = bench(*self._command(seeds, arguments, profile))
        assert result.code == 0, result.err
        return result

    def launch(self, seeds: str, *arguments: str, **profile: object) -> subprocess.Popen[str]:
        """The same in a process of its own."""
        words = [sys.executable, "-m", "bench", *map(str, self._command(seeds, arguments, profile))]
        return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def _command(self, seeds: str, arguments: Sequence[str], profile: Mapping[str, object]) -> list[str | Path]:
        changes = [word for key, value in profile.items() for word in ("--slurm-set", f"{key}={value}")]
        return ["run", *REQUEST, "--seeds", seeds, "--out", self.out, "--slurm", "dev", *changes, *arguments]

    def go(self) -> None:
        """Let those go on that are held."""
        (self.told / "go").touch()

    def attempts(self, seed: int) -> list[list[int]]:
        """The steps that each process of a cell began, oldest first."""
        attempts: dict[str, list[int]] = {}
        for process, _, step in self._noted(seed):
            attempts.setdefault(process, []).append(int(step))
        return list(attempts.values())

    def parents(self, seeds: Sequence[int]) -> set[str]:
        """The processes that started those of some cells."""
        return {parent for seed in seeds for _, parent, _ in self._noted(seed)}

    def are_held(self, seeds: Sequence[int], attempts: int = 1) -> None:
        """Wait until so many attempts at each of these cells have come to the middle of their stage."""
        for seed in seeds:
            until(
                lambda seed=seed: sum(steps[-1] >= held.STEP for steps in self.attempts(seed)) == attempts,  # type: ignore[misc]
                f"attempt {attempts} of seed {seed} at step {held.STEP}",
            )

    def resumed(self, seed: int) -> None:
        """Check that a cell was disturbed in mid-stage and went on where it was, with nothing left out."""
        first, *others = self.attempts(seed)
        assert others, f"seed {seed} was never disturbed"
        assert first == list(range(held.STEP + 1))
        for later in others:
            assert later[0] in (held.STEP, held.STEP + 1)
        assert others[-1] == list(range(others[-1][0], STEPS))

    def queue(self) -> list[site.QueuedTask]:
        """What it has in Slurm's queue."""
        names = [one.job_name(group) for one in Submission.all(self.out) for group in one.content().groups]
        queue = site.queue(names)
        assert queue is not None
        return queue

    def wait(self) -> None:
        """Until nothing of it is in the queue."""
        until(lambda: not self.queue(), "the end of the sweep")

    def submitted(self) -> list[list[str]]:
        """The titles of the jobs of each submission."""
        return [
            [job.title for group in one.content().groups for job in one.jobs(group)] for one in Submission.all(self.out)
        ]

    def _noted(self, seed: int) -> list[list[str]]:
        """Process, its parent and the step, for each step that a cell began."""
        path = self.told / f"{seed}.steps"
        return [line.split() for line in path.read_text().splitlines()] if path.exists() else []

    def owner(self, seed: int) -> str:
        """Who holds the claim on a cell."""
        (identity,) = [record.identity for record in _alone(os.environ["BENCH_HOME"]) if record.seed == seed]
        return holders(self.out / "claims")[f"cell-{identity}"].owner

    def undisturbed(self, seeds: int, rounded: Collection[int] = ()) -> None:
        """Check that there is a record of each cell, the same to the bit as without a fault, and no failure.

        Batches of ``rounded`` seeds, whose process died, may have gone in parts: they are the same up to rounding.
        """
        found = scan(self.out)
        assert found.damaged == []
        assert [(failure.seed, failure.reason) for failure in found.failures] == []
        assert sorted(record.seed for record in found.records) == list(range(seeds))
        alone = {record.identity: record for record in _alone(os.environ["BENCH_HOME"])}
        for record in found.records:
            result, expected = _result(record), _result(alone[record.identity])
            if record.seed in rounded:
                expected = _near(expected)
            else:
                assert record.micro_batches == 1
            assert result == expected
        assert list((self.out / "checkpoints").glob("*")) == []


@contextmanager
def sweeping(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sweep]:
    """A sweep below ``folder`` whose jobs save a checkpoint after every step."""
    (folder / "told").mkdir()
    with distribution(folder / "site", "[bench.methods]\nheld = held_method", held_method=METHOD):
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder / "site"), str(ROOT)]))
        monkeypatch.delenv(held.FOLDER, raising=False)
        _alone(os.environ["BENCH_HOME"])
        monkeypatch.setenv(held.FOLDER, str(folder / "told"))
        monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", "0")
        sweep = Sweep(folder / "run", folder / "told")
        sweep.faults()
        yield sweep


def command(*words: str) -> str:
    """What a command of Slurm says."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def _alone(home: str) -> list[Record]:
    """The cells without a cluster and without a fault."""
    out = Path(home, "undisturbed")
    result = bench("run", *REQUEST, "--seeds", "0-5", "--out", out, "--jobs", "1")
    assert result.code == 0, result.err
    return scan(out).records


def _result(record: Record) -> dict[str, Any]:
    what = {"scores", "chosen_step", "trajectory", "learning_curve", "settings", "data"}
    return record.model_dump(mode="json", include=what)


def _near(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _near(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_near(one) for one in value]
    return pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
