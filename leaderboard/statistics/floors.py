"""What a number of seeds allows: the smallest p, the largest family, the smallest effect worth hoping for."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb, sqrt
from statistics import NormalDist

from leaderboard.statistics.permutation import DRAWS, EXACT_LIMIT

ALPHA = 0.05  # a p-value, corrected where a family is tested, must not exceed it
POWER = 0.8


def smallest_p(n_a: int, n_b: int) -> float:
    """The smallest two-sided p that the unpaired test can give for ``n_a`` against ``n_b`` scores.

    With equal sizes a split and its mirror image are always equally extreme, hence the 2.
    """
    splits = comb(n_a + n_b, n_a)
    if splits > EXACT_LIMIT:
        return 1 / (DRAWS + 1)
    return (2 if n_a == n_b else 1) / splits


def smallest_paired_p(n: int) -> float:
    """The smallest two-sided p of the sign flip of ``n`` differences."""
    return 2 / 2**n if 2**n <= EXACT_LIMIT else 1 / (DRAWS + 1)


def largest_family(n: int) -> int:
    """The largest Holm family in which ``n`` seeds per method can reach significance."""
    return int(ALPHA / smallest_p(n, n))


def seeds_needed(family: int) -> int:
    """The fewest seeds per method with which a family of this size can reach significance."""
    return next(n for n in range(1, 1_000) if largest_family(n) >= family)


def refusal(sizes: Sequence[tuple[int, int]]) -> str | None:
    """Say in one line why no test of a family can come out significant, or return None where one can.

    Parameters
    ----------
    sizes: the number of scores on either side of each of the family's m tests. Holm's first step
        compares the smallest p with 0.05 / m; if no test can come that low, there is nothing to test.
    """
    family = len(sizes)
    n_a, n_b = min(sizes, key=lambda pair: smallest_p(*pair))
    floor = smallest_p(n_a, n_b)
    if floor * family <= ALPHA:
        return None
    seeds = f"{n_a} seed{'s' * (n_a > 1)}" if n_a == n_b else f"{n_a} against {n_b} seeds"
    tests = "1 test" if family == 1 else f"{family} tests"
    return (
        f"{seeds} allow{'s' * (n_a == n_b == 1)} p >= {shown(floor)}, a family of {tests} needs "
        f"p <= {shown(ALPHA / family)}; "
        f"{', '.join(f'{n} seeds support a family of {largest_family(n)}' for n in sorted({4, seeds_needed(family)}))}"
    )


def smallest_effect(sd: float, n: int, family: int) -> float:
    """The difference of means that ``n`` against ``n`` seeds with this sd find with probability 0.8.

    Uses the t approximation (quantiles of the level 0.05 / family and of the power, 2n - 2 degrees of
    freedom, times the standard error), in the units of ``sd``; n > 1.
    """
    freedom = 2 * n - 2
    quantiles = _student(1 - ALPHA / (2 * family), freedom) + _student(POWER, freedom)
    return sd * sqrt(2 / n) * quantiles


def shown(p: float) -> str:
    """Write a p-value with two significant digits."""
    if p >= 0.095:
        return f"{p:.2f}"
    return f"{p:.2g}" if p >= 0.0001 else f"{p:.6f}"


def _student(probability: float, freedom: int) -> float:
    """Student's quantile by the expansion about the normal one (Abramowitz and Stegun 26.7.5)."""
    z = NormalDist().inv_cdf(probability)
    terms = (
        z,
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return sum(term / float(freedom**power) for power, term in enumerate(terms))
