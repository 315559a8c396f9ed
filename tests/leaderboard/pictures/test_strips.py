"""Seeds, error removed and learning curves: the numbers that are drawn are those of the board."""

from __future__ import annotations

import numpy as np
import pytest

from leaderboard.pictures import error_removed, learning, seeds
from leaderboard.pictures.rows import by_rank
from leaderboard.pictures.style import style
from tests.leaderboard.pictures.made import board, task


def test_every_seed_is_drawn_once_and_better_is_right() -> None:
    shown = board()
    with style():
        axes = seeds.figure(shown, "one").axes
    for axis, table in zip(axes, shown.tasks, strict=True):
        drawn = sorted(float(x) for line in axis.lines if line.get_markersize() == 2.8 for x in line.get_xdata())
        assert drawn == sorted(score for entry in table.entries if entry.summary for score in entry.summary.scores)
        means = sorted(float(line.get_xdata()[0]) for line in axis.lines if line.get_marker() == "|")
        assert means == sorted(entry.summary.mean for entry in table.entries if entry.summary)
        left, right = axis.get_xlim()
        assert (left < right) == table.higher_is_better


def test_rows_stand_in_the_order_of_their_ranks_and_controls_apart() -> None:
    shown = board()
    scores = {"finetune": [0.7], "cp": [0.9], "tapweight": [0.8], "tapweight-null": [0.99]}
    shown.tasks = [task("one:a", scores), task("one:b", {row: [-found[0]] for row, found in scores.items()}, False)]
    assert by_rank(shown, shown.tasks) == ["cp", "tapweight", "finetune", "tapweight-null"]
    incomplete = [shown.tasks[0], task("one:b", {row: found for row, found in scores.items() if row != "cp"})]
    assert by_rank(shown, incomplete) == ["tapweight", "finetune", "cp", "tapweight-null"]
    with style():
        axis = seeds.figure(shown, "one").axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["cp", "tapweight", "finetune", "tapweight-null"]
    gaps = np.diff(axis.get_yticks())
    assert gaps[2] > gaps[0]
    assert [text.get_fontweight() for text in axis.get_yticklabels()] == ["normal", "bold", "normal", "normal"]


def test_error_removed_is_drawn_in_per_cent_and_last_the_aggregate() -> None:
    shown = board()
    shown.suites[0].rows[1].error_removed[0] = None
    with style():
        axes = error_removed.figure(shown, "one").axes
    assert [axis.get_title(loc="left") for axis in axes] == ["a", "b", "all tasks (IQM)"]
    values = [
        sorted(round(float(line.get_xdata()[0]), 6) for line in axis.lines if line.get_markersize() == 4.5)
        for axis in axes
    ]
    assert values == [[0.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0]]
    ends = {tuple(round(float(x), 6) for x in line.get_xdata()) for line in axes[2].lines if len(line.get_xdata()) == 2}
    assert {(1.5, 2.5), (0.0, 4.0)} <= ends  # tapweight's interval, and that over tasks
    assert len({axis.get_xlim() for axis in axes}) == 1
    told = error_removed.describe(shown, "one")
    assert "tapweight 2.0 % (1.5 to 2.5)" in told
    assert "better than fine-tuning" not in told  # this board holds no tests
    assert "null" not in told


def test_an_error_that_explodes_is_cut_and_told() -> None:
    shown = board()
    worst = shown.suites[0].rows[1].error_removed[0]
    assert worst
    worst.value, worst.low, worst.high = -7.0, -9.0, -5.0
    with style():
        axis = error_removed.figure(shown, "one").axes[0]
    assert axis.get_xlim()[0] > -110
    assert "◂ -700" in [text.get_text() for text in axis.texts]


def test_learning_curves_turn_thin_where_seeds_stop() -> None:
    shown = board(["finetune", "tapweight", "tapweight-null"])
    with style():
        axis = learning.figure(shown, "one").axes[0]
    lines = [line for line in axis.lines if line.get_transform() == axis.transData]
    assert len(lines) == 4  # two methods, each with a part of all seeds and the rest; no control
    whole, rest = lines[0], lines[1]
    assert [float(x) for x in whole.get_xdata()] == [1, 2, 3]
    assert [float(x) for x in rest.get_xdata()] == [3, 4, 5]  # 3, 3, 3, 2, 1 seeds
    assert rest.get_linewidth() < whole.get_linewidth()
    assert [float(y) for y in whole.get_ydata()] == pytest.approx([0.5, 0.65, 0.7])
    assert "1 of 3 seeds got to epoch 5" in learning.describe(shown, "one")


def test_many_methods_have_a_key_with_those_that_stand_out() -> None:
    shown = board(["finetune", "tapweight", *(f"m{k}" for k in range(9))])
    with style():
        (legend,) = learning.figure(shown, "one").legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names[:2] == ["tapweight", "finetune"]
    assert len(names) == 4
    assert names[3] == "8 other methods"
