"""The intervals of a shift: by hand, by brute force, and in step with the test that they invert."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.statistics import permutation
from leaderboard.statistics.permutation import intervals
from leaderboard.statistics.signs import sign_flip, sign_flip_interval

Ends = tuple[float, float] | None
TENTHS = st.integers(-9, 9).map(lambda number: number / 10)


def interval(a: object, b: object, level: float = 0.95, seed: int = 0, draws: int = 999) -> Ends:
    return permutation.interval(
        np.array(a), np.array(b), generator=np.random.default_rng(seed), level=level, draws=draws
    )


def p_at(shift: float, a: object, b: object, seed: int = 0, draws: int = 999) -> float:
    generator = np.random.default_rng(seed)
    return permutation.two_sample(np.array(a) - shift, np.array(b), generator=generator, draws=draws).p


def samples(n_a: int, n_b: int) -> st.SearchStrategy[tuple[list[float], list[float]]]:
    return st.tuples(st.lists(TENTHS, min_size=n_a, max_size=n_a), st.lists(TENTHS, min_size=n_b, max_size=n_b))


def test_four_against_four_by_hand() -> None:
    """Only the observed split, its mirror image and one pair more may count before p exceeds 0.05 = 3.5 / 70.

    Of separated samples the next split exchanges A's smallest with B's largest score, or, from below, A's
    largest with B's smallest: it counts as long as these have not passed each other.
    """
    a, b = [10.0, 11.0, 12.0, 17.0], [0.0, 1.0, 2.0, 4.0]
    assert interval(a, b) == pytest.approx((10.0 - 4.0, 17.0 - 0.0))


def test_three_against_three_reject_no_shift() -> None:
    assert interval([3.0, 4.0, 5.0], [0.0, 1.0, 2.0]) is None
    assert interval([1.0], [0.0]) is None
    assert interval([3.0, 4.0], [0.0, 1.0, 2.0]) is None
    assert interval([3.0, 4.0, 5.0], [0.0, 1.0, 2.0], level=0.8) is not None
    assert interval([1.0] * 20, [0.0] * 20, draws=9) is None


@pytest.mark.parametrize("n", [4, 5, 6])
def test_equal_sizes_by_brute_force(n: int) -> None:
    """Every shift at which a split ties with the observed one is a candidate for an end."""
    generator = np.random.default_rng(n)
    a, b = generator.normal(1, 1, n), generator.normal(0, 1, n)
    ties = set()
    for taken in range(1, n):
        for mine in combinations(a, taken):
            for theirs in combinations(b, taken):
                ties.add(float(np.mean(mine) - np.mean(theirs)))
    kept = [shift for shift in ties if p_at(shift, a, b) > 0.05]
    found = interval(a, b)
    assert found == pytest.approx((min(kept), max(kept)))
    assert found is not None
    assert p_at(found[0] - 1e-7, a, b) <= 0.05
    assert p_at(found[1] + 1e-7, a, b) <= 0.05


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([(4, 4), (5, 5), (6, 6), (1, 19), (4, 5), (6, 4)]).flatmap(lambda sizes: samples(*sizes)))
def test_zero_lies_outside_exactly_where_the_test_rejects(pair: tuple[list[float], list[float]]) -> None:
    for a, b in (pair, (pair[0], [value - 0.7 for value in pair[1]])):
        found = interval(a, b)
        assert found is not None
        assert (found[0] <= 0 <= found[1]) == (p_at(0.0, a, b) > 0.05)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([(4, 4), (5, 5), (6, 6)]).flatmap(lambda sizes: samples(*sizes)))
def test_ends_are_the_last_shifts_that_are_not_rejected(pair: tuple[list[float], list[float]]) -> None:
    found = interval(*pair)
    assert found is not None
    for end, way in zip(found, (-1, 1), strict=True):
        assert p_at(end, *pair) > 0.05
        assert p_at(end + way * 1e-7, *pair) <= 0.05


@pytest.mark.parametrize("seed", range(6))
def test_ends_of_unequal_sizes_are_found_by_bisection(seed: int) -> None:
    generator = np.random.default_rng(seed)
    a, b = generator.normal(0.5, 1, 6), generator.normal(0, 2, 5)
    found = interval(a, b)
    assert found is not None
    for end, way in zip(found, (-1, 1), strict=True):
        assert p_at(end - way * 1e-5, a, b) > 0.05
        assert p_at(end + way * 1e-5, a, b) <= 0.05


def test_scores_without_spread_have_a_single_shift() -> None:
    assert interval([0.9] * 4, [0.7] * 4) == pytest.approx((0.2, 0.2))
    assert interval([0.9] * 5, [0.7] * 4) == pytest.approx((0.2, 0.2))
    assert interval([0.7] * 5, [0.7] * 5) == (0.0, 0.0)
    assert interval([0.7] * 5, [0.7] * 4) == (0.0, 0.0)


@pytest.mark.parametrize("n_b", [5, 6])
def test_shift_scale_and_exchange(n_b: int) -> None:
    generator = np.random.default_rng(1)
    a, b = generator.normal(0.5, 1, 6), generator.normal(0, 1, n_b)
    low, high = interval(a, b) or (0.0, 0.0)
    close = {"abs": 1e-6, "rel": 1e-6}
    assert interval(a + 3, b) == pytest.approx((low + 3, high + 3), **close)
    assert interval(a + 1e4, b + 1e4) == pytest.approx((low, high), **close)
    assert interval(1e-4 * a, 1e-4 * b) == pytest.approx((1e-4 * low, 1e-4 * high), rel=1e-5)
    assert interval(b, a) == pytest.approx((-high, -low), **close)
    assert interval(-a, -b) == pytest.approx((-high, -low), **close)


def test_a_higher_level_is_wider() -> None:
    generator = np.random.default_rng(2)
    a, b = generator.normal(0.5, 1, 7), generator.normal(0, 1, 7)
    widths = [high - low for low, high in (interval(a, b, level) or (0.0, 0.0) for level in (0.5, 0.8, 0.95, 0.99))]
    assert widths == sorted(widths)
    assert widths[0] > 0


@pytest.mark.parametrize("n_b", [5, 6])
def test_many_at_once_are_those_one_by_one(n_b: int) -> None:
    generator = np.random.default_rng(3)
    a, b = generator.normal(0, 1, (40, 5)), generator.normal(0, 1, (40, n_b))
    found = intervals(a, b, generator=generator)
    assert [pytest.approx(ends, rel=1e-12, abs=1e-14) for ends in found] == [
        interval(one, other) for one, other in zip(a, b, strict=True)
    ]


@pytest.mark.parametrize(("n_a", "n_b"), [(6, 6), (7, 5)])
def test_drawn_splits_agree_with_the_test_that_drew_them(n_a: int, n_b: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(4)
    pairs = [(generator.normal(1.2, 1, n_a), generator.normal(0, 1, n_b)) for _ in range(40)]
    exact = [interval(a, b) for a, b in pairs]
    monkeypatch.setattr(permutation, "EXACT_LIMIT", 10)
    rejected = 0
    for seed, (a, b) in enumerate(pairs):
        found, p = interval(a, b, seed=seed, draws=199), p_at(0.0, a, b, seed, 199)
        assert found is not None
        assert (found[0] <= 0 <= found[1]) == (p > 0.05)
        rejected += p <= 0.05
    assert 5 < rejected < 35
    assert interval(*pairs[0], draws=50_000) == pytest.approx(exact[0], abs=0.05)


@pytest.mark.parametrize("n_b", [5, 4])
def test_coverage_of_the_true_shift(n_b: int) -> None:
    """The true shift is covered with exactly the probability that the test does not reject it."""
    generator = np.random.default_rng(5)
    runs = 4_000 if n_b == 5 else 600
    a, b = generator.normal(2, 1, (runs, 5)), generator.normal(0, 1, (runs, n_b))
    covered = sum(ends is not None and ends[0] <= 2 <= ends[1] for ends in intervals(a, b, generator=generator))
    level = 1 - 12 / 252 if n_b == 5 else 1 - 6 / 126
    assert abs(covered - runs * level) < 4 * np.sqrt(runs * level * (1 - level))


def sign_interval(differences: object, level: float = 0.95) -> Ends:
    return sign_flip_interval(np.array(differences), generator=np.random.default_rng(0), level=level, draws=999)


def test_sign_flip_interval_is_the_range_where_six_differences_are_all_of_one_sign() -> None:
    """p <= 0.05 = 3.2 / 64 asks for one pattern and its mirror image only, so for a shift outside of all six."""
    assert sign_interval([1.0, 2.0, 4.0, 5.0, 7.0, 9.0]) == pytest.approx((1.0, 9.0))
    assert sign_interval([1.0, 2.0, 4.0, 5.0, 7.0]) is None


@pytest.mark.parametrize("tasks", [6, 7, 8, 9])
def test_sign_flip_interval_is_of_the_means_of_subsets(tasks: int) -> None:
    """A pattern ties with the observed one at the mean of the differences that it turns."""
    d = np.random.default_rng(1).normal(0.5, 1, tasks)
    subsets = [float(np.mean(part)) for size in range(1, tasks + 1) for part in combinations(d, size)]
    generator = np.random.default_rng(0)
    kept = [shift for shift in subsets if sign_flip(d - shift, generator=generator).p > 0.05]
    assert sign_interval(d) == pytest.approx((min(kept), max(kept)))


@settings(max_examples=100, deadline=None)
@given(st.lists(TENTHS, min_size=6, max_size=10), st.sampled_from([0.0, 0.4]))
def test_sign_flip_interval_agrees_with_its_test(values: list[float], moved: float) -> None:
    d = np.array(values) + moved
    found = sign_interval(d)
    assert found is not None
    assert (found[0] <= 0 <= found[1]) == (sign_flip(d, generator=np.random.default_rng(0)).p > 0.05)


def test_drawn_sign_flip_interval_agrees_with_its_test() -> None:
    generator = np.random.default_rng(6)
    rejected = 0
    for seed in range(30):
        d = generator.normal(0.45, 1, 24)
        p = sign_flip(d, generator=np.random.default_rng(seed), draws=299).p
        found = sign_flip_interval(d, generator=np.random.default_rng(seed), draws=299)
        assert found is not None
        assert (found[0] <= 0 <= found[1]) == (p > 0.05)
        rejected += p <= 0.05
    assert 3 < rejected < 28


def test_sign_flip_interval_covers_the_centre_as_promised() -> None:
    generator = np.random.default_rng(7)
    runs = 2_000
    level = 1 - 12 / 256  # eight differences: the largest attainable level below 0.05
    covered = 0
    for _ in range(runs):
        low, high = sign_interval(generator.normal(1, 1, 8)) or (0.0, 0.0)
        covered += low <= 1 <= high
    assert abs(covered - runs * level) < 4 * np.sqrt(runs * level * (1 - level))
