"""Welch's t under splits and shifts, for samples of unequal sizes.

The plain difference of means is sensitive to unequal spreads when the sizes differ; the studentised
permutation test is not (Janssen 1997; Chung and Romano 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leaderboard.statistics.splits import TOLERANCE, Bools, Floats, blocks

PRECISION = 1e-7  # of an end of an interval, relative to the largest distance of a score from its sample's mean
DOUBLINGS = 40


def welch_t(
    sums: Floats, squares: Floats, total: Floats, total_squares: Floats, n_a: int, n_b: int, scale: float = 1.0
) -> Floats:
    """Return Welch's t of every split, shape (..., s); infinite where means differ and nothing spreads.

    Parameters
    ----------
    sums, squares: of the scores that a split calls A, and of their squares, shape (..., s).
    total, total_squares: of all scores, shape (..., 1).
    scale: the size of the largest score; what is smaller by far is rounding.
    """
    mean_a, mean_b = sums / n_a, (total - sums) / n_b
    variance_a = (squares - n_a * mean_a**2) / (n_a - 1)
    variance_b = (total_squares - squares - n_b * mean_b**2) / (n_b - 1)
    error = variance_a / n_a + variance_b / n_b
    flat = error < 1e-14 * scale**2
    difference = mean_a - mean_b
    difference[np.abs(difference) < TOLERANCE * scale] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        t = difference / np.sqrt(np.where(flat, 0.0, error))
    t[flat & (difference == 0.0)] = 0.0
    return t


@dataclass(frozen=True)
class Shifted:
    """The moments of every split of two samples, from which those of any shift of A follow."""

    sums: Floats  # (s,) of the scores that a split calls A
    squares: Floats  # (s,)
    own: Floats  # (s,) of those among them that are A's as observed
    kept: Floats  # (s,) how many these are
    n_a: int
    n_b: int

    @classmethod
    def of(cls, a: Floats, b: Floats, members: Bools) -> Shifted:
        """From A (n_a,), B (n_b,) and the splits (N, s), the observed one first."""
        pooled = np.concatenate([a, b])
        membership = (np.arange(len(pooled)) < len(a)).astype(np.float64)
        rows = np.stack([pooled, pooled**2, pooled * membership, membership])
        moments = np.concatenate([rows @ masks for _, masks in blocks(members)], axis=1)
        sums, squares, own, kept = moments
        return cls(sums, squares, own, kept, len(a), len(b))

    def hits(self, shift: float, total: float, total_squares: float) -> int:
        """How many splits are at least as extreme as the observed one once A is moved by ``shift``."""
        t = welch_t(
            self.sums + shift * self.kept,
            self.squares + shift * (2 * self.own + shift * self.kept),
            np.array(total + shift * self.n_a),
            np.array(total_squares + shift * (2 * self.own[0] + shift * self.n_a)),
            self.n_a,
            self.n_b,
            1.0 + abs(shift),
        )
        observed = abs(float(t[0]))
        ties = TOLERANCE * max(1.0, observed) if np.isfinite(observed) else 0.0
        return int(np.count_nonzero(np.abs(t) >= observed - ties))


def welch_interval(
    a: Floats, b: Floats, members: Bools, needed: int, zero_is_inside: bool
) -> tuple[float, float] | None:
    """Return the shifts of A (n_a,) against B (n_b,) that at least ``needed`` splits do not contradict.

    The share of splits need not fall steadily on either side of the difference of means, as it does for a
    statistic that is linear in the scores. Each end is found by bisection between a shift that is rejected
    and one that is not, and ``zero_is_inside``, which the test itself has decided, is one of these.

    Parameters
    ----------
    members: the splits (N, s), the observed one first.
    needed: see :func:`leaderboard.statistics.inversion.splits_needed`.
    """
    if needed <= 1:  # the observed split counts at every shift
        return None
    difference = float(a.mean() - b.mean())
    aligned_a, aligned_b = a - a.mean(), b - b.mean()
    spread = float(max(np.abs(aligned_a).max(), np.abs(aligned_b).max()))
    if spread <= TOLERANCE * max(float(np.abs(a).max()), float(np.abs(b).max())):
        return (min(difference, 0.0), max(difference, 0.0)) if zero_is_inside else (difference, difference)
    shifted = Shifted.of(aligned_a / spread, aligned_b / spread, members)
    total = float((aligned_a.sum() + aligned_b.sum()) / spread)
    total_squares = float(((aligned_a**2).sum() + (aligned_b**2).sum()) / spread**2)

    def inside(shift: float) -> bool:
        # Under the shift d the means differ by what is left of the difference.
        return shifted.hits((difference - shift) / spread, total, total_squares) >= needed

    def end(sign: int) -> float | None:
        near, far = difference, difference + sign * spread
        if sign * (0.0 - difference) > 0.0:
            near, far = (0.0, sign * spread) if zero_is_inside else (difference, 0.0)
        if far != 0.0:
            for _ in range(DOUBLINGS):
                if not inside(far):
                    break
                near, far = far, far + 2 * (far - near)
            else:
                return None
        while abs(far - near) > PRECISION * spread:
            middle = (near + far) / 2
            near, far = (middle, far) if inside(middle) else (near, middle)
        return near

    low, high = end(-1), end(1)
    return None if low is None or high is None else (low, high)
