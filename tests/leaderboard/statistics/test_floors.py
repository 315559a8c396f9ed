"""What a number of seeds allows."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from scipy import stats

from leaderboard.statistics.floors import (
    _student,
    largest_family,
    refusal,
    seeds_needed,
    shown,
    smallest_effect,
    smallest_p,
    smallest_paired_p,
)
from leaderboard.statistics.permutation import sign_flip, two_sample

TABLE = [
    (3, 20, 0.10, 0, 0.25),
    (4, 70, 0.029, 1, 0.125),
    (5, 252, 0.0079, 6, 0.0625),
    (6, 924, 0.0022, 23, 0.031),
    (7, 3_432, 0.00058, 85, 0.016),
    (8, 12_870, 0.00016, 321, 0.0078),
    (10, 184_756, 0.0000108, 4_618, 0.0020),
]


@pytest.mark.parametrize(("n", "splits", "p", "family", "paired"), TABLE)
def test_table(n: int, splits: int, p: float, family: int, paired: float) -> None:
    assert comb(2 * n, n) == splits
    assert smallest_p(n, n) == pytest.approx(p, rel=0.04)
    assert largest_family(n) == family
    assert smallest_paired_p(n) == pytest.approx(paired, rel=0.04)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 8])
def test_floor_is_reached_by_the_test_itself(n: int) -> None:
    high, low = np.arange(n) + 100.0, np.arange(n) * 1.0
    assert two_sample(high, low).p == pytest.approx(smallest_p(n, n))
    assert sign_flip(high - low).p == pytest.approx(smallest_paired_p(n))


def test_unequal_sizes_have_no_mirror_image() -> None:
    assert two_sample([10.0, 11.0, 12.0], [0.0, 1.0, 2.0, 3.0]).p == pytest.approx(smallest_p(3, 4))
    assert smallest_p(20, 20) == pytest.approx(1e-5)


def test_refusal_at_the_edge_of_the_table() -> None:
    assert refusal([(5, 5)] * 6) is None
    line = refusal([(5, 5)] * 7)
    assert line is not None
    assert line.startswith("5 seeds allow p >= 0.0079, a family of 7 tests needs p <= 0.0071; ")
    assert "6 seeds support a family of 23" in line
    assert refusal([(4, 4)]) is None
    three = refusal([(3, 3)])
    assert three is not None
    assert three.startswith("3 seeds allow p >= 0.10")
    assert three.endswith("4 seeds support a family of 1")


def test_seeds_needed() -> None:
    assert [seeds_needed(family) for family in (1, 2, 6, 7, 24)] == [4, 5, 5, 6, 7]


@pytest.mark.parametrize(
    ("p", "text"), [(0.1, "0.10"), (1.0, "1.00"), (0.0286, "0.029"), (0.00793, "0.0079"), (1.08e-5, "0.000011")]
)
def test_shown(p: float, text: str) -> None:
    assert shown(p) == text


@pytest.mark.parametrize("freedom", [6, 8, 18])
@pytest.mark.parametrize("probability", [0.8, 0.975, 0.996])
def test_student_quantile(freedom: int, probability: float) -> None:
    assert _student(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-3)


def test_smallest_effect_is_found_four_times_in_five() -> None:
    effect = smallest_effect(1.0, n=6, family=1)
    generator = np.random.default_rng(0)
    runs = 600
    found = sum(two_sample(generator.normal(effect, 1, 6), generator.normal(0, 1, 6)).p <= 0.05 for _ in range(runs))
    assert found / runs == pytest.approx(0.8, abs=0.07)
