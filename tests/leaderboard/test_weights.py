"""Weight trajectories: seeds brought together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.records import Record
from leaderboard.weights import POINTS, curves
from tests.leaderboard.fabricate import record, trajectory


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


def test_seeds_hold_their_weights_between_steps_of_their_own() -> None:
    own = [[1, 2, 5, 9], [2, 4, 9, 11]]
    records = [learned(seed, steps=steps) for seed, steps in enumerate(own)]
    found = curves("tapweight", None, records)
    assert found is not None
    assert found.steps == [2, 4, 5, 9, 11]
    first, second = (np.array(item.trajectory.weights) for item in records if item.trajectory)
    assert np.array(found.mean) == pytest.approx((first[[1, 1, 2, 3, 3]] + second[[0, 1, 1, 2, 3]]) / 2)
    assert found.note is None


def test_what_cannot_be_averaged_is_left_out_and_said() -> None:
    renamed = learned(2, objectives=["a", "b", "c", "d"])
    found = curves("tapweight", None, [learned(0), learned(1), renamed])
    assert found is not None
    assert (found.seeds, found.note) == (2, "1 with other objectives left out")


def test_long_trajectories_are_thinned_between_their_ends() -> None:
    found = curves("tapweight", None, [learned(0, steps=range(1_000))])
    assert found is not None
    assert (len(found.steps), found.steps[0], found.steps[-1], found.sd) == (POINTS, 0, 999, None)


def test_no_trajectory_no_curves() -> None:
    assert curves("cp", None, [record("cp", "demo:a", 0, 0.8)]) is None
    assert curves("cp", None, [learned(0, steps=[])]) is None


def test_steps_of_a_search_are_trials() -> None:
    found = learned(0)
    assert (shown := curves("a", None, [found]))
    assert shown.unit == "pretraining step"
    spent = {"trials": 8, "pretraining_steps": 1600, "finetuning_epochs": 96}
    assert (shown := curves("a", None, [found.model_copy(update={"budget": spent})]))
    assert shown.unit == "trial"
