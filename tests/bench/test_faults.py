"""Full disks, folders that cannot be written, damaged files: a clear reason, and the next run loses nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench import artifacts, checkpoint, files, records, work
from bench.commands import run as command
from bench.errors import RequestError
from bench.records import Record, scan
from methods.stages.finetune import FineTune
from methods.stages.start import FromScratch
from methods.stages.trilevel import TriLevel
from slurm.inline import InProcess
from tests.bench import short


@pytest.fixture(scope="module")
def reference(bench_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """What an undisturbed cell of tapweight ends with."""
    out = tmp_path_factory.mktemp("undisturbed")
    assert short.run(out, "tapweight")[0].ok
    return scan(out).records[0]


@pytest.fixture
def other_home(bench_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with the data prepared and no artifacts."""
    short.rules()
    home = tmp_path / "home"
    home.mkdir()
    for prepared in bench_home.iterdir():
        if prepared.name != "artifacts":
            (home / prepared.name).symlink_to(prepared)
    monkeypatch.setenv("BENCH_HOME", str(home))
    return home


def fill_disk(monkeypatch: pytest.MonkeyPatch, refused: Callable[[Path], bool]) -> None:
    """Let writing stop half way through every file that ``refused`` names."""
    real = files.write_atomic

    def limited(path: Path, write: Callable[[Path], Any]) -> None:
        def half(temporary: Path) -> None:
            write(temporary)
            os.truncate(temporary, temporary.stat().st_size // 2)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        real(path, half if refused(path) else write)

    for module in (files, artifacts, checkpoint):
        monkeypatch.setattr(module, "write_atomic", limited)


def no_training(monkeypatch: pytest.MonkeyPatch, *stages: type) -> None:
    for stage in stages:
        monkeypatch.setattr(stage, "run", lambda *_: pytest.fail("trained again"))


def alike(out: Path, reference: Record) -> None:
    """The one record is there, its results those of the reference, and nothing else is left of the cell."""
    (found,) = scan(out).records
    assert found.scores == reference.scores
    assert found.trajectory == reference.trajectory
    assert found.examples_per_second > 0
    assert not scan(out).failures
    assert list((out / "checkpoints").iterdir()) == []
    assert not list(out.rglob("*.tmp"))


def test_a_disk_that_is_full_when_the_record_is_written(
    tmp_path: Path, reference: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as during:
        fill_disk(during, lambda path: "records" in path.parts)
        (outcome,) = short.run(tmp_path, "tapweight")
    assert not outcome.ok
    (failure,) = scan(tmp_path).failures
    path = reference.path(tmp_path)
    assert failure.reason == f"OSError: [Errno 28] No space left on device: '{path}'"
    assert not scan(tmp_path).records
    assert not list(tmp_path.rglob("*.tmp"))
    no_training(monkeypatch, TriLevel, FineTune)  # all that was trained is still there
    (outcome,) = short.run(tmp_path, "tapweight")
    assert outcome.ok, outcome.traceback
    alike(tmp_path, reference)


def test_a_disk_that_is_full_for_everything(tmp_path: Path, reference: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as during:
        fill_disk(during, lambda path: True)
        (outcome,) = short.run(tmp_path, "tapweight")
    # Not even the failure can be written; its reason still comes out.
    assert not outcome.ok
    assert "No space left on device" in outcome.reason
    assert "1-tri-level/tensors.safetensors" in outcome.reason
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert short.run(tmp_path, "tapweight")[0].ok
    alike(tmp_path, reference)


def test_a_progress_file_that_cannot_be_written_fails_no_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "PROGRESS_SECONDS", 0.0)
    (tmp_path / "progress").write_text("a file where a folder must be")
    (outcome,) = short.run(tmp_path, "finetune")
    assert outcome.ok, outcome.traceback
    assert len(scan(tmp_path).records) == 1


def test_a_record_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("a file where a folder must be")
    (outcome,) = short.run(tmp_path, "finetune")
    assert not outcome.ok
    (failure,) = scan(tmp_path).failures
    assert str(tmp_path / "records") in failure.reason
    (tmp_path / "records").unlink()
    assert short.run(tmp_path, "finetune")[0].ok


def test_an_out_folder_below_a_file_is_refused_before_anything_starts(tmp_path: Path) -> None:
    short.rules()
    (tmp_path / "taken").write_text("")
    out = tmp_path / "taken" / "run"
    request = command.Request.parse("finetune", "demo:rings", "0", "smoke", list(short.ASSIGNMENTS), out, None, None)
    with pytest.raises(RequestError, match="--out: expected a folder that can be written") as caught:
        command.run(request, 1, "cpu", None)
    assert caught.value.exit_code == 2


def test_a_cache_that_cannot_be_written_fails_the_cells_with_the_reason(tmp_path: Path, other_home: Path) -> None:
    (other_home / "artifacts").write_text("a file where a folder must be")
    (outcome,) = short.run(tmp_path / "out", "finetune")
    assert not outcome.ok
    assert outcome.reason.startswith("needs start (shared, seed 0), which failed:")
    assert str(other_home / "artifacts") in outcome.reason


@pytest.mark.parametrize("damaged", ["tensors.safetensors", "log.json"])
def test_a_damaged_shared_artifact_is_trained_again(
    tmp_path: Path, other_home: Path, reference: Record, damaged: str
) -> None:
    assert short.run(tmp_path / "first", "finetune")[0].ok
    (folder,) = (other_home / "artifacts").iterdir()
    whole = {name: (folder / name).read_bytes() for name in ("tensors.safetensors", "log.json")}
    assert [job.function for job in short.jobs(tmp_path / "out", "tapweight")] == ["bench.cell:run_cell"]
    planned = short.jobs(tmp_path / "out", "tapweight")
    (folder / damaged).write_bytes(whole[damaged][:-3])

    # Damaged after the plan was made: the cell says what to do.
    (outcome,) = InProcess(1).run(planned)
    assert not outcome.ok
    assert outcome.reason.startswith(f"artifact {folder.name}: expected a whole artifact, got ")
    assert outcome.reason.endswith(f"delete {folder} and run the command again")
    assert scan(tmp_path / "out").failures[0].reason == outcome.reason
    # The next plan sees it.
    functions = [job.function for job in short.jobs(tmp_path / "out", "tapweight")]
    assert functions == ["bench.cell:run_shared", "bench.cell:run_cell"]
    assert short.run(tmp_path / "out", "tapweight")[0].ok
    alike(tmp_path / "out", reference)
    assert (folder / "tensors.safetensors").read_bytes() == whole["tensors.safetensors"]


def test_a_damaged_output_of_an_own_stage_is_trained_again(
    tmp_path: Path, reference: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as during:
        during.setattr(FineTune, "run", lambda *_: 1 / 0)
        assert not short.run(tmp_path, "tapweight")[0].ok
    (tensors,) = (tmp_path / "checkpoints").glob("*-tri-level/tensors.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:1000])
    no_training(monkeypatch, FromScratch)
    (outcome,) = short.run(tmp_path, "tapweight")
    assert outcome.ok, outcome.traceback
    alike(tmp_path, reference)


@pytest.mark.parametrize(("kept", "first"), [(1.0, 3), (0.5, 0)])
def test_an_exception_in_mid_stage_goes_on_and_a_truncated_checkpoint_restarts_the_stage(
    tmp_path: Path, reference: Record, monkeypatch: pytest.MonkeyPatch, kept: float, first: int
) -> None:
    monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", "0")
    steps: list[int] = []

    def reporter(path: Path, what: str) -> Callable[[int, int], None]:
        def report(step: int, total: int) -> None:
            if "fails" in during and step == 4 and what.endswith("tri-level"):
                raise OSError("the machine went away")
            if what.endswith("tri-level"):
                steps.append(step - 1)

        return report

    monkeypatch.setattr(work, "_reporter", reporter)
    during = {"fails"}
    assert not short.run(tmp_path, "tapweight")[0].ok
    (path,) = (tmp_path / "checkpoints").glob("*.checkpoint")
    assert path.name.endswith("-1-tri-level.checkpoint")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    during.clear()
    steps.clear()
    assert short.run(tmp_path, "tapweight")[0].ok
    assert steps == list(range(first, 4))
    alike(tmp_path, reference)


def test_exit_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    short.rules()

    def run() -> int:
        request = command.Request.parse(
            "finetune", "demo:rings", "0", "smoke", list(short.ASSIGNMENTS), tmp_path, None, None
        )
        return command.run(request, 1, "cpu", None)

    monkeypatch.setattr(command, "_print_leaderboard", lambda *_: None)
    with monkeypatch.context() as during:
        fill_disk(during, lambda path: "records" in path.parts)
        assert run() == 1
    assert "No space left on device" in capsys.readouterr().err
    (path,) = (tmp_path / "failures").rglob("*.json")
    assert records.read_failure(path).attempts == 1
    assert run() == 0
    assert not path.exists()
