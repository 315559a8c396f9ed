"""What changed since an older report: known answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import RequestError
from leaderboard import changes
from leaderboard.changes import KeptBoard, KeptEntry, KeptLack, KeptReport, KeptSummary, KeptTask

Scores = dict[str, list[float]]


def summary(row: str, scores: list[float], old: bool) -> KeptSummary:
    ids = [f"{row}-{seed}{'-old' * old}" for seed in range(len(scores))]
    mean = sum(scores) / len(scores)
    return KeptSummary(mean=mean, n=len(scores), scores=scores, seeds=list(range(len(scores))), identities=ids)


def table(task: str, scores: Scores, marks: dict[str, Any] | None = None, old: tuple[str, ...] = ()) -> KeptTask:
    entries = [
        KeptEntry(row=row, summary=summary(row, values, row in old) if values else None, mark=(marks or {}).get(row))
        for row, values in scores.items()
    ]
    return KeptTask(task=task, metric="roc_auc", split_checksum="s" * 64, entries=entries)


def report(*tables: KeptTask, missing: int = 0, focus: str = "cp", protocol: str = "small") -> KeptReport:
    lacking = [KeptLack(seeds=list(range(missing)))] if missing else []
    return KeptReport(
        boards=[KeptBoard(protocol=protocol, focus=focus, tasks=list(tables), cells=9, missing=lacking)]
    ).model_copy(deep=True)


def test_splits_drawn_by_the_seed_are_compared_seed_by_seed() -> None:
    old, new = report(table("demo:a", {"cp": [0.8]})), report(table("demo:a", {"cp": [0.8]}))
    old.boards[0].tasks[0].split_checksums = {1: "one", 2: "two"}
    # A new seed that comes first is no other split.
    new.boards[0].tasks[0].split_checksums = {0: "nil", 1: "one", 2: "else"}
    new.boards[0].tasks[0].split_checksum = "nil"
    (board,) = changes.since(old, new).boards
    assert board.alarms == ["demo:a: split checksum of seed 2 two, now else"]


def test_nothing_changed() -> None:
    one = report(table("demo:a", {"cp": [0.8, 0.9]}))
    found = changes.since(one, one)
    assert (found.protocols, found.boards) == ([], [])
    assert "Nothing changed." in changes.render(found)


def test_new_and_gone_methods_tasks_and_cells() -> None:
    old = report(table("demo:a", {"cp": [0.8, 0.9], "tapt": [0.7]}), table("demo:b", {"cp": [0.8]}), missing=2)
    new = report(table("demo:a", {"cp": [0.8, 0.9, 0.7], "dapt": [0.7]}), table("demo:c", {"cp": [0.8]}))
    (board,) = changes.since(old, new).boards
    assert board.facts == [
        "new methods: dapt",
        "gone methods: tapt",
        "new tasks: demo:c",
        "gone tasks: demo:b",
        "cells missing: 2, now 0",
        "cp: new seeds 2 on demo:a",
    ]
    (moved,) = board.moved
    assert (moved.row, moved.task, moved.records) == ("cp", "demo:a", "2 kept, 1 new")
    assert moved.after.mean - moved.before.mean == pytest.approx(-0.05)
    assert board.alarms == []


def test_a_row_that_comes_on_one_task_only() -> None:
    old = report(table("demo:a", {"cp": [0.8], "tapt": []}), table("demo:b", {"cp": [], "tapt": [0.8]}))
    new = report(table("demo:a", {"cp": [0.8], "tapt": [0.9]}), table("demo:b", {"cp": [0.7], "tapt": []}))
    (board,) = changes.since(old, new).boards
    assert board.facts == ["tapt on demo:a: new", "tapt on demo:b: gone", "cp on demo:b: new"]


def test_a_mean_of_other_records_is_no_alarm() -> None:
    old, new = report(table("demo:a", {"cp": [0.8, 0.9]}, old=("cp",))), report(table("demo:a", {"cp": [0.7, 0.9]}))
    (board,) = changes.since(old, new).boards
    assert [one.records for one in board.moved] == ["2 new, 2 gone"]
    assert board.alarms == []


def test_the_same_record_with_another_score_is_an_alarm() -> None:
    old, new = report(table("demo:a", {"cp": [0.8, 0.9]})), report(table("demo:a", {"cp": [0.9, 0.8]}))
    (board,) = changes.since(old, new).boards
    assert board.alarms == [
        "cp on demo:a: record cp-0 scored 0.8, now 0.9",
        "cp on demo:a: record cp-1 scored 0.9, now 0.8",
    ]
    assert board.moved == []  # the mean did not notice
    text = changes.render(changes.since(old, new))
    assert text.index("**The same records or tasks say something else than before:**") < text.index("record cp-0")


def test_another_split_or_metric_is_an_alarm() -> None:
    new = report(table("demo:a", {"cp": [0.8]}), table("demo:b", {"cp": [0.8]}))
    old = new.model_copy(deep=True)
    old.boards[0].tasks[0].split_checksum = "other"
    old.boards[0].tasks[1].metric = "rmse"
    (board,) = changes.since(old, new).boards
    assert board.alarms == [
        "demo:a: split checksum other, now ssssssssssssssss",
        "demo:b: metric rmse, now roc_auc; means are not compared",
    ]


def test_marks_that_appear_vanish_and_flip() -> None:
    scores: Scores = {"cp": [0.8], "a": [0.1], "b": [0.2], "c": [0.3]}
    old = report(table("demo:a", scores, {"a": "better", "b": "worse"}))
    new = report(table("demo:a", scores, {"a": "worse", "c": "better"}))
    (board,) = changes.since(old, new).boards
    assert board.marks == [
        "a on demo:a: better, now worse",
        "b on demo:a: worse, now no mark",
        "c on demo:a: no mark, now better",
    ]
    other = changes.since(old, report(*new.boards[0].tasks, focus="a")).boards[0]
    assert other.marks == []
    assert other.facts == ["focus method: cp, now a; marks are against the focus, so not compared"]


def test_new_and_gone_protocols() -> None:
    one = table("demo:a", {"cp": [0.8]})
    found = changes.since(report(one), report(one, protocol="paper"))
    assert found.protocols == ["new protocols: paper", "gone protocols: small"]


def test_untrusted_names_are_escaped() -> None:
    name = "<script>alert(1)</script>|x\n# y"
    old, new = report(table("demo:a", {name: [0.8]})), report(table("demo:a", {name: [0.9, 0.9]}))
    text = changes.render(changes.since(old, new))
    assert "\\<script>" in text
    assert "<script>" not in text.replace("\\<script>", "")
    assert "\n# y" not in text
    assert "\\|x" in text


def test_a_report_of_version_0_1_0_is_read(tmp_path: Path) -> None:
    summary = {"mean": 0.8, "sd": None, "n": 1, "scores": [0.8], "seeds": [0], "identities": ["cp-0"]}
    entry = {"row": "cp", "summary": summary, "readouts": {}, "cost": None, "planned": 3, "skipped": None,
             "published": True, "budgets": [], "tied_with_best": False, "mark": None}  # fmt: skip
    task = {"task": "demo:a", "metric": "roc_auc", "higher_is_better": True, "split_checksum": "s" * 64,
            "entries": [entry], "comparisons": [], "no_marks": None, "no_ties": None, "smallest_effect": None,
            "learned": []}  # fmt: skip
    board = {"protocol": "small", "focus": "cp", "rows": [], "seeds": [0], "tasks": [task], "cells": 9, "missing": [],
             "failed": [], "pictures": [], "software": {}}  # fmt: skip
    content = {"boards": [board], "skipped": [], "damaged": [], "set_aside": []}
    (tmp_path / "report.json").write_text(json.dumps(content))
    new = report(table("demo:a", {"cp": [0.8]}))
    for path in (tmp_path, tmp_path / "report.json"):
        assert changes.since(changes.read(path), new).boards == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON"),
        ("[1, 2", "no JSON"),
        ("[]", "content: Input should be"),
        ("{}", "boards: Field required"),
        ('{"boards": [{"protocol": "small", "cells": 1}]}', r"boards\.0\.tasks: Field required"),
    ],
)
def test_a_damaged_report_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(RequestError, match=rf"--baseline: expected a whole report, got .*report\.json \({said}"):
        changes.read(tmp_path)


def test_no_report_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.json"):
        with pytest.raises(RequestError, match=r"--baseline: expected an older report\.json or a folder"):
            changes.read(path)
