"""The critical-difference diagram."""

from __future__ import annotations

import pytest
from matplotlib.axes import Axes

from leaderboard.content import Board, Ranking
from leaderboard.pictures import ranks
from leaderboard.pictures.style import style
from tests.leaderboard.pictures.made import board, ranking

ROWS = ["tapweight", "cp", "finetune", "rlw"]


def ranked(found: Ranking) -> Board:
    shown = board([*ROWS, "tapweight-null"])
    shown.suites[0].ranking = found
    return shown


def drawn(shown: Board) -> Axes:
    with style():
        (axis,) = ranks.figure(shown, "one").axes
    return axis


def test_bars_stand_over_their_groups() -> None:
    shown = ranked(ranking(ROWS, [1.0, 1.5, 2.75, 4.0], [["tapweight", "cp"], ["cp", "finetune"], ["finetune", "rlw"]]))
    bars = [line for line in drawn(shown).lines if line.get_gid() == "group"]
    ends = [[float(x) for x in line.get_xdata()] for line in bars]
    assert [end == pytest.approx([low, high], abs=0.05) for end, (low, high) in
            zip(ends, [(1, 1.5), (1.5, 2.75), (2.75, 4)], strict=True)] == [True] * 3  # fmt: skip
    heights = [float(line.get_ydata()[0]) for line in bars]
    assert heights[0] != heights[1]  # they meet at cp
    assert heights[1] != heights[2]
    assert heights[0] == heights[2]  # there is room for both


def test_each_name_has_a_line_to_its_rank() -> None:
    shown = ranked(ranking(ROWS, [1.0, 1.5, 2.75, 4.0], []))
    axis = drawn(shown)
    assert [text.get_text() for text in axis.texts] == ["tapweight  1.00", "cp  1.50", "finetune  2.75", "rlw  4.00"]
    paths = [line.get_xydata() for line in axis.lines if len(line.get_xdata()) == 3]
    assert [path[0][0] for path in paths] == [1.0, 1.5, 2.75, 4.0]
    beyond = [float(path[2][0]) for path in paths]
    assert max(beyond[:2]) < 1  # the better half on the left
    assert min(beyond[2:]) > 4
    for path, text in zip(paths, axis.texts, strict=True):
        assert tuple(path[2]) == pytest.approx(text.xy)


def test_levels_of_overlapping_groups() -> None:
    rows = [f"m{k}" for k in range(6)]
    groups = [rows[0:3], rows[1:4], rows[2:5], rows[4:6]]
    found = ranks.levels(ranking(rows, [1, 2, 3, 4, 5, 6], groups))
    assert found == [(0, 2, 0), (1, 3, 1), (2, 4, 2), (4, 5, 0)]


def test_what_the_bars_mean_is_said() -> None:
    ranking_of = [1.0, 1.5, 2.75, 4.0]
    grouped = ranking(ROWS, ranking_of, [["cp", "finetune"]])
    told = ranks.describe(ranked(grouped), "one")
    assert "tapweight 1.00, cp 1.50 and finetune 2.75 come first" in told
    assert "Not separated from each other: cp to finetune (2 methods)." in told
    assert "Every two methods are separated." in ranks.describe(ranked(ranking(ROWS, ranking_of, [])), "one")
    refused = ranked(ranking(ROWS, ranking_of, [], no_groups="two tasks are too few"))
    assert "two tasks are too few" in ranks.describe(refused, "one")
    with style():
        note = " ".join(text.get_text() for text in ranks.figure(refused, "one").texts)
    assert "two tasks are too few" in " ".join(note.split())
    assert not [line for line in drawn(refused).lines if line.get_gid() == "group"]


def test_a_single_row_is_no_ranking() -> None:
    assert ranks.subjects(ranked(ranking(["cp"], [1.0], []))) == []
