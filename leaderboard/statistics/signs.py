"""The sign flip: a permutation test of paired differences, exact up to 21 of them.

Letters: T differences, one for each task or each pair of seeds; k tests. Positive differences are better.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from leaderboard.statistics.inversion import shift_interval, splits_needed
from leaderboard.statistics.permutation import DRAWS, NUMBERS, Outcome
from leaderboard.statistics.splits import TOLERANCE, Floats, Tally, one_sample, row_blocks, sample_rows, slack

SIGN_LIMIT = 2**21  # patterns up to which all are enumerated


def sign_flip(differences: ArrayLike, *, generator: np.random.Generator, draws: int = DRAWS) -> Outcome:
    """Test whether paired differences A - B, shape (T,), are symmetric about zero; two-sided.

    All 2**T sign patterns are enumerated up to 2**21, else ``draws`` are drawn and
    p = (hits + 1) / (draws + 1).

    Raises
    ------
    ValueError: if there is no difference, or one is not finite.
    """
    return sign_flips(one_sample(differences), generator=generator, draws=draws)[0]


def sign_flips(differences: ArrayLike, *, generator: np.random.Generator, draws: int = DRAWS) -> list[Outcome]:
    """Test k rows of differences, shape (k, T), at once; where patterns are drawn, all rows use the same.

    Raises as :func:`sign_flip`.
    """
    values, _ = _scaled(sample_rows(differences))
    tasks = values.shape[1]
    exact = 2**tasks <= SIGN_LIMIT
    signs = None if exact else _drawn(tasks, draws, generator)
    tally = Tally(values.mean(axis=1), np.full(len(values), TOLERANCE), mirrored=exact)
    for rows in row_blocks(len(values), _rows(tasks, draws, exact)):
        tally.add(rows, _means(values[rows], signs))
    count = 2**tasks if exact else draws
    return [
        Outcome(p, p_greater, "mean of paired differences", "paired", exact, count) for p, p_greater in tally.p_values()
    ]


def sign_flip_interval(
    differences: ArrayLike, *, generator: np.random.Generator, level: float = 0.95, draws: int = DRAWS
) -> tuple[float, float] | None:
    """Return the confidence interval of the mean difference: the shifts that :func:`sign_flip` does not reject.

    Zero lies outside exactly when p <= 1 - level; where patterns are drawn, when the generator is in the
    state that it had for the test. None where the test can reject no shift with so few differences.

    Raises
    ------
    ValueError: as :func:`sign_flip`.
    """
    values, spread = _scaled(one_sample(differences))
    tasks = values.shape[1]
    exact = 2**tasks <= SIGN_LIMIT
    signs = None if exact else _drawn(tasks, draws, generator)
    means, leverage = _means(values, signs)[0], _means(np.ones_like(values), signs)[0]
    fold = 2 if exact else 1
    needed = -(-splits_needed(fold * len(means), level) // fold)
    ends = shift_interval(means, leverage, needed, float(slack(means[:1], np.array([TOLERANCE]))[0]))
    return None if ends is None else (ends[0] * float(spread[0]), ends[1] * float(spread[0]))


def _scaled(differences: Floats) -> tuple[Floats, Floats]:
    spread = np.abs(differences).max(axis=1)
    spread[spread == 0.0] = 1.0
    return differences / spread[:, None], spread


def _rows(tasks: int, draws: int, exact: bool) -> int:
    return max(1, NUMBERS // (2 ** (tasks - 1) if exact else draws))


def _drawn(tasks: int, draws: int, generator: np.random.Generator) -> Floats:
    """The observed signs and ``draws`` drawn ones, shape (T, draws + 1)."""
    drawn = generator.integers(0, 2, (tasks, draws)) * 2.0 - 1.0
    return np.concatenate([np.ones((tasks, 1)), drawn], axis=1)


def _means(values: Floats, signs: Floats | None) -> Floats:
    """Mean of the signed differences (k, T) under every pattern, the observed one first.

    Without ``signs`` all 2**(T - 1) patterns that keep the first sign; the others mirror them. Each further
    difference is added to, and taken from, the sums so far.
    """
    parts = values / values.shape[1]
    if signs is not None:
        drawn: Floats = parts @ signs
        return drawn
    sums = parts[:, :1]
    for part in parts.T[1:, :, None]:
        sums = np.concatenate([sums + part, sums - part], axis=1)
    return np.asarray(sums)
