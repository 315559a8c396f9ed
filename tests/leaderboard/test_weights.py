"""Weight trajectories: seeds brought together, and the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from bench.records import Record
from leaderboard.content import WeightPicture
from leaderboard.report import build
from leaderboard.pictures.weights import _apart, _arrange, _styles, draw
from leaderboard.weights import POINTS, curves
from tests.leaderboard.fabricate import FIVE, many, record, save, trajectory


def learned(seed: int, **changes: Any) -> Record:
    steps = changes.pop("steps", range(4, 104, 4))
    return record("tapweight", "demo:a", seed, 0.8, trajectory=trajectory(seed, steps=steps).model_copy(update=changes))


def test_mean_and_sd_over_seeds() -> None:
    records = [learned(seed) for seed in range(3)]
    found = curves("tapweight", None, records)
    assert found is not None
    stack = np.array([item.trajectory.weights for item in records if item.trajectory])
    assert np.array(found.mean) == pytest.approx(stack.mean(axis=0))
    assert np.array(found.sd) == pytest.approx(stack.std(axis=0, ddof=1))
    assert (found.seeds, found.note, found.steps) == (3, None, list(range(4, 104, 4)))
    assert np.array(found.mean).sum(axis=1) == pytest.approx(np.ones(25))


def test_different_grids_meet_at_common_steps() -> None:
    found = curves("tapweight", None, [learned(0), learned(1, steps=range(8, 120, 8))])
    assert found is not None
    assert found.steps == list(range(8, 104, 8))
    assert found.note == "only the 12 steps that all seeds have"


def test_what_cannot_be_averaged_is_left_out_and_said() -> None:
    renamed = learned(2, objectives=["a", "b", "c", "d"])
    found = curves("tapweight", None, [learned(0), learned(1), renamed])
    assert found is not None
    assert (found.seeds, found.note) == (2, "1 with other objectives left out")
    found = curves("tapweight", None, [learned(0), learned(1), learned(2, steps=[1, 2])])
    assert found is not None
    assert (found.seeds, found.note) == (2, "1 without a common step left out")


def test_long_trajectories_are_thinned_between_their_ends() -> None:
    found = curves("tapweight", None, [learned(0, steps=range(1_000))])
    assert found is not None
    assert (len(found.steps), found.steps[0], found.steps[-1], found.sd) == (POINTS, 0, 999, None)


def test_no_trajectory_no_curves() -> None:
    assert curves("cp", None, [record("cp", "demo:a", 0, 0.8)]) is None
    assert curves("cp", None, [learned(0, steps=[])]) is None


def test_controls_stand_right_of_their_method(tmp_path: Path) -> None:
    records = [learned(seed) for seed in range(2)]
    pairs = [("null", "tapweight"), ("tapweight", None), ("tartan", None), ("orphan", "absent")]
    found = [curve for row, control in pairs if (curve := curves(row, control, records))]
    arranged = _arrange(found)
    assert [[curve.row for curve in line] for line in arranged] == [["tapweight", "null"], ["tartan", "orphan"]]
    path = draw(tmp_path, "small", WeightPicture(task="demo:a", file="weights-demo-a.png", curves=found))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_many_methods_stand_in_a_grid_and_pairs_stay_together(tmp_path: Path) -> None:
    (picture,) = _pictures(tmp_path, many(3))
    lines = _arrange(picture.curves)
    assert [len(line) for line in lines] == [4, 4, 4, 4]
    places = {curve.row: (k, place) for k, line in enumerate(lines) for place, curve in enumerate(line)}
    for curve in picture.curves:
        if curve.control_of:
            above, left = places[curve.control_of]
            assert places[curve.row] == (above, left + 1)
    height, width = imread(draw(tmp_path, "small", picture)).shape[:2]
    assert height < width


def test_an_objective_looks_the_same_in_all_panels(tmp_path: Path) -> None:
    (picture,) = _pictures(tmp_path, many(1))
    styles = _styles(picture.curves)
    assert list(styles) == [*FIVE, "end-task"]
    assert len(set(map(str, styles.values()))) == 6


def test_steps_of_a_search_are_trials(tmp_path: Path) -> None:
    found = learned(0)
    assert (shown := curves("a", None, [found]))
    assert shown.unit == "pretraining step"
    spent = {"trials": 8, "pretraining_steps": 1600, "finetuning_epochs": 96}
    assert (shown := curves("a", None, [found.model_copy(update={"budget": spent})]))
    assert shown.unit == "trial"
    assert draw(tmp_path, "small", WeightPicture(task="demo:a", file="w.png", curves=[shown])).exists()


def _pictures(folder: Path, records: list[Record]) -> list[WeightPicture]:
    save(folder, records)
    return build(folder).boards[0].pictures


def test_a_single_update_can_be_drawn(tmp_path: Path) -> None:
    found = curves("tapweight", None, [learned(0, steps=[4])])
    assert found is not None
    assert draw(tmp_path, "small", WeightPicture(task="demo:a", file="w.png", curves=[found])).exists()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0.01, 0.2))
def test_names_keep_apart_and_in_order(heights: list[float], gap: float) -> None:
    moved = np.array(_apart(heights, gap, -9, 9))
    order = np.argsort(heights, kind="stable")
    assert (np.diff(moved[order]) >= gap - 1e-9).all()
    assert moved.mean() == pytest.approx(np.mean(heights))
    inside = np.array(_apart(heights, gap / 2, 0, 1))
    assert (np.diff(inside[order]) >= gap / 2 - 1e-9).all()
    assert -1e-9 <= inside.min() <= inside.max() <= 1 + 1e-9


def test_names_that_are_apart_stay() -> None:
    assert _apart([0.5, 0.1, 0.3], 0.1, 0, 1) == pytest.approx([0.5, 0.1, 0.3])
    assert _apart([0.0, 0.0, 0.9], 0.1, 0, 1) == pytest.approx([0.0, 0.1, 0.9])
    assert _apart([1.0, 0.99, 0.2], 0.1, 0, 1) == pytest.approx([1.0, 0.9, 0.2])
