"""Confidence intervals from a permutation test: the shifts that the test does not reject.

A test of the shift d subtracts d from A's scores (from every difference, in the sign flip) and looks at the
same splits. Split s, whose statistic on the scores is D_s, then has the statistic D_s - d c_s, where c_s is
the statistic of the 0/1 membership of A as observed (the mean sign, in the sign flip), |c_s| <= 1; the
observed split has D - d. With d = D - u and E_s = D_s - D c_s the split counts as at least as extreme where
|E_s + c_s u| >= |u|, which is one interval around u = 0 with the ends E_s / (1 - c_s) and -E_s / (1 + c_s).
So the number of splits that count falls on either side of u = 0, and the ends of the set of shifts that are
not rejected are order statistics of the splits' own ends.
"""

from __future__ import annotations

from itertools import count

import numpy as np

from leaderboard.statistics.splits import Floats


def splits_needed(splits: int, level: float) -> int:
    """The fewest of ``splits`` that make p larger than 1 - level."""
    alpha = round(1 - level, 12)
    return next(number for number in count(int(alpha * splits)) if number / splits > alpha)


def shift_interval(statistics: Floats, leverage: Floats, needed: int, ties: float) -> tuple[float, float] | None:
    """Return the smallest and the largest shift at which at least ``needed`` splits count.

    Parameters
    ----------
    statistics: D_s, shape (s,), the observed split first.
    leverage: c_s, shape (s,).
    needed: see :func:`splits_needed`; halved, upwards, where only one split of each mirror pair is given.
    ties: the difference of statistics up to which the test sees a tie; an end as near to 0 is 0.

    Returns
    -------
    None where the interval is the whole line: the splits that leave A and B as they are, or exchange
    them, count at every shift.
    """
    observed = float(statistics[0])
    everywhere = np.abs(leverage) > 1.0 - 1e-9  # exactly 1 but for rounding; others are at most 1 - 2 / N
    wanted = needed - int(np.count_nonzero(everywhere))
    if wanted <= 0:
        return None
    keep = ~everywhere
    c = leverage[keep]
    excess = statistics[keep] - observed * c
    ends = excess / (1.0 - c), -excess / (1.0 + c)
    upper = -np.partition(-np.maximum(*ends), wanted - 1)[wanted - 1]
    lower = np.partition(np.minimum(*ends), wanted - 1)[wanted - 1]
    low, high = observed - float(upper), observed - float(lower)
    # A split that ties with the observed one puts an end at 0 but for rounding; no other lies so near,
    # because (D - D_s) / (1 - c_s) is at least half of D - D_s.
    return (0.0 if abs(low) <= ties / 2 else low), (0.0 if abs(high) <= ties / 2 else high)
