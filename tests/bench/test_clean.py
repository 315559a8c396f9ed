"""Clean: frees what a rerun can make again, and nothing else."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bench.commands.clean import free
from bench.errors import RequestError


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
    with pytest.raises(RequestError, match="--out: expected the folder of a run"):
        free(tmp_path, artifacts=False)
    assert (tmp_path / "logs" / "mine").exists()


def test_naming_nothing_is_refused() -> None:
    with pytest.raises(RequestError, match="--out FOLDER, --artifacts or both"):
        free(None, artifacts=False)
