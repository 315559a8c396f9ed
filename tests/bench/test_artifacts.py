"""Stage outputs come back bit for bit, or are said to be missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from bench import artifacts
from bench.errors import NotPreparedError
from methods.stage import Model, StageResult


def result() -> StageResult:
    shared = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    encoder = {"conv.weight": shared.to(memory_format=torch.channels_last), "norm.count": torch.tensor(7)}
    head = {"weight": torch.randn(2, 3, generator=torch.Generator().manual_seed(1)), "bias": torch.zeros(2)}
    # Two read-outs that share their memory, and a name with a slash.
    models = {"best": Model(encoder, head), "last": Model(encoder, head)}
    return StageResult({"encoder": encoder, "heads": {"a/b": torch.zeros(0, 2)}}, models, {"trajectory": [0.1 + 0.2]})


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    artifacts.save(tmp_path / "stage-1", result(), {"seconds": 1.5, "examples": 3})
    return tmp_path / "stage-1"


def test_round_trip(stored: Path) -> None:
    loaded, facts = artifacts.load(stored)
    wanted = result()
    assert facts == {"seconds": 1.5, "examples": 3}
    assert loaded.log == wanted.log
    assert loaded.weights.keys() == wanted.weights.keys()
    assert loaded.models.keys() == wanted.models.keys()
    for part, state in wanted.weights.items():
        assert loaded.weights[part].keys() == state.keys()
        for name, tensor in state.items():
            assert torch.equal(loaded.weights[part][name], tensor)
            assert loaded.weights[part][name].dtype == tensor.dtype
    for name, model in wanted.models.items():
        for mine, theirs in zip(loaded.models[name], model, strict=True):
            assert mine.keys() == theirs.keys()
            assert all(torch.equal(mine[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("name", ["log.json", "tensors.safetensors"])
@pytest.mark.parametrize("keep", [0, 5, 0.5, -1, None])
def test_a_part_of_an_artifact_is_none(stored: Path, name: str, keep: float | None) -> None:
    assert artifacts.exists(stored)
    path = stored / name
    content = path.read_bytes()
    if keep is None:
        path.unlink()
    else:
        path.write_bytes(content[: int(keep * len(content)) if 0 < keep < 1 else int(keep)].rstrip(b"}\n"))
    assert not artifacts.exists(stored)
    with pytest.raises(NotPreparedError, match="artifact stage-1: expected a whole artifact") as caught:
        artifacts.load(stored)
    assert f"delete {stored} and run the command again" in str(caught.value)
    artifacts.save(stored, result(), {"seconds": 1.5, "examples": 3})  # no need to delete it by hand
    assert artifacts.exists(stored)


def test_the_log_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: object) -> None:
        assert (path.parent / "tensors.safetensors").is_file()
        raise OSError("full")

    monkeypatch.setattr(artifacts, "write_json", full)
    with pytest.raises(OSError, match="full"):
        artifacts.save(tmp_path / "stage-1", result(), {})
    assert not artifacts.exists(tmp_path / "stage-1")


def test_bytes_that_have_changed_are_not_loaded(stored: Path) -> None:
    path = stored / "tensors.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(NotPreparedError, match=r"artifact stage-1: .* have changed .* delete .*stage-1 and run"):
        artifacts.load(stored)


@pytest.mark.parametrize("content", ["{}", "[]", '{"log": {}}'])
def test_a_log_without_its_parts_is_none(stored: Path, content: str) -> None:
    (stored / "log.json").write_text(content)
    assert not artifacts.exists(stored)


def test_an_artifact_from_before_there_was_a_checksum_is_loaded(stored: Path) -> None:
    log = json.loads((stored / "log.json").read_text())
    assert len(log.pop("sha256")) == 64
    (stored / "log.json").write_text(json.dumps(log))
    assert artifacts.load(stored)[1]["seconds"] == 1.5
