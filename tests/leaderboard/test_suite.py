"""What is said over several tasks together."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from bench.records import Record
from leaderboard.content import Board, SuiteTable
from leaderboard.content.board import task_name
from leaderboard.report import build
from leaderboard.statistics.floors import smallest_paired_p
from leaderboard.statistics.signs import sign_flip, sign_flip_interval
from leaderboard.tables.markdown import render
from tests.leaderboard.fabricate import LARGE_METHODS, grid, large, record, save

EIGHT = [f"moleculenet:{name}" for name in ("bace", "bbbp", "clintox", "sider", "tox21", "toxcast", "hiv", "muv")]


def board_of(folder: Path, records: list) -> Board:  # type: ignore[type-arg]
    save(folder, records)
    (board,) = build([folder]).boards
    return board


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> SuiteTable:
    """Three methods, eight tasks: tapweight removes an eighth of the error everywhere, rlw adds a tenth."""
    folder = tmp_path_factory.mktemp("eight")
    board = board_of(folder, large(("finetune", "tapweight", "rlw"), seeds=5, tasks=EIGHT, updates=2))
    (suite,) = board.suites
    return suite


def test_error_removed_of_fine_tuning_is_zero_and_of_the_others_what_was_put_in(eight: SuiteTable) -> None:
    finetune, tapweight, rlw = (next(row for row in eight.rows if row.row == name) for name in
                                ("finetune", "tapweight", "rlw"))  # fmt: skip
    assert all(value is not None and abs(value.value) < 1e-12 for value in finetune.error_removed)
    for row, expected in ((tapweight, 0.12), (rlw, -0.1)):
        assert row.iqm is not None
        assert row.iqm.low < row.iqm.value < row.iqm.high
        assert row.iqm.value == pytest.approx(expected, abs=0.03)
        assert row.iqm_over_tasks is not None
        assert row.iqm_over_tasks.low <= row.iqm_over_tasks.high
    assert [row.average_rank for row in (tapweight, finetune, rlw)] == [1.0, 2.0, 3.0]


def test_the_sign_flip_is_that_of_the_task_means(eight: SuiteTable) -> None:
    means = {row.row: np.array([value.value for value in row.error_removed if value]) for row in eight.rows}
    for comparison in eight.comparisons:
        differences = means["tapweight"] - means[comparison.other]
        expected = sign_flip(differences, generator=np.random.default_rng(0))
        assert comparison.difference == pytest.approx(differences.mean())
        assert comparison.p == expected.p == smallest_paired_p(8)
        ends = sign_flip_interval(differences, generator=np.random.default_rng(0))
        assert comparison.interval is not None
        assert (comparison.interval.low, comparison.interval.high) == pytest.approx(ends)
        assert (comparison.interval.low > 0) == (comparison.difference > 0)
        assert comparison.p_holm == pytest.approx(2 * expected.p)
        assert comparison.p_stratified is not None
        assert comparison.p_stratified <= 0.001
        assert comparison.improvement.value > 0.9
        assert len(comparison.identities_focus) == 8 * 5
    assert eight.no_marks is None


def test_groups_of_neighbours(eight: SuiteTable) -> None:
    ranking = eight.ranking
    assert ranking is not None
    assert ranking.rows == ["tapweight", "finetune", "rlw"]
    assert ranking.no_groups is None
    assert ranking.groups == []  # all three are separated: 3 pairs x 0.0078 <= 0.05
    assert ranking.family_size == 3


def test_paired_tasks_count_the_common_seeds_alone(tmp_path: Path) -> None:
    """Of cp the easiest splits lack, which says nothing about cp: it is as good as fine-tuning."""
    cells = [
        record(method, f"glue:{name}", seed, 0.9 - 0.05 * seed + gain, paired=True, split_checksum=f"{seed}")
        for name in "abcdefgh"
        for method, gain in (("finetune", 0.0), ("cp", 0.0), ("tapweight", 0.01))
        for seed in range(8)
        if method != "cp" or seed > 3
    ]
    board = board_of(tmp_path, cells)
    (suite,) = board.suites
    error = 1 - np.mean([0.9 - 0.05 * seed for seed in range(8)])
    for comparison in suite.comparisons:
        assert comparison.difference == pytest.approx(0.01 / error)
        assert (
            len(comparison.identities_focus)
            == len(comparison.identities_other)
            == 8 * (4 if comparison.other == "cp" else 8)
        )
    assert suite.ranking
    cp, finetune = (suite.ranking.rows.index(name) for name in ("cp", "finetune"))
    assert suite.ranking.p_holm[cp][finetune] == 1.0


def test_paired_tasks_are_resampled_in_pairs(tmp_path: Path) -> None:
    """A twentieth less of the error on every split, of splits far apart: each run wins at its seed."""
    cells = [
        record(method, f"glue:{name}", seed, 1 - left * (0.5 - 0.08 * seed), paired=True, split_checksum=f"{seed}")
        for name in "ab"
        for method, left in (("finetune", 1.0), ("tapweight", 0.95))
        for seed in range(5)
        if (method, seed) != ("tapweight", 4)
    ]
    (suite,) = board_of(tmp_path, cells).suites
    (comparison,) = suite.comparisons
    assert (comparison.improvement.value, comparison.improvement.low, comparison.improvement.high) == (1, 1, 1)
    row = next(row for row in suite.rows if row.row == "tapweight")
    for removed in row.error_removed:
        assert removed
        assert (removed.value, removed.low, removed.high) == pytest.approx((0.05, 0.05, 0.05))  # of the four seeds


def by_split(method: str, task: str, seeds: Iterable[int], gain: float = 0.0, step: float = 0.01) -> list[Record]:
    """Scores that the split decides, up to ``gain``."""
    return [
        record(method, task, seed, 0.7 + step * seed + gain, paired=True, split_checksum=f"{seed}") for seed in seeds
    ]


def test_paired_tasks_without_a_common_seed_are_not_taken_for_pairs(tmp_path: Path) -> None:
    cells = [
        one
        for name in "ab"
        for method, seeds in (("finetune", range(3)), ("tapweight", range(3, 7)))
        for one in by_split(method, f"glue:{name}", seeds)
    ]
    board = board_of(tmp_path, cells)
    (suite,) = board.suites
    assert suite.comparisons == []
    row = next(row for row in suite.rows if row.row == "tapweight")
    assert (row.error_removed, row.iqm, row.unshared) == ([None, None], None, ["glue:a", "glue:b"])
    text = render(build([tmp_path]))
    assert "No aggregate for tapweight: on a and b the seed draws the split and none is shared" in text
    assert "The gain over finetune is between different splits, so nothing is tested" in text
    (compared,) = board.tasks[0].comparisons
    assert (compared.p, compared.effect_error_removed) == (None, None)


def test_a_comparison_drops_the_tasks_without_a_common_seed(tmp_path: Path) -> None:
    """Scores that only the split decides: what differs between the methods is which splits they have."""
    cells = [
        one
        for name in "abcdefgh"
        for method, seeds in (("finetune", range(10)), ("tapweight", range(5)), ("cp", range(5, 10)))
        for one in by_split(method, f"glue:{name}", range(10) if (method, name) == ("cp", "h") else seeds)
    ]
    (suite,) = board_of(tmp_path, cells).suites
    found = {one.other: (one.tasks, one.difference) for one in suite.comparisons}
    assert found["finetune"] == ([f"glue:{name}" for name in "abcdefgh"], 0.0)
    assert found["cp"] == (["glue:h"], 0.0)
    assert suite.ranking is None
    text = render(build([tmp_path]))
    assert "cp: without a, b, c, d, e, f and g, where it shares no seed with tapweight and the seed draws the" in text
    assert "No rank and no average over the tasks: on a, b, c, d, e, f and g the seed draws the split" in text


def test_ranks_average_and_bold_of_paired_tasks_rest_on_the_shared_seeds(tmp_path: Path) -> None:
    """Of cp, the best at every seed, the easy splits lack: its mean over its own seeds is the lowest."""
    cells = [
        one
        for name in "abcdefgh"
        for method, seeds, gain in (
            ("finetune", range(10), 0.0),
            ("cp", range(6), 0.005),
            ("tapweight", range(10), 0.003),
        )
        for one in by_split(method, f"glue:{name}", seeds, gain)
    ]
    save(tmp_path, cells)
    (board,) = build([tmp_path], "cp").boards
    (suite,) = board.suites
    assert suite.ranking
    assert suite.ranking.rows == ["cp", "tapweight", "finetune"]
    assert suite.shared_seeds == {f"glue:{name}": [0, 1, 2, 3, 4, 5] for name in "abcdefgh"}
    means = {row.row: row.mean_score for row in suite.rows}
    assert means == pytest.approx({"finetune": 0.725, "cp": 0.73, "tapweight": 0.728})
    assert all(comparison.difference > 0 for comparison in suite.comparisons)  # as the ranks say
    bold = [entry.row for entry in board.tasks[0].entries if entry.tied_with_best]
    assert bold == ["cp"]
    text = render(build([tmp_path], "cp"))
    assert "so only the seeds that all ranked methods have count (0-5)." in text
    assert "the seed draws the split: there the best mean is that over the seeds" in text


def test_a_row_that_has_just_begun_does_not_choose_the_best(tmp_path: Path) -> None:
    """It shares no seed with the others, which are compared as if it were not there."""
    gains = {"finetune": 0.0, "tapweight": 0.02}
    cells = [one for method, gain in gains.items() for one in by_split(method, "glue:a", range(1, 9), gain)]
    board = board_of(tmp_path, [*cells, *by_split("cp", "glue:a", [0], 0.01)])
    assert {entry.row: entry.tied_with_best for entry in board.tasks[0].entries} == {
        "finetune": False,
        "tapweight": True,
        "cp": False,
    }


def test_a_row_ahead_of_the_best_in_pairs_is_not_separated_from_it(tmp_path: Path) -> None:
    """Best over the six seeds that all have is cp, by little; over the twelve of both finetune is far ahead of it."""
    cells = [one for gain, seeds in ((0.0, range(6)), (0.1, range(6, 12)))
             for one in by_split("finetune", "glue:a", seeds, gain)]  # fmt: skip
    cells += by_split("cp", "glue:a", range(12), 0.001) + by_split("tapweight", "glue:a", range(6), -0.01)
    board = board_of(tmp_path, cells)
    (task,) = board.tasks
    assert task.pairwise
    assert task.pairwise.p[0][1] == pytest.approx(2 / 64, abs=0.02)
    assert [(entry.row, entry.tied_with_best) for entry in task.entries] == [
        ("finetune", True),
        ("cp", True),
        ("tapweight", False),
    ]


def test_two_tasks_allow_aggregates_but_no_marks(tmp_path: Path) -> None:
    (suite,) = board_of(tmp_path, grid()).suites
    assert suite.no_aggregate is None
    assert "2 tasks allow p >= 0.50" in (suite.no_marks or "")
    assert suite.ranking is not None
    assert suite.ranking.groups == []
    assert suite.ranking.no_groups is not None
    rows = {row.row: row for row in suite.rows}
    assert rows["tapweight-null"].iqm is not None  # controls are aggregated
    assert rows["tapweight-null"].average_rank is None  # but not ranked
    assert {comparison.other for comparison in suite.comparisons} == {"finetune", "cp"}
    assert rows["cp"].mean_score is None  # ROC-AUC and RMSE have no mean


def test_a_row_that_lacks_a_task_has_no_aggregate_but_is_compared_on_the_rest(tmp_path: Path) -> None:
    records = [one for one in grid() if not (one.method == "cp" and one.task.endswith("esol"))]
    (suite,) = board_of(tmp_path, records).suites
    rows = {row.row: row for row in suite.rows}
    assert rows["cp"].missing == ["moleculenet:esol"]
    assert (rows["cp"].iqm, rows["cp"].average_rank) == (None, None)
    assert [value is None for value in rows["cp"].error_removed] == [False, True]
    assert {c.other: len(c.tasks) for c in suite.comparisons} == {"finetune": 2, "cp": 1}


def test_without_fine_tuning_there_is_no_common_scale(tmp_path: Path) -> None:
    (suite,) = board_of(tmp_path, [one for one in grid() if one.method != "finetune"]).suites
    assert "needs fine-tuning" in (suite.no_aggregate or "")
    assert suite.comparisons == []
    assert all(row.iqm is None for row in suite.rows)
    assert suite.ranking is not None  # ranks need no scale
    assert suite.ranking.no_groups == suite.no_aggregate


def test_fine_tuning_without_error_leaves_nothing_to_remove(tmp_path: Path) -> None:
    records = [
        record(method, "moleculenet:bace", seed, 1.0 if method == "finetune" else 0.9)
        for method in ("finetune", "cp") for seed in range(5)
    ]  # fmt: skip
    (suite,) = board_of(tmp_path, records).suites
    assert suite.no_aggregate == "fine-tuning leaves no error to remove on bace"


def test_tasks_of_one_metric_have_a_mean(tmp_path: Path) -> None:
    (suite,) = board_of(tmp_path, grid(tasks=("moleculenet:bace", "moleculenet:bbbp"))).suites
    means = [row.mean_score for row in suite.rows]
    assert all(mean is not None and 0.7 < mean < 0.9 for mean in means)


def test_holm_over_all_tasks_is_stricter_than_within_one(tmp_path: Path) -> None:
    board = board_of(tmp_path, grid())
    for task in board.tasks:
        for comparison in task.comparisons:
            assert comparison.p_holm_all is not None
            assert comparison.p_holm is not None
            assert comparison.p_holm_all >= comparison.p_holm
    smallest = min((c for task in board.tasks for c in task.comparisons), key=lambda c: c.p or 1.0)
    assert smallest.p_holm_all == pytest.approx(4 * (smallest.p or 0))


def test_suites_hold_only_the_rows_that_have_records_there(tmp_path: Path) -> None:
    records = [*grid(), *(record("dapt", "glue:rte", seed, 0.6, metric="accuracy", higher_is_better=True)
                          for seed in range(5))]  # fmt: skip
    board = board_of(tmp_path, records)
    shown = {suite.suite: {row.row for row in suite.rows} for suite in board.suites}
    assert shown["glue"] == {"dapt"}
    assert "dapt" not in shown["moleculenet"]
    assert len(LARGE_METHODS) == 11


def test_a_part_of_a_task_says_so_wherever_it_is_named() -> None:
    assert [task_name(task) for task in ("glue:mnli", "glue-subset:mnli", "own")] == ["mnli", "mnli (subset)", "own"]
