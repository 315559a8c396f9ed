"""Run: only what has no record, one failure stops nothing, every attempt is counted once."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import chain
from bench import plan as planning
from bench.cell import fail
from bench.commands import run as command
from bench.protocol_files import load
from bench.records import Cell, read_failure, scan
from methods import METHODS
from methods.method import Method
from methods.stage import Context, Stage, StageResult, Weights
from slurm.executor import Job, Outcome
from tasks.problem import Problem
from tasks.spec import ProblemSpec
from tests.bench.commandline import SMALL, TINY, bench, distribution, refused, run, tree


class Fragile(Stage):
    """A stage that passes its weights on, or raises ``error``."""

    name = "fragile"
    shared = False
    error: BaseException | None = None

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        return {"task": spec.task.id, "seed": spec.seed}

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        if Fragile.error:
            raise Fragile.error
        return StageResult(start)


class FragileShared(Fragile):
    """The same, shared by tasks."""

    shared = True

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        return {"seed": spec.seed}


@pytest.fixture(autouse=True)
def _fragile_methods(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Methods "fragile" and "fragile-shared": fine-tuning behind a stage that fails on demand."""
    base = METHODS.get("finetune")

    def before(stage: Stage) -> Method:
        return replace(base, stages=lambda settings: [stage, *base.stages(settings)])

    for name, stage in (("fragile", Fragile()), ("fragile-shared", FragileShared())):
        monkeypatch.setitem(METHODS._entries, name, replace(before(stage), name=name))
    yield
    Fragile.error = None


def failures(out: Path) -> list[tuple[str, int]]:
    return [(failure.method, failure.attempts) for failure in scan(out).failures]


def test_the_command_in_a_record_runs_that_cell_again(tmp_path: Path) -> None:
    assert run(tmp_path, methods="finetune,cp").code == 0
    for record in scan(tmp_path).records:
        assert record.command is not None
        words = shlex.split(record.command)
        assert words[:4] == ["python", "-m", "bench", "run"]
        plan = bench("plan", *words[4:], "--out", tmp_path)
        assert "cells: 1 = 1 done + 0 to run" in plan.out, plan


def test_a_second_run_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tmp_path, methods="finetune,cp")
    assert first.code == 0, first.err
    before = {path: time for path, time in tree(tmp_path).items() if "records" in path.parts}

    def never(*_: object, **__: object) -> None:
        raise AssertionError("nothing is left to do")

    monkeypatch.setattr(command, "prepare_pairs", never)
    monkeypatch.setattr(command, "_execute", never)
    second = run(tmp_path, methods="finetune,cp")
    assert second.code == 0
    assert "2 done + 0 to run" in second.err
    assert second.out == first.out
    assert {path: time for path, time in tree(tmp_path).items() if "records" in path.parts} == before


def test_a_failing_cell_stops_no_other(tmp_path: Path) -> None:
    Fragile.error = ValueError("a loss\nwent wrong")
    result = run(tmp_path, methods="fragile,finetune")
    assert result.code == 1
    assert [record.method for record in scan(tmp_path).records] == ["finetune"]
    (failure,) = scan(tmp_path).failures
    assert (failure.method, failure.reason, failure.attempts) == ("fragile", "ValueError: a loss went wrong", 1)
    assert "Traceback" in failure.traceback
    (named,) = [line for line in result.err.splitlines() if line.startswith("failed: ")]
    assert "fragile demo:rings seed 0" in named
    assert str(failure.path(tmp_path, "failures")) in named
    assert "Failed cells" in result.out


def test_retry_failed_runs_only_what_failed(tmp_path: Path) -> None:
    Fragile.error = ValueError("no")
    assert run(tmp_path, methods="fragile").code == 1
    again = run(tmp_path, "--retry", "failed", methods="fragile,finetune")
    assert again.code == 1
    assert "1 to run (1 failed before) + 1 left out by --retry failed" in again.err
    assert failures(tmp_path) == [("fragile", 2)]
    assert scan(tmp_path).records == []
    Fragile.error = None
    mended = run(tmp_path, "--retry", "failed", methods="fragile,finetune")
    assert mended.code == 0
    assert [record.method for record in scan(tmp_path).records] == ["fragile"]
    assert failures(tmp_path) == []
    assert not list((tmp_path / "failures").glob("*/*/*"))


def test_cells_behind_a_failed_shared_stage_fail_with_its_reason(tmp_path: Path) -> None:
    Fragile.error = ValueError("no weights")
    for attempt in (1, 2):
        result = run(tmp_path, methods="fragile-shared,finetune", tasks="demo:rings,demo:logp")
        assert result.code == 1
        assert failures(tmp_path) == [("fragile-shared", attempt)] * 2
    assert {failure.reason for failure in scan(tmp_path).failures} == {
        "needs fragile (shared, seed 0), which failed: ValueError: no weights"
    }
    assert len(scan(tmp_path).records) == 2


def test_a_failure_that_cannot_be_written_still_counts(tmp_path: Path) -> None:
    (tmp_path / "failures").write_text("in the way")
    Fragile.error = ValueError("no")
    assert run(tmp_path, methods="fragile").code == 1


def test_ctrl_c_ends_with_one_line_and_no_failure(tmp_path: Path) -> None:
    Fragile.error = KeyboardInterrupt()
    (tmp_path / "progress").mkdir()
    (tmp_path / "progress" / "left.json").write_text("{}")
    result = run(tmp_path, methods="finetune,fragile")
    assert result.code == 130
    assert result.err.splitlines()[-1].startswith("error: interrupted")
    assert len(scan(tmp_path).records) == 1
    assert failures(tmp_path) == []
    assert not list((tmp_path / "progress").iterdir())
    Fragile.error = None
    assert "1 done + 1 to run" in run(tmp_path, methods="finetune,fragile").err


KILLED = """
import os, signal
from methods.method import method
from methods.stage import Stage

class Killed(Stage):
    name, shared = "killed", False
    def key(self, spec): return {}
    def run(self, problem, start, context): os.kill(os.getpid(), signal.SIGKILL)

@method("killed", title="t", paper="p", published=(), cost="1")
def killed(settings):
    return [Killed()]
"""


def test_a_killed_worker_leaves_a_failure_for_each_attempt(tmp_path: Path) -> None:
    with distribution(tmp_path / "site", "[bench.methods]\nkilled = killed_method", killed_method=KILLED):
        out = tmp_path / "run"
        assert run(out).code == 0  # so that the shared stage is there
        for attempt in (1, 2):
            result = run(out, "--jobs", "2", "--seeds", "0-1", methods="killed")
            assert result.code == 1
            assert failures(out) == [("killed", attempt)] * 2
    assert all("SIGKILL" in failure.reason for failure in scan(out).failures)


CELL = Cell(identity="i", method="m", task="a:b", backbone="c", seed=0, protocol="p", split_checksum="s")
DIED = Outcome(Job("cell-i", "m a:b seed 0", "x:y", {}), False, "killed", "Traceback in the tail of its log")


@pytest.mark.parametrize(
    ("written_before", "written_by_the_job", "attempts"),
    [(0, 0, 1), (0, 1, 1), (2, 2, 3), (2, 3, 3)],
    ids=["died", "wrote its own", "died again", "wrote its own again"],
)
def test_every_attempt_is_counted_once(
    tmp_path: Path, written_before: int, written_by_the_job: int, attempts: int
) -> None:
    for _ in range(written_by_the_job):
        fail(tmp_path, CELL, "own", "trace")
    command._keep_failure(tmp_path, CELL, DIED, before=written_before)
    failure = read_failure(CELL.path(tmp_path, "failures"))
    assert failure.attempts == attempts
    assert failure.reason == ("killed" if written_by_the_job == written_before else "own")


def test_a_damaged_failure_is_replaced(tmp_path: Path) -> None:
    path = CELL.path(tmp_path, "failures")
    path.parent.mkdir(parents=True)
    path.write_text('{"format": 1, "iden')
    command._keep_failure(tmp_path, CELL, DIED, before=0)
    assert read_failure(path).attempts == 1


def test_a_damaged_failure_file_does_not_break_a_run(tmp_path: Path) -> None:
    Fragile.error = ValueError("no")
    run(tmp_path, methods="fragile")
    (path,) = (tmp_path / "failures").glob("*/*/*.json")
    path.write_bytes(path.read_bytes()[:100])
    result = run(tmp_path, methods="fragile")
    assert result.code == 1
    assert f"warning: {path} is damaged" in result.err
    assert path.with_suffix(".damaged").stat().st_size == 100
    assert failures(tmp_path) == [("fragile", 1)]


def test_a_truncated_record_is_kept_and_its_cell_runs_again(tmp_path: Path) -> None:
    run(tmp_path)
    (path,) = (tmp_path / "records").glob("*/*/*.json")
    whole = json.loads(path.read_text())
    path.write_bytes(path.read_bytes()[:200])
    result = run(tmp_path)
    assert result.code == 0
    assert f"warning: {path} is damaged" in result.err
    assert "0 done + 1 to run" in result.err
    assert path.with_suffix(".damaged").stat().st_size == 200
    assert json.loads(path.read_text())["scores"] == whole["scores"]


def test_a_record_without_its_score_runs_again_and_each_is_kept(tmp_path: Path) -> None:
    run(tmp_path)
    (path,) = (tmp_path / "records").glob("*/*/*.json")
    whole = json.loads(path.read_text())
    for changed in ({"scores": {}}, {"primary": "nope"}):
        path.write_text(json.dumps(whole | changed))
        planned = bench("plan", "--methods", "finetune", "--tasks", "demo:rings", "--seeds", "0", "--protocol", "smoke",
                        *SMALL, "--out", tmp_path)  # fmt: skip
        assert "0 done + 1 to run" in planned.out
        shown = bench("status", "--out", tmp_path).out
        assert "0 done" in shown
        assert f"damaged: {path}" in shown
        result = run(tmp_path)
        assert result.code == 0
        assert f"warning: {path} is damaged" in result.err
        assert json.loads(path.read_text())["scores"] == whole["scores"]
    first, second = path.with_suffix(".damaged"), path.with_name(f"{path.stem}-2.damaged")
    assert json.loads(first.read_text())["scores"] == {}
    assert json.loads(second.read_text())["primary"] == "nope"


def test_folders_in_place_of_files_do_not_stop_a_run(tmp_path: Path) -> None:
    run(tmp_path)
    (record,) = (tmp_path / "records").glob("*/*/*.json")
    for path in (record, tmp_path / "plan.json"):
        path.unlink()
        (path / "inside").mkdir(parents=True)
        path.with_suffix(".damaged").write_text("kept before")
    result = run(tmp_path)
    assert result.code == 0
    for path in (record, tmp_path / "plan.json"):
        assert path.is_file()
        assert path.with_suffix(".damaged").read_text() == "kept before"
        assert (path.with_name(f"{path.stem}-2.damaged") / "inside").is_dir()


def test_the_cache_must_be_writable_only_for_what_is_written_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path)  # prepares, and trains the start
    real, checked = command._check_writable, list[str]()

    def check(what: str, folder: Path) -> None:
        checked.append(what)
        real(what, folder)

    monkeypatch.setattr(command, "_check_writable", check)
    assert run(tmp_path, "--seeds", "1").code == 0
    assert checked == ["--out"]
    assert run(tmp_path, "--set", "start.steps=5").code == 0
    assert checked == ["--out", "--out", "BENCH_HOME"]


def test_the_plan_is_the_union_with_the_newest_identities(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, "--set", "finetune.epochs=2")
    run(tmp_path, methods="cp")
    plan = planning.read(tmp_path)
    assert plan is not None
    assert (plan["methods"], plan["tasks"], plan["seeds"]) == (["finetune", "cp"], ["demo:rings"], [0])
    assert [cell["method"] for cell in plan["cells"]] == ["finetune", "cp"]
    newest = load("smoke", [f"{key}={value}" for key, value in (TINY | {"finetune.epochs": "2"}).items()])
    assert plan["cells"][0]["identity"] == chain.build("finetune", "demo:rings", "resnet18", 0, newest).cell.identity
    assert len(scan(tmp_path).records) == 3


# Lists where a plan has names.
SHAPED = json.dumps({
    "cells": [{"protocol": "p", "method": ["x"], "task": 5, "backbone": "b", "seed": 0, "identity": "i"}],
    "methods": ["x"], "tasks": ["t"], "seeds": [[1]], "skipped": [],
})  # fmt: skip


@pytest.mark.parametrize("content", ['{"cells": [', "[]", '{"cells": [{}]}', "null", SHAPED])
def test_a_damaged_plan_is_kept_and_written_anew(tmp_path: Path, content: str) -> None:
    run(tmp_path)
    whole = (tmp_path / "plan.json").read_text()
    (tmp_path / "plan.json").write_text(content)
    result = run(tmp_path)
    assert result.code == 0
    assert f"warning: {tmp_path / 'plan.json'} is damaged" in result.err
    assert (tmp_path / "plan.damaged").read_text() == content
    assert (tmp_path / "plan.json").read_text() == whole


def test_plan_starts_nothing_and_writes_nothing(tmp_path: Path, bench_home: Path) -> None:
    run(tmp_path / "run", "--seeds", "7")
    before = tree(tmp_path), tree(bench_home)
    words = ["--tasks", "demo:rings", "--protocol", "smoke", "--out", tmp_path / "run", "--seeds", "7-9"]
    result = bench("plan", "--methods", "finetune,cp", *words, *SMALL)
    # What `run` needs of a mirror is nothing to a plan, but its words are.
    assert bench("plan", "--methods", "finetune,cp", *words, *SMALL, "--mirror", tmp_path / "absent") == result
    assert result.code == 0
    assert result.err == ""
    assert "cells: 6 = 1 done + 5 to run" in result.out
    assert "shared stages to train: 3 continued" in result.out  # one a seed; the start is there
    assert "compute hours" in result.out
    assert "none of these methods reads" not in result.out
    assert (tree(tmp_path), tree(bench_home)) == before


def test_the_paper_protocol_without_its_checkpoint_fails_before_anything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a million molecules")

    monkeypatch.setattr(command, "prepare_pairs", never)
    words = ["--methods", "cp", "--tasks", "moleculenet", "--protocol", "paper", "--out", tmp_path / "run"]
    refused(bench("run", *words), 3, "start.checkpoint", "no path", "--set start.checkpoint=PATH")
    refused(bench("plan", *words), 3, "start.checkpoint", "no path", "--set start.checkpoint=PATH")
    wrong = ["--set", "start.checkpoint=/nowhere/weights.pth"]
    refused(bench("run", *words, *wrong), 3, "start.checkpoint", "/nowhere/weights.pth")
    assert not (tmp_path / "run").exists()


def test_the_path_of_a_checkpoint_does_not_enter_identities(tmp_path: Path) -> None:
    run(tmp_path / "run")  # prepares

    def identity(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        values = TINY | {"start.kind": "checkpoint", "start.checkpoint": str(tmp_path / name)}
        rules = load("smoke", [f"{key}={value}" for key, value in values.items()])
        return chain.build("finetune", "demo:rings", "resnet18", 0, rules).cell.identity

    one = identity("one.pth", b"weights")
    assert identity("other.pth", b"weights") == one
    assert identity("third.pth", b"other weights") != one


def test_a_method_that_reads_no_molecules_is_skipped_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import BACKBONES

    text = replace(BACKBONES.get("resnet18"), name="roberta", modality="text", inputs="text")
    monkeypatch.setitem(BACKBONES._entries, "roberta", text)
    monkeypatch.setitem(
        METHODS._entries, "reader", replace(METHODS.get("finetune"), name="reader", backbones=("roberta",))
    )
    result = run(tmp_path, methods="reader,finetune")
    assert result.code == 0
    reason = "reader has no backbone that reads molecules (it runs on roberta)"
    assert f"skipped: reader on demo:rings: {reason}" in result.err
    plan = planning.read(tmp_path)
    assert plan is not None
    assert plan["skipped"] == [{"method": "reader", "task": "demo:rings", "reason": reason}]
    assert [record.method for record in scan(tmp_path).records] == ["finetune"]
    refused(run(tmp_path, methods="reader"), 2, "nothing to run", reason)


def test_rdkit_says_nothing_while_data_is_prepared(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from tasks.image.render import render
    from tasks.molecules.clusters import maccs_keys

    render("[H]", 64, 32)
    maccs_keys(["[H]"])
    assert capfd.readouterr() == ("", "")
