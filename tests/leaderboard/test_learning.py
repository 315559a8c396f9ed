"""Learning curves of several seeds brought together."""

from __future__ import annotations

import pytest

from bench.records import Record
from leaderboard.learning import learning_curves
from tests.leaderboard.fabricate import record


def curved(seed: int, validation: list[float], unit: str = "epoch", first: int = 1) -> Record:
    done = list(range(first, first + len(validation)))
    return record("cp", "demo:a", seed, 0.8, learning_curve={"unit": unit, "done": done, "validation": validation})


def test_each_point_is_over_the_seeds_that_got_that_far() -> None:
    found = learning_curves("cp", [curved(0, [0.5, 0.6, 0.7]), curved(1, [0.7, 0.8])])
    assert found is not None
    assert (found.unit, found.done, found.seeds) == ("epoch", [1, 2, 3], [2, 2, 1])
    assert found.mean == pytest.approx([0.6, 0.7, 0.7])
    assert found.sd[0] == pytest.approx(0.2 / 2**0.5)
    assert found.sd[2] is None


def test_a_model_handed_on_is_point_zero() -> None:
    found = learning_curves("cp", [curved(0, [0.5, 0.6], first=0), curved(1, [0.7])])
    assert found is not None
    assert (found.done, found.seeds) == ([0, 1], [1, 2])


def test_of_two_units_the_commoner_is_shown() -> None:
    found = learning_curves("cp", [curved(0, [0.5]), curved(1, [0.6]), curved(2, [0.1], unit="step")])
    assert found is not None
    assert (found.unit, found.mean, found.seeds) == ("epoch", [0.55], [2])


def test_records_without_curves_have_none() -> None:
    assert learning_curves("cp", []) is None
    assert learning_curves("cp", [record("cp", "demo:a", 0, 0.8), curved(1, [])]) is None
