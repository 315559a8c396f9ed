"""Permutation tests of a difference of means and their intervals, exact wherever the splits can be enumerated.

Letters: A and B samples of n_a and n_b scores, N = n_a + n_b; k tests; s splits. Larger scores are better.
Reference: Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from leaderboard.statistics.inversion import shift_interval, splits_needed
from leaderboard.statistics.splits import (
    TOLERANCE,
    Bools,
    Floats,
    Splits,
    Tally,
    blocks,
    one_sample,
    row_blocks,
    sample_rows,
    slack,
    splits,
)
from leaderboard.statistics.welch import welch_interval, welch_t

Statistic = Literal[
    "difference of means", "Welch t", "mean of paired differences", "mean of task-standardised differences"
]

EXACT_LIMIT = 200_000  # splits up to which all are enumerated: 10 against 10 is exact
DRAWS = 99_999
NUMBERS = 1_000_000  # statistics held at once, 8 MB


@dataclass(frozen=True)
class Outcome:
    """What a test found and how."""

    p: float  # two-sided
    p_greater: float  # one-sided: A better than B
    statistic: Statistic
    pairing: Literal["unpaired", "paired"]
    exact: bool
    splits: int  # enumerated, or drawn


def two_sample(a: ArrayLike, b: ArrayLike, *, generator: np.random.Generator, draws: int = DRAWS) -> Outcome:
    """Test whether A, shape (n_a,), and B, shape (n_b,), come from one distribution.

    The statistic is the difference of means; with unequal sizes it is divided by Welch's standard
    error, because the plain difference is then sensitive to unequal spreads. A single score has no
    spread, so beside one the plain difference stays. All C(N, n_a) splits are enumerated up to 200,000,
    else ``draws`` are drawn and p = (hits + 1) / (draws + 1).

    Raises
    ------
    ValueError: if a sample is empty, not flat, or holds a value that is not finite.
    """
    return two_samples(one_sample(a), one_sample(b), generator=generator, draws=draws)[0]


def two_samples(a: ArrayLike, b: ArrayLike, *, generator: np.random.Generator, draws: int = DRAWS) -> list[Outcome]:
    """Test k pairs of samples of one pair of sizes at once: A, shape (k, n_a), against B, shape (k, n_b).

    Gives what k calls of :func:`two_sample` give whose generators are in the state of this one: where
    splits are drawn, all k tests use the same.

    Raises
    ------
    ValueError: as :func:`two_sample`; or if A and B are not equally many.
    """
    first, second = _pairs(a, b)
    n_a, n_b = first.shape[1], second.shape[1]
    ways = splits(n_a, n_b, EXACT_LIMIT, draws, generator)
    name: Statistic = "Welch t" if _studentised(n_a, n_b) else "difference of means"
    return [
        Outcome(p, p_greater, name, "unpaired", ways.exact, ways.count)
        for p, p_greater in _p_values(first, second, ways)
    ]


def interval(
    a: ArrayLike, b: ArrayLike, *, generator: np.random.Generator, level: float = 0.95, draws: int = DRAWS
) -> tuple[float, float] | None:
    """Return the confidence interval of mean(A) - mean(B): the shifts that :func:`two_sample` does not reject.

    Zero lies outside exactly when p <= 1 - level; where splits are drawn, when the generator is in the
    state that it had for the test. None where the test can reject no shift with so few scores.

    Raises
    ------
    ValueError: as :func:`two_sample`.
    """
    return intervals(one_sample(a), one_sample(b), generator=generator, level=level, draws=draws)[0]


def intervals(
    a: ArrayLike, b: ArrayLike, *, generator: np.random.Generator, level: float = 0.95, draws: int = DRAWS
) -> list[tuple[float, float] | None]:
    """Return the intervals of k pairs of samples: A, shape (k, n_a), against B, shape (k, n_b).

    See :func:`interval`; raises as :func:`two_samples`.
    """
    first, second = _pairs(a, b)
    n_a, n_b = first.shape[1], second.shape[1]
    ways = splits(n_a, n_b, EXACT_LIMIT, draws, generator)
    fold = 2 if ways.mirrored else 1
    needed = -(-splits_needed(fold * ways.members.shape[1], level) // fold)
    if not _studentised(n_a, n_b):
        return _linear_intervals(first, second, ways, needed)
    inside = [p > round(1 - level, 12) for p, _ in _p_values(first, second, ways)]
    return [
        welch_interval(one, other, ways.members, needed, zero)
        for one, other, zero in zip(first, second, inside, strict=True)
    ]


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    first, second = sample_rows(a), sample_rows(b)
    if len(first) != len(second):
        raise ValueError(f"expected equally many samples on both sides, got {len(first)} and {len(second)}")
    return first, second


def _studentised(n_a: int, n_b: int) -> bool:
    return n_a != n_b and min(n_a, n_b) > 1


def _standardise(pooled: Floats) -> tuple[Floats, Floats, Floats]:
    """Centre and scale rows (k, N), so that one tolerance serves scores of any size; return also both (k,)."""
    centred = pooled - pooled.mean(axis=1, keepdims=True)
    spread = np.abs(centred).max(axis=1)
    spread[spread == 0.0] = 1.0
    return centred / spread[:, None], spread, TOLERANCE * np.maximum(1.0, np.abs(pooled).max(axis=1) / spread)


def _p_values(first: Floats, second: Floats, ways: Splits) -> list[tuple[float, float]]:
    values, _, tolerance = _standardise(np.concatenate([first, second], axis=1))
    n_a, n_b = first.shape[1], second.shape[1]
    statistic = _welch if _studentised(n_a, n_b) else _difference
    observed = statistic(values, ways.members[:, :1].astype(np.float64), n_a, n_b)[:, 0]
    tally = Tally(observed, tolerance, ways.mirrored)
    for _, masks in blocks(ways.members):
        for rows in row_blocks(len(values)):
            tally.add(rows, statistic(values[rows], masks, n_a, n_b))
    return tally.p_values()


def _linear_intervals(first: Floats, second: Floats, ways: Splits, needed: int) -> list[tuple[float, float] | None]:
    values, spread, tolerance = _standardise(np.concatenate([first, second], axis=1))
    n_a, n_b = first.shape[1], second.shape[1]
    leverage = _leverage(ways.members, n_a, n_b)
    found: list[tuple[float, float] | None] = []
    for rows in row_blocks(len(values), max(1, NUMBERS // len(leverage))):
        statistics = np.empty((len(values[rows]), len(leverage)))
        for columns, masks in blocks(ways.members):
            statistics[:, columns] = _difference(values[rows], masks, n_a, n_b)
        ties = slack(statistics[:, 0], tolerance[rows])
        for row, unit, tie in zip(statistics, spread[rows], ties, strict=True):
            ends = shift_interval(row, leverage, needed, float(tie))
            found.append(None if ends is None else (ends[0] * float(unit), ends[1] * float(unit)))
    return found


def _difference(values: Floats, masks: Floats, n_a: int, n_b: int) -> Floats:
    """Difference of means of centred values (k, N) under splits (N, s): B's sum is the negative of A's."""
    difference: Floats = (values * (1 / n_a + 1 / n_b)) @ masks
    return difference


def _leverage(members: Bools, n_a: int, n_b: int) -> Floats:
    """The same statistic of the membership of A as observed, shape (s,)."""
    kept = np.count_nonzero(members[:n_a], axis=0)
    return np.asarray(kept / n_a - (n_a - kept) / n_b)


def _welch(values: Floats, masks: Floats, n_a: int, n_b: int) -> Floats:
    squares = values**2
    return welch_t(
        values @ masks,
        squares @ masks,
        values.sum(axis=1, keepdims=True),
        squares.sum(axis=1, keepdims=True),
        n_a,
        n_b,
    )
