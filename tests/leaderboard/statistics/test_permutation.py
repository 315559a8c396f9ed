"""The two-sample permutation test against hand values, brute force and scipy."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from leaderboard.statistics import permutation
from leaderboard.statistics.permutation import Outcome, two_samples
from leaderboard.statistics.splits import Splits, enumerated

INTEGERS = st.integers(-3, 3)
Scores = Sequence[float] | np.ndarray


def two_sample(a: Scores, b: Scores, seed: int = 0, draws: int = permutation.DRAWS) -> Outcome:
    return permutation.two_sample(a, b, generator=np.random.default_rng(seed), draws=draws)


def brute_force(a: list[int], b: list[int]) -> tuple[float, float]:
    """Two- and one-sided p by going through all splits in exact arithmetic."""
    pooled = a + b
    found = []
    for members in combinations(range(len(pooled)), len(a)):
        first = Fraction(sum(pooled[i] for i in members), len(a))
        second = Fraction(sum(pooled[i] for i in range(len(pooled)) if i not in members), len(b))
        found.append(first - second)
    observed = found[0]
    return (
        sum(abs(value) >= abs(observed) for value in found) / len(found),
        sum(value >= observed for value in found) / len(found),
    )


def test_separated_samples_give_the_smallest_p() -> None:
    outcome = two_sample([4.0, 5.0, 6.0], [1.0, 2.0, 3.0])
    assert outcome.p == pytest.approx(2 / 20)
    assert outcome.p_greater == pytest.approx(1 / 20)
    assert (outcome.exact, outcome.splits, outcome.statistic) == (True, 20, "difference of means")
    assert outcome.pairing == "unpaired"


@pytest.mark.parametrize(
    ("a", "b"),
    [([0.1, 0.2, 0.3], [0.3, 0.1, 0.2]), ([0.1, 0.2], [0.15, 0.15]), ([0.7] * 5, [0.7] * 5), ([0.7] * 5, [0.7] * 3)],
)
def test_equal_means_give_one(a: list[float], b: list[float]) -> None:
    assert two_sample(a, b).p == 1.0


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4).flatmap(lambda n: st.tuples(*[st.lists(INTEGERS, min_size=n, max_size=n)] * 2)))
def test_ties_are_counted_as_in_exact_arithmetic(samples: tuple[list[int], list[int]]) -> None:
    a, b = samples
    # Tenths are not exact in binary, so ties differ by rounding.
    outcome = two_sample([0.8 + value / 10 for value in a], [0.8 + value / 10 for value in b])
    assert (outcome.p, outcome.p_greater) == pytest.approx(brute_force(a, b))


def test_agrees_with_scipy() -> None:
    generator = np.random.default_rng(0)
    for n in (4, 6):
        a, b = generator.normal(0.3, 1, n), generator.normal(0, 1, n)
        for alternative, ours in (("two-sided", two_sample(a, b).p), ("greater", two_sample(a, b).p_greater)):
            theirs = stats.permutation_test(
                (a, b), lambda x, y: np.mean(x) - np.mean(y), n_resamples=np.inf, alternative=alternative
            )
            assert ours == pytest.approx(theirs.pvalue)


def test_unequal_sizes_are_studentised_as_scipy_does() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.normal(0.5, 1, 5), generator.normal(0, 3, 4)

    def t(x: np.ndarray, y: np.ndarray) -> float:
        return float(stats.ttest_ind(x, y, equal_var=False).statistic)

    outcome = two_sample(a, b)
    splits = [
        t(np.concatenate([a, b])[list(c)], np.delete(np.concatenate([a, b]), list(c)))
        for c in combinations(range(9), 5)
    ]
    assert outcome.statistic == "Welch t"
    assert outcome.p == pytest.approx(np.mean(np.abs(splits) >= abs(t(a, b)) - 1e-9))
    assert outcome.p_greater == pytest.approx(np.mean(np.array(splits) >= t(a, b) - 1e-9))


def test_without_spread_unequal_samples_are_infinitely_apart() -> None:
    assert two_sample([1.0] * 4, [0.0] * 3).p == pytest.approx(1 / 35)


def test_shift_scale_and_exchange_change_nothing() -> None:
    generator = np.random.default_rng(2)
    a, b = generator.normal(1, 1, 5), generator.normal(0, 1, 5)
    p = two_sample(a, b).p
    assert two_sample(1e6 + 1e-3 * a, 1e6 + 1e-3 * b).p == p
    assert two_sample(b, a).p == p
    assert two_sample(-b, -a).p_greater == two_sample(a, b).p_greater


def test_ten_against_ten_is_exact() -> None:
    outcome = two_sample(np.arange(10.0) + 10, np.arange(10.0))
    assert (outcome.exact, outcome.splits) == (True, 184_756)
    assert outcome.p == pytest.approx(2 / 184_756)


def test_draws_approach_the_exact_value(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    a, b = generator.normal(0.8, 1, 6), generator.normal(0, 1, 6)
    exact = two_sample(a, b)
    monkeypatch.setattr(permutation, "EXACT_LIMIT", 100)
    drawn = two_sample(a, b, draws=20_000, seed=7)
    assert (drawn.exact, drawn.splits) == (False, 20_000)
    assert abs(drawn.p - exact.p) < 4 * np.sqrt(exact.p * (1 - exact.p) / 20_000)
    assert drawn == two_sample(a, b, draws=20_000, seed=7)
    assert drawn.p != two_sample(a, b, draws=20_000, seed=8).p


def test_drawn_p_is_never_zero() -> None:
    outcome = two_sample(np.arange(20.0) + 100, np.arange(20.0), draws=999)
    assert outcome.p == pytest.approx(1 / 1_000)
    assert not outcome.exact


@pytest.mark.parametrize(("n_a", "n_b", "limit"), [(5, 5, 10**6), (5, 4, 10**6), (1, 6, 10**6), (5, 5, 9), (6, 4, 9)])
def test_many_tests_at_once_are_those_one_by_one(
    n_a: int, n_b: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(permutation, "EXACT_LIMIT", limit)
    generator = np.random.default_rng(4)
    a, b = generator.normal(0.5, 1, (70, n_a)).round(1), generator.normal(0, 1, (70, n_b)).round(1)
    together = two_samples(a, b, generator=np.random.default_rng(5), draws=999)
    assert together == [two_sample(one, other, seed=5, draws=999) for one, other in zip(a, b, strict=True)]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4).flatmap(lambda n: st.tuples(*[st.lists(INTEGERS, min_size=n, max_size=n)] * 2)))
def test_half_of_the_splits_say_what_all_say(samples: tuple[list[int], list[int]]) -> None:
    a, b = (np.array([sample]) / 10 for sample in samples)
    n = a.shape[1]
    members = enumerated(2 * n, n)
    every = Splits(members, exact=True, mirrored=False, count=members.shape[1])
    outcome = two_sample(a[0], b[0])
    assert [(outcome.p, outcome.p_greater)] == permutation._p_values(a, b, every)


def test_the_list_of_splits_is_complete_and_the_second_half_mirrors_the_first() -> None:
    members = enumerated(8, 4)
    assert len({tuple(column) for column in members.T}) == 70
    assert (members.sum(axis=0) == 4).all()
    assert members[:, 0].tolist() == [True] * 4 + [False] * 4
    assert {tuple(column) for column in ~members[:, :35].T} == {tuple(column) for column in members[:, 35:].T}


def test_no_pairs_give_no_outcomes_and_sides_must_match() -> None:
    generator = np.random.default_rng(0)
    assert two_samples(np.empty((0, 5)), np.empty((0, 5)), generator=generator) == []
    with pytest.raises(ValueError, match="2 and 1"):
        two_samples(np.ones((2, 3)), np.ones((1, 3)), generator=generator)


@pytest.mark.parametrize("n_b", [4, 5])
def test_order_within_a_sample_changes_nothing_and_exchange_mirrors(n_b: int) -> None:
    generator = np.random.default_rng(6)
    a, b = generator.normal(0.8, 1, 5).round(1), generator.normal(0, 1, n_b).round(1)
    outcome, mirrored = two_sample(a, b), two_sample(b, a)
    assert two_sample(generator.permutation(a), generator.permutation(b)) == outcome
    assert mirrored.p == outcome.p
    assert mirrored.p_greater == two_sample(-a, -b).p_greater


@pytest.mark.parametrize("bad", [[], [float("nan")], [[1.0]]])
def test_samples_that_are_none_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        two_sample(bad, [1.0])
