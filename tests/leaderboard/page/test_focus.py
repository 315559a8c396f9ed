"""Marks follow the focus: the page's own Holm against reports that were built with that focus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leaderboard.content import Report
from leaderboard.statistics.floors import shown
from leaderboard.statistics.holm import holm
from tests.leaderboard.fabricate import grid, large
from tests.leaderboard.page.conftest import METHODS, TASKS, Opened, marks, results
from tests.leaderboard.page.reports import report_of


def test_marks_of_every_focus_are_those_of_a_report_built_with_it(
    opened: Opened, report: Report, tmp_path: Path
) -> None:
    page = opened(report, "#suite=")
    kinds = set()
    for focus in METHODS:
        page.get_by_label("Focus method").select_option(focus)
        (board,) = report_of(tmp_path, results(), focus).boards
        assert board.focus == focus
        expected = {(e.row, task.name): e.mark for task in board.tasks for e in task.entries if e.mark}
        assert marks(page) == expected
        kinds |= set(expected.values())
    assert kinds == {"better", "worse"}


def test_too_few_seeds_are_refused_for_every_focus(opened: Opened, tmp_path: Path) -> None:
    page = opened(report_of(tmp_path, large(METHODS, 4, TASKS, 5)), "#suite=")
    for focus in METHODS:
        page.get_by_label("Focus method").select_option(focus)
        assert marks(page) == {}
        assert "4 seeds allow p >= 0.029, a family of 4 tests needs p <= 0.013" in page.locator("#notes").text_content()


def test_a_protocol_without_significance_has_no_marks(opened: Opened, tmp_path: Path) -> None:
    page = opened(report_of(tmp_path, grid(6, marks=False)))
    for focus in ("finetune", "tapweight"):
        page.get_by_label("Focus method").select_option(focus)
        assert marks(page) == {}
        assert "this protocol supports no significance" in page.locator("#notes").text_content()


def test_suite_tests_say_whose_they_are(opened: Opened, report: Report) -> None:
    page = opened(report)
    assert "P(improvement)" in page.locator("#suites thead").last.text_content()
    page.get_by_label("Focus method").select_option("cp")
    assert "P(improvement)" not in page.locator("#suites thead").last.text_content()
    assert "Holm over all 10 pairs" in page.locator("#suites").text_content()
    assert "computed for the focus tapweight alone" in page.locator("#suites").text_content()


def test_arithmetic_is_that_of_python(opened: Opened, report: Report) -> None:
    page = opened(report)
    generator = np.random.default_rng(0)
    for size in (1, 2, 7, 30):
        p = [float(value) for value in np.round(generator.uniform(0, 0.2, size), 2)]  # with ties
        assert page.evaluate("(p) => holm(p)", p) == holm(p)
    assert page.evaluate("holm([0.03, 0.04, 0.045])") == pytest.approx([0.09, 0.09, 0.09])
    assert page.evaluate("holm([])") == []
    for value in (1.0, 0.5, 0.095, 0.0949, 0.05, 0.0079, 0.00012, 0.0000108):
        assert page.evaluate("(p) => shownP(p)", value) == shown(value)
    assert page.evaluate("ranks([3, 1, null, 3, 2], true)") == [1.5, 4, None, 1.5, 3]
    assert page.evaluate("ranks([3, 1, null, 3, 2], false)") == [3.5, 1, None, 3.5, 2]
    assert page.evaluate("sd([1, 2, 4])") == pytest.approx(np.std([1, 2, 4], ddof=1))
    assert page.evaluate("sd([1])") is None
    assert page.evaluate("[fixed(-0.0001, 3), fixed(-0.5, 1), signed(0.00001, 2), signed(0.5, 1)]") == [
        "0.000", "−0.5", "0.00", "+0.5",
    ]  # fmt: skip
    assert page.evaluate("ranges([0, 1, 2, 5, 7, 8])") == "0-2, 5, 7-8"
    heights = page.evaluate("apart([10, 11, 12, 190], 14, 10, 170)")
    assert heights == [10, 24, 38, 170]
    texts = [text for _, text in page.evaluate("ticksOf(0.611, 0.779, 5)")]
    assert texts == ["0.65", "0.70", "0.75"]
