"""Clean: frees what a rerun can make again, and nothing else."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest

from bench.commands.clean import free
from bench.commands.status import status_of
from bench.errors import RequestError
from slurm.submission import Submission, launching
from tests.bench.commandline import tree
from tests.bench.fabricated import cell, claim, done, ended, failed, jobs, log, queued, shared, submit
from tests.slurm.fake import FakeSlurm


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run folder with 10 bytes in everything that it may hold."""
    folder = tmp_path / "run"
    for name in ("checkpoints/a/x", "progress/p.json", "logs/l", "records/r", "failures/f", "weights.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"0123456789")
    (folder / "plan.json").write_text("{}")
    return folder


def test_a_run_keeps_its_results(out: Path) -> None:
    assert free(out, artifacts=False) == "freed 30 bytes"
    left = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())
    assert left == ["failures/f", "plan.json", "records/r", "weights.png"]
    assert free(out, artifacts=False) == "freed 0 bytes"


def test_artifacts_go_only_when_asked_for(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("BENCH_HOME", str(home))
    for name in ("artifacts/start-1/tensors.safetensors", "tables/t/table.npz"):
        (home / name).parent.mkdir(parents=True)
        (home / name).write_bytes(b"01234")
    free(out, artifacts=False)
    assert (home / "artifacts").is_dir()
    assert free(None, artifacts=True) == "freed 5 bytes"
    assert not (home / "artifacts").exists()
    assert (home / "tables" / "t" / "table.npz").exists()


def test_artifacts_that_somebody_trains_are_left_alone(
    out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("BENCH_HOME", str(home))
    (home / "artifacts").mkdir(parents=True)
    (home / "artifacts" / "start-1.checkpoint").write_bytes(b"01234")
    claim(home, "start-1", "n1 4711", beat=20.0)
    for folder in (None, out):
        with pytest.raises(RequestError, match="--artifacts: start-1 is being trained by n1 4711 on n1; stop that run"):
            free(folder, artifacts=True)
    assert (home / "artifacts" / "start-1.checkpoint").exists()
    assert (out / "checkpoints" / "a" / "x").exists()
    claim(home, "start-1", "n1 4711", beat=301.0)  # dead
    claim(home, "start-2", "n1 4711", state="free")
    assert free(None, artifacts=True) == "freed 5 bytes"


def test_a_run_that_is_alive_is_left_alone(out: Path) -> None:
    now = time.time()
    content = {"what": "cp demo:rings seed 0", "step": 1, "steps": 2, "since": now, "updated": now}
    (out / "progress" / "p.json").write_text(json.dumps(content))
    with pytest.raises(RequestError, match=r"a run is alive in .* \(cp demo:rings seed 0\)"):
        free(out, artifacts=True)
    assert (out / "checkpoints" / "a" / "x").exists()


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "mine").write_text("mine")
    (tmp_path / "slurm").mkdir()  # as a checkout of this project has one
    with pytest.raises(RequestError, match="--out: expected the folder of a run"):
        free(tmp_path, artifacts=False)
    assert (tmp_path / "logs" / "mine").exists()


def test_naming_nothing_is_refused() -> None:
    with pytest.raises(RequestError, match="--out FOLDER, --artifacts or both"):
        free(None, artifacts=False)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    return FakeSlurm(tmp_path, monkeypatch)


def submitted(out: Path) -> Submission:
    """A submission with a failed shared stage, a cell that is done, one that failed, one that did not end."""
    cells = [cell("cp", seed) for seed in range(3)]
    submission = submit(out, {"start": [shared("start-77aa")], "cell": jobs(cells)})
    for name in ("records", "failures"):
        shutil.rmtree(out / name)
    done(out, **cells[0])
    failed(out, 1, **cells[1])
    ended(out, submission, "start-77aa", "ValueError: no corpus")
    ended(out, submission, "cell-cp-0")
    ended(out, submission, "cell-cp-1", "it broke")
    claim(out, "cell-cp-1", "slurm 11_0", state="free")
    claim(out, "cell-cp-2", "slurm 11_1")
    log(submission, "11_0", "0123456789")
    return submission


def test_what_submissions_that_are_over_left(out: Path, fake: FakeSlurm) -> None:
    submission = submitted(out)
    before = status_of(out)
    kept = {path for path in out.rglob("*") if path.is_file()}
    size = sum(path.stat().st_size for path in kept)
    text = free(out, artifacts=False)
    left = {path for path in out.rglob("*") if path.is_file()} - {out / "slurm" / "launch.lock"}
    assert text == f"freed {size - sum(path.stat().st_size for path in left):,} bytes"
    assert not submission.submitit.exists()
    assert not (out / "claims").exists()
    assert {path.name for path in (out / "outcomes").iterdir()} == {"start-77aa.json"}
    assert {path.name for path in submission.folder.iterdir()} == {"submission.json", "start.json", "cell.json"}
    assert len(list(out.glob("records/*/*/*"))) == len(list(out.glob("failures/*/*/*"))) == 1
    assert status_of(out) == before
    assert free(out, artifacts=False) == "freed 0 bytes"


def test_a_submission_that_is_alive_is_left_alone(out: Path, fake: FakeSlurm) -> None:
    submission = submitted(out)
    before = tree(out)
    fake.write("queue", queued(submission, ("11_1", "cell", "PENDING Resources")))
    with pytest.raises(RequestError, match="submission s1 has 1 array tasks in the queue; wait, or end it: python"):
        free(out, artifacts=True)
    fake.write("queue", "")
    claim(out, "cell-cp-2", "slurm 99_1")
    with pytest.raises(RequestError, match="a run is alive in"):
        free(out, artifacts=False)
    with launching(out), pytest.raises(RequestError, match="another launcher"):
        free(out, artifacts=False)
    assert tree(out).keys() - {out / "slurm" / "launch.lock"} == before.keys()


def test_where_slurm_cannot_be_asked(out: Path, fake: FakeSlurm) -> None:
    submission = submitted(out)
    claim(out, "cell-cp-2", "slurm 11_1", state="free")
    (fake.folder / "queue").unlink()
    with pytest.raises(RequestError, match=r"not all jobs that were submitted from .* login node"):
        free(out, artifacts=False)
    done(out, **cell("cp", 2))
    assert free(out, artifacts=False).startswith("freed ")
    assert not submission.submitit.exists()
