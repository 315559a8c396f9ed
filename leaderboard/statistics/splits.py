"""The ways to split pooled scores between A and B, and the count of those at least as extreme as the observed one.

Letters: A and B samples of n_a and n_b scores, N = n_a + n_b; k tests; s splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, combinations
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

TOLERANCE = 1e-12  # relative: a tie is not lost to rounding
WIDTH = 2_048  # splits, and
ROWS = 32  # tests, of one block: its statistics stay in the processor's cache


@dataclass(frozen=True)
class Splits:
    """Splits of N scores, the observed one first."""

    members: Bools  # (N, s) whether a score is A's
    exact: bool
    mirrored: bool  # whether each column stands for its mirror image too, in which A and B are exchanged
    count: int  # enumerated or drawn; a mirror image counts


def splits(n_a: int, n_b: int, limit: int, draws: int, generator: np.random.Generator) -> Splits:
    """All C(N, n_a) splits if there are at most ``limit``, else the observed one and ``draws`` drawn ones."""
    every = comb(n_a + n_b, n_a)
    if every > limit:
        observed = np.arange(n_a + n_b) < n_a
        drawn = generator.permuted(np.tile(observed, (draws, 1)), axis=1)
        return Splits(np.vstack([observed, drawn]).T, exact=False, mirrored=False, count=draws)
    members = enumerated(n_a + n_b, n_a)
    # The first half of the enumeration, in which the first score is A's, mirrors the second.
    half = n_a == n_b
    return Splits(members[:, : every // 2] if half else members, exact=True, mirrored=half, count=every)


@lru_cache(maxsize=16)
def enumerated(total: int, size: int) -> Bools:
    """Every way to call ``size`` of ``total`` scores A, shape (total, C(total, size)), the observed one first."""
    chosen = np.fromiter(chain.from_iterable(combinations(range(total), size)), dtype=np.intp)
    members = np.zeros((comb(total, size), total), dtype=np.bool_)
    np.put_along_axis(members, chosen.reshape(-1, size), True, axis=1)
    turned = np.ascontiguousarray(members.T)
    turned.flags.writeable = False
    return turned


def blocks(members: Bools) -> Iterator[tuple[slice, Floats]]:
    """Yield (columns, their 0/1 masks of shape (N, w)) for all columns in turn."""
    for start in range(0, members.shape[1], WIDTH):
        columns = slice(start, min(start + WIDTH, members.shape[1]))
        yield columns, members[:, columns].astype(np.float64)


def row_blocks(k: int, rows: int = ROWS) -> Iterator[slice]:
    """Yield slices that cover k rows."""
    return (slice(start, min(start + rows, k)) for start in range(0, k, rows))


def slack(observed: Floats, tolerance: Floats) -> Floats:
    """How much less extreme than ``observed``, both (k,), still counts as a tie."""
    size = np.abs(observed)
    return np.where(np.isfinite(size), tolerance * np.maximum(1.0, np.where(np.isfinite(size), size, 0.0)), 0.0)


class Tally:
    """Counts, for k tests, the splits whose statistic is at least as extreme as the observed one."""

    def __init__(self, observed: Floats, tolerance: Floats, mirrored: bool) -> None:
        self._observed, self._slack, self._mirrored = observed, slack(observed, tolerance), mirrored
        self._splits = 0
        self._extreme = np.zeros(len(observed), dtype=np.int64)
        self._other = np.zeros(len(observed), dtype=np.int64)  # mirrored: strictly more extreme; else: greater

    def add(self, rows: slice, statistics: Floats) -> None:
        """Count the statistics (rows, w) of further splits; they are overwritten. Row 0 counts the splits."""
        observed, ties = self._observed[rows, None], self._slack[rows, None]
        self._splits += statistics.shape[1] if rows.start == 0 else 0
        if not self._mirrored:
            self._other[rows] += np.count_nonzero(statistics >= observed - ties, axis=1)
        size = np.abs(statistics, out=statistics)
        self._extreme[rows] += np.count_nonzero(size >= np.abs(observed) - ties, axis=1)
        if self._mirrored:
            self._other[rows] += np.count_nonzero(size > np.abs(observed) + ties, axis=1)

    def p_values(self) -> list[tuple[float, float]]:
        """Return, for each test, the two-sided and the one-sided share of the splits."""
        two, one, every = self._extreme, self._other, self._splits
        if self._mirrored:
            # The statistic of a mirror image is the negative one.
            every, two = 2 * every, 2 * two
            one = np.where(self._observed > self._slack, self._extreme, every - one)
        return [(int(both) / every, int(upper) / every) for both, upper in zip(two, one, strict=True)]


def sample_rows(values: ArrayLike) -> Floats:
    """Return samples of scores as an array (k, n).

    Raises
    ------
    ValueError: if they are not k rows of n > 0 finite scores.
    """
    rows = np.asarray(values, dtype=np.float64)
    if rows.ndim != 2 or not rows.shape[1] or not np.isfinite(rows).all():
        raise ValueError(f"expected samples of at least one score, all finite, got {values!r}")
    return rows


def one_sample(values: ArrayLike) -> Floats:
    """Return one sample as rows (1, n); raises ValueError if it is not flat, empty, or not finite."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1:
        raise ValueError(f"expected a flat sample of finite scores, got {values!r}")
    return sample_rows(sample[None, :])
