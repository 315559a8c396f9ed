"""A cell killed at any moment goes on from its last checkpoint and ends with the same bits.

This module is also the program that is killed, ``python -m tests.bench.test_resume MOMENT STAGE STEP ARGUMENTS``:
the command line with a checkpoint after every step, which sends itself SIGKILL at the named moment.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import ROOT

COMMAND = ["run", "--methods", "tapweight", "--tasks", "demo:logp", "--seeds", "0", "--protocol", "smoke"]
COMMAND += ["--jobs", "1", "--device", "cpu", "--out"]
STEPS = {"start": 40, "tri-level": 16, "finetune": 48}  # of the smoke protocol: 3 epochs of 256 molecules in 16s
DIFFERS = {"seconds", "shared_seconds", "examples_per_second", "peak_memory_bytes", "provenance"}


class Kill(NamedTuple):
    """A moment: after or while saving the checkpoint of a step, after storing a stage, while writing the record."""

    moment: str
    stage: str
    step: int
    next: tuple[str, int]  # stage and step at which the next attempt must go on


KILLS = [
    Kill("saved", "start", 5, ("start", 5)),
    Kill("saving", "start", 21, ("start", 20)),
    Kill("stored", "start", 40, ("tri-level", 0)),
    Kill("saved", "tri-level", 3, ("tri-level", 3)),  # between two moves of the weights
    Kill("saving", "tri-level", 10, ("tri-level", 9)),
    Kill("saved", "tri-level", 16, ("tri-level", 16)),  # trained, its output not yet stored
    Kill("stored", "tri-level", 16, ("finetune", 0)),
    Kill("saved", "finetune", 21, ("finetune", 21)),  # epochs have 16 steps
    Kill("saving", "finetune", 45, ("finetune", 44)),
    Kill("record", "finetune", 48, ("finetune", 48)),
]


@pytest.fixture(scope="module")
def reference(bench_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nothing disturbed; it prepares the data and trains the shared stage."""
    out = tmp_path_factory.mktemp("reference")
    environment = os.environ | {"BENCH_CHECKPOINT_SECONDS": "1000"}
    done = subprocess.run([sys.executable, "-m", "bench", *COMMAND, str(out)], cwd=ROOT, env=environment,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return out


def test_a_cell_killed_at_any_moment_ends_with_the_same_bits(reference: Path, bench_home: Path, tmp_path: Path) -> None:
    out, home, trace = tmp_path / "out", tmp_path / "home", tmp_path / "trace"
    home.mkdir()
    for prepared in bench_home.iterdir():
        if prepared.name != "artifacts":
            (home / prepared.name).symlink_to(prepared)
    expected = ("start", 0)
    for kill in KILLS:
        code, steps = attempt(kill, out, home, trace)
        assert code == -signal.SIGKILL, kill
        assert steps == between(expected, kill), kill
        assert not list(out.glob("records/**/*.json")), kill
        expected = kill.next
    assert list(out.rglob("*.tmp"))  # the killed writes left their halves
    code, steps = attempt(None, out, home, trace)
    assert (code, steps) == (0, [])  # all that was trained was stored

    assert record(out) == record(reference)
    assert record(out)["trajectory"]["weights"][-1] != record(out)["trajectory"]["weights"][0]
    compare_artifacts(bench_home / "artifacts", home / "artifacts")
    # Nothing is left of the attempts.
    assert list((out / "checkpoints").iterdir()) == []
    assert not (out / "failures").exists()
    assert not list(out.rglob("*.tmp"))


def attempt(kill: Kill | None, out: Path, home: Path, trace: Path) -> tuple[int, list[tuple[str, int]]]:
    """Run the program; return its exit code and the steps that it finished."""
    trace.unlink(missing_ok=True)
    where = [kill.moment, kill.stage, str(kill.step)] if kill else ["never", "", "0"]
    environment = os.environ | {"BENCH_CHECKPOINT_SECONDS": "0", "BENCH_HOME": str(home), "TRACE": str(trace)}
    done = subprocess.run([sys.executable, "-m", "tests.bench.test_resume", *where, *COMMAND, str(out)], cwd=ROOT,
                          env=environment, capture_output=True, text=True)  # fmt: skip
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    lines = trace.read_text().split() if trace.exists() else []
    return done.returncode, [(line.split(",")[0], int(line.split(",")[1])) for line in lines]


def between(first: tuple[str, int], kill: Kill) -> list[tuple[str, int]]:
    """Every step from ``first`` up to the kill, once and in order."""
    steps, names = [], list(STEPS)
    for name in names[names.index(first[0]) : names.index(kill.stage) + 1]:
        begin = first[1] if name == first[0] else 0
        steps += [(name, step) for step in range(begin, kill.step if name == kill.stage else STEPS[name])]
    return steps


def record(out: Path) -> dict[str, Any]:
    """The one record of a run, without what differs between any two runs; floats as written, so exact."""
    (path,) = out.glob("records/*/*/*.json")
    content = json.loads(path.read_text())
    assert {"best", "last", "omega"} == set(content["scores"])
    assert set(content) > DIFFERS
    return {name: value for name, value in content.items() if name not in DIFFERS}


def compare_artifacts(theirs: Path, mine: Path) -> None:
    """The shared stages have one name and the same bits."""
    import torch
    from safetensors.torch import load_file

    (folder,) = (each for each in mine.glob("start-*") if each.is_dir())
    wanted, found = (load_file(each / folder.name / "tensors.safetensors") for each in (theirs, mine))
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[name], found[name]) for name in wanted)
    logs = [json.loads((each / folder.name / "log.json").read_text()) for each in (theirs, mine)]
    assert logs[0]["log"] == logs[1]["log"]


def _killed(moment: str, stage: str, last: int, arguments: list[str]) -> None:
    """Be the program that is killed."""
    import bench.cell
    import bench.files
    import bench.work
    from bench.__main__ import main
    from bench.checkpoint import CheckpointedRun

    save, store, write = CheckpointedRun._save, bench.cell.artifacts.save, bench.files.write_atomic

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def half_written(path: Path, fill: Callable[[Path], Any]) -> None:
        def interrupted(temporary: Path) -> None:
            fill(temporary)
            os.truncate(temporary, temporary.stat().st_size // 2)
            die()

        write(path, interrupted)

    def saving(self: CheckpointedRun, step: int, parts: Any) -> None:
        here = stage in self.path.name and step == last
        if here and moment == "saving":
            bench.checkpoint.write_atomic = half_written
        save(self, step, parts)
        if here and moment == "saved":
            die()

    def storing(path: Path, result: Any, facts: Any) -> None:
        store(path, result, facts)
        if stage in path.name and moment == "stored":
            die()

    def recording(path: Path, fill: Callable[[Path], Any]) -> None:
        here = moment == "record" and "records" in path.parts
        (half_written if here else write)(path, fill)

    def reporter(_: Path, what: str) -> Callable[[int, int], None]:
        name = next(name for name in STEPS if name in what.replace("tapweight", ""))

        def report(step: int, total: int) -> None:
            assert total == STEPS[name]
            with Path(os.environ["TRACE"]).open("a") as file:
                file.write(f"{name},{step - 1}\n")

        return report

    CheckpointedRun._save = saving  # type: ignore[method-assign]
    bench.cell.artifacts.save = storing
    bench.files.write_atomic = recording
    bench.work._reporter = reporter
    sys.argv[1:] = arguments
    main()


if __name__ == "__main__":
    _killed(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
