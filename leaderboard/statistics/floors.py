"""What a number of seeds allows: the smallest p, the largest family, the smallest effect worth hoping for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import comb, sqrt
from statistics import NormalDist

import numpy as np

from leaderboard.statistics.permutation import DRAWS, EXACT_LIMIT, intervals
from leaderboard.statistics.signs import SIGN_LIMIT, sign_flip_interval

ALPHA = 0.05  # a p-value, corrected where a family is tested, must not exceed it
POWER = 0.8
SIMULATED = 8  # seeds up to which the power is simulated,
SIMULATED_PAIRS = 12  # or pairs of them, whose test is coarser, with
RUNS = 2_000


def smallest_p(n_a: int, n_b: int) -> float:
    """The smallest two-sided p that the unpaired test can give for ``n_a`` against ``n_b`` scores.

    With equal sizes a split and its mirror image are always equally extreme, hence the 2.
    """
    splits = comb(n_a + n_b, n_a)
    if splits > EXACT_LIMIT:
        return 1 / (DRAWS + 1)
    return (2 if n_a == n_b else 1) / splits


def smallest_paired_p(n: int) -> float:
    """The smallest two-sided p of the sign flip of ``n`` differences, of seeds or of tasks."""
    return min(1.0, 2 / 2**n) if 2**n <= SIGN_LIMIT else 1 / (DRAWS + 1)


def largest_family(n: int) -> int:
    """The largest Holm family in which ``n`` seeds per method can reach significance."""
    return int(ALPHA / smallest_p(n, n))


def largest_paired_family(n: int) -> int:
    """The largest Holm family in which the sign flip of ``n`` differences can reach significance."""
    return int(ALPHA / smallest_paired_p(n))


def seeds_needed(family: int) -> int:
    """The fewest seeds per method with which a family of this size can reach significance.

    Raises
    ------
    ValueError: if no number of seeds can.
    """
    return _fewest(family, largest_family)


def differences_needed(family: int) -> int:
    """The fewest differences with which a family of sign flips can reach significance; raises as above."""
    return _fewest(family, largest_paired_family)


def refusal(sizes: Sequence[tuple[int, int]]) -> str | None:
    """Say in one line why no test of a family can come out significant, or return None where one can.

    Parameters
    ----------
    sizes: the number of scores on either side of each of the family's m tests. Holm's first step
        compares the smallest p with 0.05 / m; if no test can come that low, there is nothing to test.
    """
    n_a, n_b = min(sizes, key=lambda pair: smallest_p(*pair))
    have = _counted(n_a, "seed") if n_a == n_b else f"{n_a} against {n_b} seeds"
    return _line(have, n_a == n_b == 1, smallest_p(n_a, n_b), len(sizes), "seeds", seeds_needed, largest_family)


def paired_refusal(sizes: Sequence[int], unit: str) -> str | None:
    """The same of a family of sign flips.

    Parameters
    ----------
    sizes: the number of differences in each of the family's m tests.
    unit: what a difference belongs to, "task" or "seed".
    """
    n = min(sizes, key=smallest_paired_p)
    return _line(
        _counted(n, unit), n == 1, smallest_paired_p(n), len(sizes), f"{unit}s", differences_needed,
        largest_paired_family,
    )  # fmt: skip


def smallest_effect(sd: float, n: int, family: int) -> float | None:
    """The difference of means that ``n`` against ``n`` seeds with this sd find with probability 0.8.

    Found means significant at Holm's first step, p <= 0.05 / family, with normal scores; in the units of
    ``sd``. Up to eight seeds by simulation, because the test is then coarse and its power well below that
    of the t test; above by the t approximation (quantiles of the largest attainable level and of the power,
    2n - 2 degrees of freedom, times the standard error). None where n seeds cannot reach significance in
    such a family.
    """
    if largest_family(n) < family:
        return None
    if n <= SIMULATED:
        return sd * _simulated_effect(n, family)
    return sd * sqrt(2 / n) * _quantiles(smallest_p(n, n), family, 2 * n - 2)


def smallest_paired_effect(sd: float, n: int, family: int) -> float | None:
    """The same of the sign flip: the mean of ``n`` differences with this sd that is found with probability 0.8."""
    if largest_paired_family(n) < family:
        return None
    if n <= SIMULATED_PAIRS:
        return sd * _simulated_paired_effect(n, family)
    return sd * sqrt(1 / n) * _quantiles(smallest_paired_p(n), family, n - 1)


def _quantiles(floor: float, family: int, freedom: int) -> float:
    """Of Student's t: of the largest level that a test with this smallest p attains, and of the power."""
    level = int(ALPHA / family / floor) * floor
    return _student(1 - level / 2, freedom) + _student(POWER, freedom)


@lru_cache(maxsize=64)
def _simulated_effect(n: int, family: int) -> float:
    """The effect in standard deviations that 80 % of simulated runs find.

    An effect d is found in a run exactly when -d lies below the interval of the run without an effect.
    """
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, RUNS, n))
    found = intervals(a, b, generator=generator, level=1 - ALPHA / family)
    return float(np.quantile([-ends[0] for ends in found if ends], POWER))


@lru_cache(maxsize=64)
def _simulated_paired_effect(n: int, family: int) -> float:
    """The same of the sign flip, in standard deviations of the differences."""
    generator = np.random.default_rng(0)
    level = 1 - ALPHA / family
    found = [sign_flip_interval(one, generator=generator, level=level) for one in generator.normal(size=(RUNS, n))]
    return float(np.quantile([-ends[0] for ends in found if ends], POWER))


def shown(p: float) -> str:
    """Write a p-value with two significant digits, near 0.05 with as many as tell on which side it is."""
    if p >= 0.095:
        return f"{p:.2f}"
    if p < 0.0001:
        return f"{p:.6f}"
    texts = [f"{p:.{digits}g}" for digits in range(2, 7)]
    return next((text for text in texts if _side(float(text)) == _side(p)), texts[-1])


def _side(p: float) -> tuple[bool, bool]:
    return p < ALPHA, p > ALPHA


def _line(
    have: str,
    singular: bool,
    floor: float,
    family: int,
    units: str,
    needed: Callable[[int], int],
    largest: Callable[[int], int],
) -> str | None:
    if floor * family <= ALPHA:
        return None
    try:
        supported = sorted({needed(1), needed(family)})
        ways = ", ".join(f"{n} {units} support a family of {largest(n)}" for n in supported)
    except ValueError:
        ways = f"no number of {units} supports so many tests"
    tests = _counted(family, "test")
    allowed = f"{have} allow{'s' * singular} p >= {shown(floor)}"
    return f"{allowed}, a family of {tests} needs p <= {shown(ALPHA / family)}; {ways}"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _fewest(family: int, largest: Callable[[int], int]) -> int:
    found = next((n for n in range(1, 100) if largest(n) >= family), None)
    if found is None:
        raise ValueError(f"no number of scores supports a family of {family} tests")
    return found


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
