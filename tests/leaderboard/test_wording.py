"""What was not found is not said to be absent, and who was not judged is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from leaderboard.content import Report
from leaderboard.page.view import view
from leaderboard.report import build
from leaderboard.tables.markdown import render
from tests.leaderboard.fabricate import record, save


def made(folder: Path, sizes: dict[str, int], task: str = "demo:a") -> Report:
    generator = np.random.default_rng(0)
    for method, n in sizes.items():
        save(folder, [record(method, task, seed, 0.8 + generator.normal(0, 0.01)) for seed in range(n)])
    return build([folder])


def test_no_mark_is_no_evidence_of_equality(tmp_path: Path) -> None:
    text = render(made(tmp_path, {"finetune": 5, "cp": 5, "tapweight": 5}))
    assert "No mean is separated from that of the focus method tapweight (p > 0.05 after Holm" in text
    assert "No mean differs" not in text


def test_rows_with_too_few_seeds_for_bold_are_named(tmp_path: Path) -> None:
    made(tmp_path, {"finetune": 10, "cp": 1, "tapweight": 10})
    report = made(tmp_path, {"finetune": 10, "cp": 10, "tapweight": 10}, "demo:b")
    assert [task.not_judged for task in report.boards[0].tasks] == [["cp"], []]
    assert "- Not judged, too few seeds on a: cp." in render(report).splitlines()
    assert [task["not_judged"] for task in view(report)["boards"][0]["tasks"]] == [["cp"], []]


def test_where_nobody_is_judged_one_line_says_so(tmp_path: Path) -> None:
    report = made(tmp_path, {"finetune": 3, "cp": 3})
    assert report.boards[0].tasks[0].not_judged == []
    assert "too few seeds to separate any method from the best (3)" in render(report)
    assert "Not judged" not in render(report)
