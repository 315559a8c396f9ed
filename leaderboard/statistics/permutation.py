"""Permutation tests of a difference of means, exact wherever the splits can be enumerated.

Letters: A and B samples of n_a and n_b scores, N = n_a + n_b, s splits. Larger scores are better.
Reference: Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 2005.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations
from math import comb
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Statistic = Literal["difference of means", "Welch t", "mean of paired differences"]

EXACT_LIMIT = 200_000  # splits up to which all are enumerated: 10 against 10 is exact
DRAWS = 99_999
TOLERANCE = 1e-12  # relative: a tie is not lost to rounding


@dataclass(frozen=True)
class Outcome:
    """What a test found and how."""

    p: float  # two-sided
    p_greater: float  # one-sided: A better than B
    statistic: Statistic
    pairing: Literal["unpaired", "paired"]
    exact: bool
    splits: int  # enumerated, or drawn
    seed: int | None  # of the generator; None where nothing was drawn


def two_sample(a: ArrayLike, b: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Outcome:
    """Test whether A, shape (n_a,), and B, shape (n_b,), come from one distribution.

    The statistic is the difference of means; with unequal sizes it is divided by Welch's standard
    error, because the plain difference is then sensitive to unequal spreads. A single score has no
    spread, so beside one the plain difference stays. All C(N, n_a) splits are enumerated up to 200,000,
    else ``draws`` are made with a generator seeded by ``seed`` and p = (hits + 1) / (draws + 1).

    Raises
    ------
    ValueError: if a sample is empty, not flat, or holds a value that is not finite.
    """
    first, second = _sample(a), _sample(b)
    size, total = len(first), len(first) + len(second)
    studentised = len(first) != len(second) and min(len(first), len(second)) > 1
    pooled, tolerance = _standardise(np.concatenate([first, second]))
    observed = _identity(size, total)[None, :]
    exact = comb(total, size) <= EXACT_LIMIT
    masks = _splits(total, size) if exact else _drawn_splits(total, size, draws, seed)
    statistic = _welch if studentised else _difference
    p, p_greater = _p_values(
        statistic(masks, pooled, size), float(statistic(observed, pooled, size)[0]), tolerance, exact
    )
    name: Statistic = "Welch t" if studentised else "difference of means"
    return Outcome(p, p_greater, name, "unpaired", exact, len(masks), None if exact else seed)


def sign_flip(differences: ArrayLike, *, draws: int = DRAWS, seed: int = 0) -> Outcome:
    """Test whether paired differences A - B, shape (n,), are symmetric about zero.

    All 2**n sign patterns are enumerated up to 200,000, else drawn as in :func:`two_sample`.

    Raises
    ------
    ValueError: if there is no difference, or one is not finite.
    """
    values = _sample(differences)
    values = values / (np.abs(values).max() or 1.0)
    exact = 2 ** len(values) <= EXACT_LIMIT
    if exact:
        signs = (np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1) * 2.0 - 1.0
    else:
        signs = np.random.default_rng(seed).integers(0, 2, (draws, len(values))) * 2.0 - 1.0
    p, p_greater = _p_values(signs @ values, float(values.sum()), TOLERANCE, exact)
    return Outcome(p, p_greater, "mean of paired differences", "paired", exact, len(signs), None if exact else seed)


def _sample(values: ArrayLike) -> Floats:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or not sample.size or not np.isfinite(sample).all():
        raise ValueError(f"expected a flat, non-empty sample of finite scores, got {values!r}")
    return sample


def _standardise(pooled: Floats) -> tuple[Floats, float]:
    """Centre and scale, so that one absolute tolerance serves scores of any size."""
    centred = pooled - pooled.mean()
    spread = float(np.abs(centred).max()) or 1.0
    return centred / spread, TOLERANCE * max(1.0, float(np.abs(pooled).max()) / spread)


def _identity(size: int, total: int) -> Floats:
    return (np.arange(total) < size).astype(np.float64)


@lru_cache(maxsize=8)
def _splits(total: int, size: int) -> Floats:
    """All ways to call ``size`` of ``total`` scores A, shape (s, N), 1 where a score is A's."""
    members = np.fromiter(chain.from_iterable(combinations(range(total), size)), dtype=np.intp)
    masks = np.zeros((comb(total, size), total))
    np.put_along_axis(masks, members.reshape(-1, size), 1.0, axis=1)
    masks.flags.writeable = False
    return masks


def _drawn_splits(total: int, size: int, draws: int, seed: int) -> Floats:
    rows = np.tile(_identity(size, total), (draws, 1))
    return np.random.default_rng(seed).permuted(rows, axis=1)


def _difference(masks: Floats, pooled: Floats, size: int) -> Floats:
    sums = masks @ pooled
    difference: Floats = sums / size - (pooled.sum() - sums) / (len(pooled) - size)
    return difference


def _welch(masks: Floats, pooled: Floats, size: int) -> Floats:
    other = len(pooled) - size
    sums, squares = masks @ pooled, masks @ pooled**2
    mean_a, mean_b = sums / size, (pooled.sum() - sums) / other
    variance_a = (squares - size * mean_a**2) / (size - 1)
    variance_b = ((pooled**2).sum() - squares - other * mean_b**2) / (other - 1)
    error = variance_a / size + variance_b / other
    # Scores are scaled to at most 1, so a smaller variance than this is rounding.
    flat = error < 1e-14
    difference = np.where(np.abs(mean_a - mean_b) < TOLERANCE, 0.0, mean_a - mean_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = difference / np.sqrt(np.where(flat, 0.0, error))
    return np.where(flat & (difference == 0.0), 0.0, t)


def _p_values(statistics: Floats, observed: float, tolerance: float, exact: bool) -> tuple[float, float]:
    """Return the two-sided and the one-sided share of splits at least as extreme as ``observed``."""
    slack = tolerance * max(1.0, abs(observed)) if np.isfinite(observed) else 0.0
    two_sided = np.count_nonzero(np.abs(statistics) >= abs(observed) - slack)
    one_sided = np.count_nonzero(statistics >= observed - slack)
    extra = 0 if exact else 1  # the observed split is one of the drawn
    count = len(statistics) + extra
    return (int(two_sided) + extra) / count, (int(one_sided) + extra) / count
