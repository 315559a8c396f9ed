"""The sign flip against hand values, brute force and scipy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from leaderboard.statistics import signs
from leaderboard.statistics.permutation import Outcome
from leaderboard.statistics.signs import sign_flips


def sign_flip(differences: object, seed: int = 0, draws: int = 999) -> Outcome:
    return signs.sign_flip(np.array(differences), generator=np.random.default_rng(seed), draws=draws)


def test_three_differences_by_hand() -> None:
    """Of the sums +-1 +-2 +-3 two are at least 4 away from zero on either side."""
    outcome = sign_flip([3.0, 2.0, -1.0])
    assert outcome == Outcome(4 / 8, 2 / 8, "mean of paired differences", "paired", True, 8)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=7))
def test_by_brute_force_with_ties(differences: list[int]) -> None:
    sums = [
        sum(sign * value for sign, value in zip(pattern, differences, strict=True))
        for pattern in product([1, -1], repeat=len(differences))
    ]
    # Tenths are not exact in binary, so ties differ by rounding.
    outcome = sign_flip([difference / 10 for difference in differences])
    assert outcome.p == np.mean([abs(value) >= abs(sums[0]) for value in sums])
    assert outcome.p_greater == np.mean([value >= sums[0] for value in sums])
    assert outcome.splits == len(sums)


@pytest.mark.parametrize("shift", [0.4, -0.6])
def test_agrees_with_scipy(shift: float) -> None:
    d = np.random.default_rng(5).normal(shift, 1, 9)
    for alternative, ours in (("two-sided", sign_flip(d).p), ("greater", sign_flip(d).p_greater)):
        theirs = stats.permutation_test(
            (d,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative=alternative
        )
        assert ours == pytest.approx(theirs.pvalue)


def test_of_absolute_ranks_it_is_the_signed_rank_test() -> None:
    ranks = np.array([-1.0, 2, 3, -4, 5, 6, 7, 8, 9, 10, 11, 12])
    assert sign_flip(ranks).p == pytest.approx(stats.wilcoxon(ranks, method="exact").pvalue)


def test_21_tasks_are_exact_and_22_are_drawn() -> None:
    assert sign_flip(np.arange(1.0, 22)).p == 2 / 2**21
    assert sign_flip(np.arange(1.0, 22)).exact
    drawn = sign_flip(np.arange(1.0, 23))
    assert (drawn.exact, drawn.splits, drawn.p) == (False, 999, 1 / 1_000)


def test_draws_approach_the_exact_value(monkeypatch: pytest.MonkeyPatch) -> None:
    d = np.random.default_rng(6).normal(0.4, 1, 10)
    exact = sign_flip(d)
    monkeypatch.setattr(signs, "SIGN_LIMIT", 1)
    drawn = sign_flip(d, draws=20_000)
    assert abs(drawn.p - exact.p) < 4 * np.sqrt(exact.p * (1 - exact.p) / 20_000)
    assert abs(drawn.p_greater - exact.p_greater) < 4 * np.sqrt(exact.p_greater / 20_000)
    assert drawn.p != sign_flip(d, seed=1, draws=20_000).p


@pytest.mark.parametrize("limit", [2**21, 1])
def test_many_at_once_are_those_one_by_one(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "SIGN_LIMIT", limit)
    monkeypatch.setattr(signs, "NUMBERS", 2_000)  # several blocks
    d = np.random.default_rng(7).normal(0.3, 1, (30, 8)).round(1)
    together = sign_flips(d, generator=np.random.default_rng(0), draws=499)
    assert together == [sign_flip(row, draws=499) for row in d]


def test_invariances() -> None:
    d = np.random.default_rng(8).normal(0.5, 1, 9).round(1)
    outcome = sign_flip(d)
    assert sign_flip(1e-7 * d) == outcome
    assert sign_flip(d[::-1]) == outcome
    assert sign_flip(-d).p == outcome.p
    assert outcome.p_greater + sign_flip(-d).p_greater > 1.0  # the observed pattern counts on both sides
    assert sign_flip(np.zeros(5)).p == 1.0
    assert sign_flip([0.1, 0.2, -0.3]).p == 1.0


@pytest.mark.parametrize("bad", [[], [float("nan")], [[1.0]]])
def test_differences_that_are_none_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        sign_flip(bad)
