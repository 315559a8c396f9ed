"""What a number of seeds allows."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest
from scipy import stats

from leaderboard.statistics.floors import (
    ALPHA,
    _student,
    differences_needed,
    largest_family,
    largest_paired_family,
    paired_refusal,
    refusal,
    seeds_needed,
    shown,
    smallest_effect,
    smallest_p,
    smallest_paired_effect,
    smallest_paired_p,
)
from leaderboard.statistics.permutation import two_sample, two_samples
from leaderboard.statistics.signs import sign_flip, sign_flips

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
    generator = np.random.default_rng(0)
    assert two_sample(high, low, generator=generator).p == pytest.approx(smallest_p(n, n))
    assert sign_flip(high - low, generator=generator).p == pytest.approx(smallest_paired_p(n))


def test_unequal_sizes_have_no_mirror_image() -> None:
    outcome = two_sample([10.0, 11.0, 12.0], [0.0, 1.0, 2.0, 3.0], generator=np.random.default_rng(0))
    assert outcome.p == pytest.approx(smallest_p(3, 4))
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


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0504, "0.0504"),
        (0.0496, "0.0496"),
        (0.04998, "0.04998"),
        (0.05, "0.05"),
        (0.0506, "0.051"),
        (0.0494, "0.049"),
    ],
)
def test_near_the_level_the_digits_tell_the_side(p: float, text: str) -> None:
    assert shown(p) == text
    assert (float(text) <= ALPHA) == (p <= ALPHA)


@pytest.mark.parametrize("freedom", [6, 8, 18])
@pytest.mark.parametrize("probability", [0.8, 0.975, 0.996])
def test_student_quantile(freedom: int, probability: float) -> None:
    assert _student(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-3)


@pytest.mark.parametrize(("tasks", "p"), [(8, 0.0078), (13, 0.00024), (21, 9.5e-7), (22, 1e-5)])
def test_floors_of_the_sign_flip_over_tasks(tasks: int, p: float) -> None:
    assert smallest_paired_p(tasks) == pytest.approx(p, rel=0.02)
    assert largest_paired_family(tasks) == int(0.05 / smallest_paired_p(tasks))
    if tasks <= 13:
        outcome = sign_flip(np.arange(1.0, tasks + 1), generator=np.random.default_rng(0))
        assert outcome.p == smallest_paired_p(tasks)


def test_refusal_of_sign_flips_over_tasks() -> None:
    assert paired_refusal([6], "task") is None
    assert paired_refusal([8] * 6, "task") is None
    assert paired_refusal([3, 13], "task") is None
    line = paired_refusal([8] * 10, "task")
    assert line == (
        "8 tasks allow p >= 0.0078, a family of 10 tests needs p <= 0.005; "
        "6 tasks support a family of 1, 9 tasks support a family of 12"
    )
    assert paired_refusal([1], "seed") == (
        "1 seed allows p >= 1.00, a family of 1 test needs p <= 0.05; 6 seeds support a family of 1"
    )
    assert [differences_needed(family) for family in (1, 6, 10, 55)] == [6, 8, 9, 12]


def test_a_family_that_no_number_supports_is_said() -> None:
    assert (refusal([(10, 10)] * 5_001) or "").endswith("no number of seeds supports so many tests")


@pytest.mark.parametrize(
    ("n", "family", "runs"),
    [(4, 1, 4_000), (5, 6, 4_000), (6, 1, 4_000), (6, 20, 4_000), (8, 10, 2_000), (10, 10, 1_000)],
)
def test_smallest_effect_is_found_four_times_in_five(n: int, family: int, runs: int) -> None:
    effect = smallest_effect(1.0, n, family)
    assert effect is not None
    generator = np.random.default_rng(1)
    a, b = generator.normal(effect, 1, (runs, n)), generator.normal(0, 1, (runs, n))
    found = np.mean([outcome.p <= 0.05 / family for outcome in two_samples(a, b, generator=generator)])
    assert found == pytest.approx(0.8, abs=0.04)


@pytest.mark.parametrize(
    ("n", "family", "runs"),
    [(6, 1, 4_000), (7, 3, 4_000), (8, 6, 4_000), (10, 10, 2_000), (12, 100, 500), (14, 1, 100)],
)
def test_smallest_paired_effect_is_found_four_times_in_five(n: int, family: int, runs: int) -> None:
    effect = smallest_paired_effect(1.0, n, family)
    assert effect is not None
    differences = np.random.default_rng(1).normal(effect, 1, (runs, n))
    outcomes = sign_flips(differences, generator=np.random.default_rng(0))
    found = np.mean([outcome.p <= 0.05 / family for outcome in outcomes])
    assert found == pytest.approx(0.8, abs=0.04 if runs > 1_000 else 0.1)


def test_smallest_paired_effect_scales_with_the_spread_and_needs_enough_pairs() -> None:
    assert smallest_paired_effect(0.02, 8, 3) == pytest.approx(0.02 * (smallest_paired_effect(1.0, 8, 3) or 0.0))
    assert smallest_paired_effect(1.0, 5, 1) is None
    assert smallest_paired_effect(1.0, 6, 2) is None


def test_no_p_value_is_larger_than_one() -> None:
    assert smallest_paired_p(0) == smallest_paired_p(1) == 1.0
    assert (paired_refusal([0], "seed") or "").startswith("0 seeds allow p >= 1.00, ")


def test_smallest_effect_scales_with_the_spread_and_falls_with_the_seeds() -> None:
    effects = [smallest_effect(1.0, n, 1) for n in (4, 5, 6, 7, 8, 9, 10, 15)]
    assert effects == sorted(effects, key=lambda effect: -(effect or 0.0))
    assert smallest_effect(0.02, 6, 3) == pytest.approx(0.02 * (smallest_effect(1.0, 6, 3) or 0.0))
    assert smallest_effect(1.0, 3, 1) is None
    assert smallest_effect(1.0, 5, 7) is None
