"""The Pareto front and the cost of a suite."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.pictures import pareto
from leaderboard.pictures.style import style
from tests.leaderboard.pictures.made import board, task

numbers = st.integers(1, 6)


def test_front_of_a_hand_example() -> None:
    #         a    b    c    d    e: b costs more than a for less, d as much as c for less
    costs = [1.0, 2.0, 3.0, 3.0, 9.0]
    scores = [0.5, 0.4, 0.8, 0.7, 0.9]
    assert pareto.front(costs, scores) == [0, 2, 4]
    assert pareto.front([1, 1, 2], [3, 3, 3]) == [0, 1]  # two equal points, and a dearer one


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=12))
def test_front_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    def beaten(mine: tuple[int, int]) -> bool:
        return any(c <= mine[0] and s >= mine[1] and (c, s) != mine for c, s in points)

    found = pareto.front([cost for cost, _ in points], [score for _, score in points])
    assert sorted(found) == [k for k, point in enumerate(points) if not beaten(point)]
    assert [points[k][0] for k in found] == sorted(points[k][0] for k in found)


def test_errors_have_their_front_below() -> None:
    shown = board()
    scores = {"finetune": [1.0, 1.2], "cp": [1.3, 1.5], "tapweight": [0.8, 0.6], "tapweight-null": [0.1, 0.1]}
    shown.tasks, shown.suites = [task("one:b", scores, higher=False)], []
    assert "on b finetune and tapweight." in pareto.describe(shown, "one")
    with style():
        (axis,) = pareto.figure(shown, "one").axes
    front = next(line for line in axis.lines if line.get_gid() == "front")
    assert list(front.get_xdata())[:2] == [1.0, 3.0]
    assert list(front.get_ydata()) == pytest.approx([1.1, 0.7, 0.7])
    low, high = axis.get_ylim()
    assert low > high  # better is up
    dots = {(float(line.get_xdata()[0]), round(float(line.get_ydata()[0]), 6)) for line in axis.lines
            if line.get_marker() not in ("", "None")}  # fmt: skip
    assert dots == {(1.0, 1.1), (2.0, 1.4), (3.0, 0.7)}  # no control


def test_the_panel_over_all_tasks_is_on_the_common_scale() -> None:
    shown = board()
    with style():
        figure = pareto.figure(shown, "one")
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["all tasks", "a", "b"]
    points = {round(float(line.get_ydata()[0]), 6) for line in figure.axes[0].lines if line.get_marker() == "o"}
    assert points == {2.0}  # tapweight, the third row, removes 2 %
    assert "tapweight (3.0×, 2.0 %)" in pareto.describe(shown, "one")
