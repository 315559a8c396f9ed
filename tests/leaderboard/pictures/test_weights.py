"""The picture of weight trajectories."""

from __future__ import annotations

import numpy as np
import pytest

from leaderboard.content import TaskCurves
from leaderboard.pictures import weights
from leaderboard.pictures.style import style
from tests.leaderboard.pictures.made import board, weight_curves


def test_controls_stand_right_of_their_method() -> None:
    pairs = [("null", "tapweight"), ("tapweight", None), ("tartan", None), ("orphan", "absent")]
    found = [weight_curves(row, control) for row, control in pairs]
    names = [[curve.row for curve in line] for line in weights.arrange(found)]
    assert names == [["tapweight", "null"], ["tartan", "orphan"]]
    names = [[curve.row for curve in line] for line in weights.arrange(found, focus="tartan")]
    assert names == [["tartan", "orphan"], ["tapweight", "null"]]


def test_many_methods_stand_in_a_grid_without_holes_and_pairs_stay_together() -> None:
    pairs = [(f"m{k}", None) for k in range(8)] + [(f"m{k}-null", f"m{k}") for k in range(4)]
    lines = weights.arrange([weight_curves(*pair) for pair in pairs])
    assert [len(line) for line in lines] == [3, 3, 3, 3]
    for line in lines:
        for place, curve in enumerate(line):
            if curve.control_of:
                assert line[place - 1].row == curve.control_of


def test_an_objective_looks_the_same_in_all_panels() -> None:
    found = [weight_curves("a"), weight_curves("b", objectives=["end-task", "far", "near"])]
    looks = weights.objective_looks(found)
    assert list(looks) == ["near", "far", "noise", "end-task"]
    many = weights.objective_looks([weight_curves("a", objectives=[f"o{k}" for k in range(20)])])
    assert len(set(map(str, many.values()))) == 20


def test_means_and_spreads_are_drawn() -> None:
    curve = weight_curves("tapweight")
    with style():
        (axis,) = weights.panels(TaskCurves(task="demo:a", weights=[curve], learning=[]), "small").axes
    drawn = {tuple(np.round(np.asarray(line.get_ydata(), dtype=float), 6)) for line in axis.lines}
    for k in range(3):
        assert tuple(row[k] for row in curve.mean) in drawn
    assert len(axis.collections) == 3
    top = max(float(path.vertices[:, 1].max()) for band in axis.collections for path in band.get_paths())
    assert top == pytest.approx(0.65 + 0.03)
    assert {text.get_text() for text in axis.texts} >= {"near", "far", "noise", "1/n", "3 seeds"}


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": [4], "mean": [[0.2, 0.3, 0.5]], "sd": None, "seeds": 1},
        {"unit": "trial", "steps": [1, 2, 3]},
        {"objectives": ["end-task"], "mean": [[1.0]] * 3, "sd": [[0.0]] * 3},
        {"objectives": [f"o{k}" for k in range(30)], "mean": [[1 / 30] * 30] * 3, "sd": None},
        {"steps": list(range(500)), "mean": [[0.2, 0.3, 0.5]] * 500, "sd": [[0.1] * 3] * 500},
    ],
)
def test_unusual_trajectories_can_be_drawn(changes: dict[str, object]) -> None:
    curve = weight_curves("tapweight", **changes)
    with style():
        figure = weights.panels(TaskCurves(task="demo:a", weights=[curve], learning=[]), "small")
        figure.draw_without_rendering()
    (axis,) = figure.axes
    assert all(len(np.asarray(line.get_xdata())) <= weights.POINTS for line in axis.lines)


def test_the_description_says_where_weights_ended() -> None:
    told = weights.describe(board(["finetune", "tapweight", "other", "tapweight-null"]), "one:a")
    assert told == (
        "tapweight ends after 12 pretraining steps with far at 0.65 as its highest weight and noise at 0.10 as its "
        "lowest. tapweight-null, the null control of tapweight, ends after 12 pretraining steps with far at 0.65 "
        "as its highest weight and noise at 0.10 as its lowest. Of 1 other method, 1 puts far first."
    )
