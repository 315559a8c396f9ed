"""Status: read from the folder alone."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from bench.commands.status import FRESH_SECONDS, active, status_of
from bench.errors import RequestError
from bench.records import Failure, Record, write

METHODS = ("cp", "tapweight")


def cell(method: str, seed: int, identity: str = "") -> dict[str, Any]:
    return {
        "identity": identity or f"{method}-{seed}",
        "method": method,
        "task": "demo:rings",
        "backbone": "resnet18",
        "seed": seed,
        "protocol": "smoke",
    }


def plan(out: Path, cells: list[dict[str, Any]]) -> None:
    content = {"cells": cells, "methods": list(METHODS), "tasks": ["demo:rings"], "seeds": [0, 1], "skipped": []}
    (out / "plan.json").write_text(json.dumps(content))


def done(out: Path, **entry: Any) -> None:
    write(
        out,
        Record(
            **entry, split_checksum="s", metric="roc_auc", higher_is_better=True, marks=False, scores={},
            primary="best", chosen_step=1, seconds={}, shared_seconds={}, peak_memory_bytes=1,
            examples_per_second=1.0, settings={}, data={}, provenance={},
        ),
    )  # fmt: skip


def failed(out: Path, attempts: int, **entry: Any) -> None:
    write(
        out, Failure(**entry, split_checksum="s", reason="it broke", traceback="t", attempts=attempts, finished="now")
    )


def progress(out: Path, name: str, age: float = 0.0, **more: Any) -> None:
    (out / "progress").mkdir(exist_ok=True)
    now = time.time() - age
    content = {"what": f"{name}, finetune", "step": 3, "steps": 8, "since": now - 40, "updated": now} | more
    (out / "progress" / f"{name}.json").write_text(json.dumps(content))


def test_done_failed_missing_and_running(tmp_path: Path) -> None:
    plan(tmp_path, [cell(method, seed) for method in METHODS for seed in range(3)])
    done(tmp_path, **cell("cp", 0))
    done(tmp_path, **cell("cp", 1))
    failed(tmp_path, 2, **cell("tapweight", 0))
    progress(tmp_path, "alive")
    progress(tmp_path, "gone", age=FRESH_SECONDS + 1)
    lines = status_of(tmp_path).splitlines()
    assert lines[0] == f"2 done, 1 failed, 3 missing of 6 cells in {tmp_path}"
    rows = [line.split() for line in lines]
    assert ["cp", "demo:rings", "2", "0", "1"] in rows
    assert ["tapweight", "demo:rings", "0", "1", "2"] in rows
    assert "  alive, finetune: step 3 of 8, 40 s" in lines
    assert not any("gone" in line for line in lines)
    assert "  tapweight demo:rings seed 0 (attempt 2): it broke" in lines


def test_results_of_earlier_settings_are_not_counted(tmp_path: Path) -> None:
    plan(tmp_path, [cell("cp", 0, "new")])
    done(tmp_path, **cell("cp", 0, "old"))
    failed(tmp_path, 1, **cell("cp", 0, "older"))
    assert status_of(tmp_path).startswith("0 done, 0 failed, 1 missing of 1 cells")
    done(tmp_path, **cell("cp", 1))  # of a folder that was copied in: no plan names it
    assert status_of(tmp_path).startswith("1 done, 0 failed, 1 missing of 2 cells")


def test_records_alone_will_do(tmp_path: Path) -> None:
    done(tmp_path, **cell("cp", 0))
    assert status_of(tmp_path).startswith("1 done, 0 failed, 0 missing of 1 cells")


def test_damaged_files_are_named(tmp_path: Path) -> None:
    done(tmp_path, **cell("cp", 0))
    (tmp_path / "plan.json").write_text("{")
    (path,) = (tmp_path / "records").glob("*/*/*.json")
    path.write_text("{")
    lines = status_of(tmp_path).splitlines()
    assert f"damaged: {path}" in lines
    assert f"damaged: {tmp_path / 'plan.json'}" in lines


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"updated": "now"}', '{"updated": 1e20}'])
def test_a_progress_file_in_the_making_is_passed_over(tmp_path: Path, content: str) -> None:
    progress(tmp_path, "alive")
    (tmp_path / "progress" / "half.json").write_text(content)
    assert [entry["what"] for entry in active(tmp_path)] == ["alive, finetune"]


def test_a_folder_that_is_none_of_a_run(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RequestError, match="--out: expected the folder of a run"):
            status_of(folder)
