"""Planned tasks without any record are named wherever something is said over the others together."""

from __future__ import annotations

from pathlib import Path

from leaderboard.page.view import view
from leaderboard.report import build
from leaderboard.tables.outline import sections
from tests.leaderboard.fabricate import METHODS, TASKS, failure, grid, plan, record, save

LINE = "Over 2 of 3 planned tasks: hiv has no record."


def test_every_aggregate_says_which_planned_task_it_is_without(tmp_path: Path) -> None:
    lacking = [record(method, "moleculenet:hiv", seed, 0.0) for method in METHODS for seed in range(5)]
    save(tmp_path, [*grid(), failure("cp", "moleculenet:hiv", 0)])
    plan(tmp_path, [*grid(), *lacking], METHODS, [*TASKS, "moleculenet:hiv", "glue:rte"])
    report = build([tmp_path])
    (suite,) = report.boards[0].suites
    assert (suite.tasks, suite.unrecorded) == (TASKS, ["moleculenet:hiv"])
    said = {table.name for section in sections(report) for table in section.tables if LINE in table.notes}
    parts = ("", "-comparisons", "-ranking", "-error-removed", "-cost")
    assert said == {f"small-moleculenet{part}" for part in parts}
    assert view(report)["boards"][0]["suites"][0]["coverage"] == [LINE]


def test_nothing_is_said_where_nothing_lacks(tmp_path: Path) -> None:
    save(tmp_path, grid())
    plan(tmp_path, grid(), METHODS, TASKS)
    assert build([tmp_path]).boards[0].suites[0].unrecorded == []
