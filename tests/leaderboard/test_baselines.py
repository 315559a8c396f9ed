"""Fine-tuning with several backbones: which of its rows cost and error removed are counted from."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.records import Record
from leaderboard.content import Board
from leaderboard.page.view import view
from leaderboard.pictures.rows import baseline
from leaderboard.report import build
from leaderboard.tables.markdown import render
from leaderboard.versus import versus
from tests.leaderboard.fabricate import record, save

TASKS = ("moleculenet:bace", "moleculenet:bbbp")
LEVELS = {
    ("finetune", "gin"): 0.7,
    ("finetune", "image"): 0.8,
    ("graphmvp", "gin"): 0.76,
    ("tapweight", "image"): 0.78,
    ("mlm", "text"): 0.9,
}
SECONDS = {"gin": 10.0, "image": 100.0, "text": 50.0}


def cells(lacking: str = "") -> list[Record]:
    """Two methods with fine-tuning of their own backbone, one without; ``lacking`` is a task without finetune (gin)."""
    return [
        record(method, task, seed, level, backbone=backbone, seconds={"finetune": SECONDS[backbone]})
        for task in TASKS
        for (method, backbone), level in LEVELS.items()
        for seed in range(5)
        if (method, backbone, task) != ("finetune", "gin", lacking)
    ]


def board_of(folder: Path, records: list[Record]) -> Board:
    save(folder, records)
    (board,) = build([folder]).boards
    return board


def removed(board: Board) -> dict[str, list[float | None]]:
    (suite,) = board.suites
    return {row.row: [one and round(one.value, 9) for one in row.error_removed] for row in suite.rows}


def test_fine_tuning_of_the_own_backbone_is_the_baseline(tmp_path: Path) -> None:
    board = board_of(tmp_path, cells())
    assert removed(board) == {
        "finetune (gin)": [0.0, 0.0],
        "finetune (image)": [0.0, 0.0],
        "graphmvp": [0.2, 0.2],
        "tapweight": [-0.1, -0.1],
        "mlm": [pytest.approx(2 / 3)] * 2,  # none of its backbone: the first of those with most tasks
    }
    ratios = {entry.row: entry.cost.ratio for entry in board.tasks[0].entries if entry.cost}
    assert ratios == {"finetune (gin)": 1, "finetune (image)": 1, "graphmvp": 1, "tapweight": 1, "mlm": 5}
    assert {row.row: row.cost_ratio for row in board.suites[0].rows} == ratios
    text = render(build([tmp_path]))
    line = (
        "Fine-tuning, from which cost and error removed are counted: finetune (gin) for graphmvp and mlm; "
        "finetune (image) for tapweight."
    )
    assert line in text
    assert "Differences between methods are in shares of the error of finetune (gin), whatever their backbones." in text
    (shown,) = view(build([tmp_path]))["boards"]
    assert shown["suites"][0]["baselines"] == [line]
    labels = [row["label"] for row in shown["rows"]]
    entries = shown["tasks"][0]["entries"]
    assert labels[entries[labels.index("tapweight")]["baseline"]] == "finetune (image)"


def test_the_baseline_of_a_suite_has_the_most_tasks(tmp_path: Path) -> None:
    """And a row is measured against one on all its tasks, not against its own where that happens to have a record."""
    board = board_of(tmp_path, cells(lacking=TASKS[1]))
    (suite,) = board.suites
    assert suite.no_aggregate is None
    assert {task.baseline for task in board.tasks} == {"finetune (image)"}
    assert baseline(board) == "finetune (image)"
    assert removed(board)["graphmvp"] == pytest.approx([-0.2, -0.2])
    assert removed(board)["finetune (gin)"] == [0.0, None]
    # Differences are on one scale, so that their signs are those of the scores.
    for comparison in suite.comparisons:
        lower = {"graphmvp": 0.76, "finetune (gin)": 0.7, "finetune (image)": 0.8, "mlm": 0.9}[comparison.other]
        assert comparison.difference == pytest.approx((0.78 - lower) / 0.2)
    for task in board.tasks:
        for found in task.comparisons:
            assert found.effect_error_removed == pytest.approx(found.effect / 0.2)
    (one,) = versus([tmp_path], "graphmvp", "tapweight")
    assert one.together[0].comparison.difference == pytest.approx(-0.02 / 0.2)
    assert [task.comparison.effect_error_removed for task in one.tasks] == pytest.approx([-0.1, -0.1])


def test_a_row_is_compared_by_its_name_with_another_method(tmp_path: Path) -> None:
    save(tmp_path, cells())
    (found,) = versus([tmp_path], "finetune (image)", "tapweight")
    assert found.rows == ("finetune (image)", "tapweight")
    more = [record("tapweight", task, seed, 0.5, backbone="gin") for task in TASKS for seed in range(5)]
    save(tmp_path, more)
    (found,) = versus([tmp_path], "tapweight (image)", "mlm")
    assert [task.comparison.effect for task in found.tasks] == pytest.approx([-0.12, -0.12])


def test_one_row_of_fine_tuning_needs_no_name(tmp_path: Path) -> None:
    board_of(tmp_path, [one for one in cells() if (one.method, one.backbone) != ("finetune", "gin")])
    text = render(build([tmp_path]))
    assert "are counted: finetune" not in text
    assert "whatever their backbones" not in text
