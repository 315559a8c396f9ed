"""The permutation tests against hand values, brute force, scipy and simulation."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from leaderboard.statistics import permutation
from leaderboard.statistics.permutation import sign_flip, two_sample

INTEGERS = st.integers(-3, 3)


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
    assert (outcome.exact, outcome.splits, outcome.seed, outcome.statistic) == (True, 20, None, "difference of means")


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
    assert (drawn.exact, drawn.splits, drawn.seed) == (False, 20_000, 7)
    assert abs(drawn.p - exact.p) < 4 * np.sqrt(exact.p * (1 - exact.p) / 20_000)
    assert drawn == two_sample(a, b, draws=20_000, seed=7)
    assert drawn.p != two_sample(a, b, draws=20_000, seed=8).p


def test_drawn_p_is_never_zero() -> None:
    outcome = two_sample(np.arange(20.0) + 100, np.arange(20.0), draws=999)
    assert outcome.p == pytest.approx(1 / 1_000)
    assert not outcome.exact


def test_null_is_rejected_as_often_as_promised() -> None:
    generator = np.random.default_rng(4)
    runs = 2_000
    rejected = sum(two_sample(generator.normal(size=5), generator.normal(size=5)).p <= 0.05 for _ in range(runs))
    level = 12 / 252  # the largest attainable level below 0.05
    assert abs(rejected - runs * level) < 4 * np.sqrt(runs * level * (1 - level))


@settings(max_examples=60, deadline=None)
@given(st.lists(INTEGERS, min_size=1, max_size=6))
def test_sign_flip_by_brute_force(differences: list[int]) -> None:
    sums = [
        sum(s * d for s, d in zip(signs, differences, strict=True))
        for signs in product([1, -1], repeat=len(differences))
    ]
    outcome = sign_flip([difference / 10 for difference in differences])
    assert outcome.p == pytest.approx(np.mean([abs(value) >= abs(sums[0]) for value in sums]))
    assert outcome.p_greater == pytest.approx(np.mean([value >= sums[0] for value in sums]))
    assert outcome.pairing == "paired"


def test_sign_flip_agrees_with_scipy_and_draws_where_it_must() -> None:
    d = np.random.default_rng(5).normal(0.4, 1, 8)
    theirs = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(d).p == pytest.approx(theirs.pvalue)
    assert not sign_flip(np.ones(20), draws=99).exact
    assert sign_flip(np.ones(20), draws=99).p == pytest.approx(1 / 100)


@pytest.mark.parametrize("bad", [[], [float("nan")], [[1.0]]])
def test_samples_that_are_none_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        two_sample(bad, [1.0])
