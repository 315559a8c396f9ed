"""The data of the page: complete, compact, and following from the report alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leaderboard.content import Report
from leaderboard.page.view import POINTS, view
from leaderboard.statistics.floors import refusal
from tests.leaderboard.fabricate import grid, large
from tests.leaderboard.page.conftest import METHODS, TASKS, results
from tests.leaderboard.page.reports import report_of


def test_it_follows_from_the_file_alone(report: Report) -> None:
    again = Report.model_validate_json(report.model_dump_json())
    assert view(again) == view(report)
    json.dumps(view(report), allow_nan=False)


def test_runs_stand_by_field_in_the_order_of_the_scores(report: Report) -> None:
    (board,) = view(report)["boards"]
    for place, task in enumerate(board["tasks"]):
        for row, entry in enumerate(task["entries"]):
            summary = report.boards[0].tasks[place].entries[row].summary
            assert summary
            assert entry["runs"]["score"] == summary.scores
            assert entry["runs"]["seed"] == summary.seeds


def test_without_runs_the_summary_serves(tmp_path: Path) -> None:
    found = report_of(tmp_path, grid(2))
    for entry in found.boards[0].tasks[0].entries:
        entry.runs = []
    runs = view(found)["boards"][0]["tasks"][0]["entries"][0]["runs"]
    assert runs["seed"] == [0, 1]
    assert len(runs["score"]) == len(runs["identity"]) == 2


def test_pairs_are_those_of_the_report_by_row(report: Report) -> None:
    (board,) = view(report)["boards"]
    labels = [row["label"] for row in board["rows"]]
    for shown, task in zip(board["tasks"], report.boards[0].tasks, strict=True):
        assert task.pairwise
        for a, line in zip(task.pairwise.rows, task.pairwise.p, strict=True):
            for b, p in zip(task.pairwise.rows, line, strict=True):
                assert shown["p"][labels.index(a)][labels.index(b)] == pytest.approx(p)
        for found in task.comparisons:
            assert shown["p"][labels.index(found.focus)][labels.index(found.other)] == found.p


@pytest.mark.parametrize("seeds", [3, 4, 6])
def test_refusals_are_those_of_a_report_with_that_focus(tmp_path: Path, seeds: int) -> None:
    cells = [cell for cell in large(METHODS, seeds, TASKS, 5) if cell.seed or cell.method != "cp"]
    report = report_of(tmp_path, cells)
    (board,) = view(report)["boards"]
    for focus in METHODS:
        (expected,) = report_of(tmp_path, [], focus).boards
        place = [row.label for row in expected.rows].index(focus)
        for shown, task in zip(board["tasks"], expected.tasks, strict=True):
            assert shown["refusals"][place] == task.no_marks


def test_paired_tasks_are_refused_by_their_sign_flips(tmp_path: Path) -> None:
    report = report_of(tmp_path, large(METHODS, 6, TASKS, 5))
    task = report.boards[0].tasks[0]
    assert refusal([(6, 6)] * 4) is None
    assert task.pairwise
    task.pairwise.pairing = "paired"
    place = METHODS.index("cp")
    rows = [row.label for row in report.boards[0].rows]
    shown = view(report)["boards"][0]["tasks"][0]["refusals"][rows.index(METHODS[place])]
    assert shown is not None
    assert "0.031" in shown


def test_without_pairs_other_focuses_are_refused(tmp_path: Path) -> None:
    report = report_of(tmp_path, large(METHODS, 6, TASKS, 5))
    for task in report.boards[0].tasks:
        task.pairwise = None
    (board,) = view(report)["boards"]
    labels = [row["label"] for row in board["rows"]]
    refusals = dict(zip(labels, board["tasks"][0]["refusals"], strict=True))
    assert refusals.pop("tapweight") is None
    assert refusals["cp"] == "this report holds no tests of cp; write one with --focus cp"
    assert all(refusals.values())


def test_curves_are_thinned_with_both_ends(tmp_path: Path) -> None:
    report = report_of(tmp_path, large(("finetune", "tapweight"), 2, TASKS[:1], 180))
    (task,) = view(report)["boards"][0]["tasks"]
    full = report.boards[0].curves[0].weights[0]
    shown = task["weights"][1]
    assert task["weights"][0] is None
    assert len(full.steps) == 180
    assert len(shown["steps"]) == len(shown["mean"]) == len(shown["sd"]) == POINTS
    assert (shown["steps"][0], shown["steps"][-1]) == (full.steps[0], full.steps[-1])
    assert shown["steps"] == sorted(set(shown["steps"]))
    assert shown["mean"][-1] == pytest.approx(full.mean[-1], abs=1e-4)
    assert shown["objectives"] == full.objectives


def test_what_lacks_and_the_words_are_there(tmp_path: Path) -> None:
    (board,) = view(report_of(tmp_path, results()))["boards"]
    assert [item["reason"] for item in board["failed"]] == ["loss is not finite"]
    assert [task["metric_name"] for task in board["tasks"]] == ["accuracy", "ROC-AUC", "RMSE"]


def test_suites_have_a_place_for_every_row_of_the_board(tmp_path: Path) -> None:
    """A method without any record in a suite must not shift the others."""
    cells = [c for c in large(METHODS, 2, TASKS, 3) if c.method != "cp" or c.task.startswith("glue")]
    report = report_of(tmp_path, cells)
    (board,) = view(report)["boards"]
    labels = [row["label"] for row in board["rows"]]
    for suite in board["suites"]:
        assert len(suite["rows"]) == len(labels)
        assert all(row is None or row["row"] == label for row, label in zip(suite["rows"], labels, strict=True))
        given = next(one for one in report.boards[0].suites if one.suite == suite["suite"])
        assert [row["row"] for row in suite["rows"] if row] == [row.row for row in given.rows]
