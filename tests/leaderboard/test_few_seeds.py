"""What is said of bootstrap intervals where seeds are few."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leaderboard.page.view import view
from leaderboard.pictures import error_removed
from leaderboard.report import build
from leaderboard.statistics.bootstrap import aggregate
from leaderboard.tables.markdown import render
from leaderboard.versus import versus
from tests.leaderboard.fabricate import grid, record, save

SHORT = "Bootstrap intervals are too short below about 10 seeds (here {n} at the fewest)"
NONE = "No bootstrap interval where a side has fewer than 4 seeds."


@pytest.mark.parametrize("seeds", [1, 3])
def test_no_interval_below_four_seeds(tmp_path: Path, seeds: int) -> None:
    save(tmp_path, grid(seeds))
    report = build([tmp_path])
    (suite,) = report.boards[0].suites
    for row in suite.rows:
        assert row.iqm
        assert (row.iqm.interval, row.iqm_over_tasks) == (None, None)
        assert all(removed and removed.interval is None for removed in row.error_removed)
    assert all(comparison.improvement.interval is None for comparison in suite.comparisons)
    text = render(report)
    assert NONE in text
    assert "Bootstrap intervals are too short" not in text
    assert view(report)["boards"][0]["suites"][0]["bootstrap"] == [NONE]
    assert "with 95 %" not in error_removed.describe(report.boards[0], "moleculenet")
    (one,) = versus([tmp_path], "tapweight", "cp")
    assert one.together[0].comparison.improvement.interval is None


def test_one_side_with_few_seeds_is_enough_to_have_none(tmp_path: Path) -> None:
    save(tmp_path, [cell for cell in grid(5) if cell.method != "cp" or cell.seed < 3 or cell.task.endswith("esol")])
    report = build([tmp_path])
    (suite,) = report.boards[0].suites
    rows = {row.row: row for row in suite.rows}
    cp = rows["cp"]
    assert [removed and removed.interval is None for removed in cp.error_removed] == [True, False]
    assert cp.iqm
    assert cp.iqm.interval is None
    assert rows["tapweight"].iqm_over_tasks is not None
    assert {one.other: one.improvement.interval is None for one in suite.comparisons} == {"finetune": False, "cp": True}
    text = render(report)
    assert NONE in text
    assert SHORT.format(n=5) in text


def test_ten_seeds_need_no_warning(tmp_path: Path) -> None:
    save(tmp_path, grid(10))
    assert "Bootstrap intervals" not in render(build([tmp_path]))


def test_the_coverage_that_is_told_is_that_of_five_seeds() -> None:
    generator = np.random.default_rng(0)
    held = []
    for _ in range(600):
        a, b = generator.normal(0.8, 0.02, (2, 5))
        low, high = aggregate([a], [b], [True], generator=generator, draws=300).error_removed_intervals[0]
        held.append(low <= 0 <= high)
    assert np.mean(held) == pytest.approx(0.87, abs=3.5 * np.sqrt(0.87 * 0.13 / 600))


def test_who_is_better_than_fine_tuning_is_told_by_the_test(tmp_path: Path) -> None:
    """At five seeds a bootstrap interval lies above zero where the exact test is far from finding anything."""
    scores = {
        ("finetune", "a"): [0.70, 0.71, 0.72, 0.73, 0.74], ("tapweight", "a"): [0.725, 0.73, 0.735, 0.74, 0.745],
        ("finetune", "b"): [0.70, 0.71, 0.72, 0.73, 0.74], ("tapweight", "b"): [0.80, 0.81, 0.82, 0.83, 0.84],
    }  # fmt: skip
    save(tmp_path, [record(method, f"demo:{task}", seed, score)
                    for (method, task), found in scores.items() for seed, score in enumerate(found)])  # fmt: skip
    (board,) = build([tmp_path]).boards
    row = next(row for row in board.suites[0].rows if row.row == "tapweight")
    assert all(removed and removed.low is not None and removed.low > 0 for removed in row.error_removed)
    assert board.tasks[0].pairwise
    assert (board.tasks[0].pairwise.p[0][1] or 0) > 0.05
    told = error_removed.describe(board, "demo")
    assert "tapweight is better than fine-tuning on 1 of 2 tasks (two-sided permutation test, p <= 0.05" in told
