"""How the scores of one task are tested: which way is better, paired or not, and what fine-tuning left to gain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from leaderboard.content import Interval, Procedure, Summary
from leaderboard.statistics.floors import paired_refusal, refusal
from leaderboard.statistics.permutation import Outcome, intervals, two_samples
from leaderboard.statistics.scale import error_removed
from leaderboard.statistics.signs import sign_flip, sign_flip_interval

Floats = NDArray[np.float64]
Pair = tuple[Summary, Summary]

GENERATOR_SEED = 0  # of every test that draws, so that a comparison does not depend on the others
NO_SIGNIFICANCE = "this protocol supports no significance at any number of seeds"


class TaskTests:
    """The tests of one task, with the common facts of its scores.

    Parameters
    ----------
    higher_is_better: direction of the metric; the statistics see scores turned so that larger is better.
    paired: whether the seed draws the split too, so that scores are compared in pairs of common seeds.
    reference: mean score of fine-tuning on this task, metric units; None without it.
    """

    def __init__(self, higher_is_better: bool, paired: bool = False, reference: float | None = None) -> None:
        self.higher_is_better, self.paired, self.reference = higher_is_better, paired, reference

    def turned(self, summary: Summary) -> Floats:
        """The scores, (n,), turned so that larger is better."""
        return np.asarray(summary.scores, dtype=np.float64) * (1.0 if self.higher_is_better else -1.0)

    def outcomes(self, pairs: Sequence[Pair]) -> list[Outcome | None]:
        """Test every pair; None where pairing leaves no common seed. Pairs of like sizes are tested together."""
        if self.paired:
            found = [self.differences(a, b) for a, b in pairs]
            return [sign_flip(d, generator=generator()) if len(d) else None for d in found]
        outcomes: list[Outcome | None] = [None] * len(pairs)
        for places, a, b in self._by_size(pairs):
            for place, outcome in zip(places, two_samples(a, b, generator=generator()), strict=True):
                outcomes[place] = outcome
        return outcomes

    def intervals(self, pairs: Sequence[Pair]) -> list[Interval | None]:
        """95 % intervals of the differences of means, by inversion of the tests."""
        found: list[tuple[float, float] | None] = [None] * len(pairs)
        if self.paired:
            for place, (a, b) in enumerate(pairs):
                if len(differences := self.differences(a, b)):
                    found[place] = sign_flip_interval(differences, generator=generator())
        else:
            for places, first, second in self._by_size(pairs):
                for place, interval in zip(places, intervals(first, second, generator=generator()), strict=True):
                    found[place] = interval
        return [Interval(low=ends[0], high=ends[1]) if ends else None for ends in found]

    def refusal(self, pairs: Sequence[Pair]) -> str | None:
        """Why no test of the family ``pairs`` can come out significant, in one line, or None."""
        if self.paired:
            return paired_refusal([len(self.differences(a, b)) for a, b in pairs], "seed")
        return refusal([(a.n, b.n) for a, b in pairs])

    def used(self, a: Summary, b: Summary) -> Pair | None:
        """What a test of the pair uses: where scores are paired, those of the common seeds; None if there are none."""
        if not self.paired:
            return a, b
        common = set(a.seeds) & set(b.seeds)
        return (at_seeds(a, common), at_seeds(b, common)) if common else None

    def error_removed(self, a: Summary, b: Summary) -> float | None:
        """Difference of the means in shares of fine-tuning's error."""
        if self.reference is None or not leaves_error(self.reference, self.higher_is_better):
            return None
        ends = error_removed([a.mean, b.mean], self.reference, higher_is_better=self.higher_is_better)
        return float(ends[0] - ends[1])

    def differences(self, a: Summary, b: Summary) -> Floats:
        """Of the scores at the common seeds, turned so that larger is better."""
        first = dict(zip(a.seeds, self.turned(a), strict=True))
        second = dict(zip(b.seeds, self.turned(b), strict=True))
        return np.array([first[seed] - second[seed] for seed in sorted(first.keys() & second.keys())])

    def _by_size(self, pairs: Sequence[Pair]) -> list[tuple[list[int], Floats, Floats]]:
        """Group pairs by their sizes: places, (k, n_a), (k, n_b)."""
        groups: dict[tuple[int, int], list[int]] = defaultdict(list)
        for place, (a, b) in enumerate(pairs):
            groups[a.n, b.n].append(place)
        return [
            (
                places,
                np.stack([self.turned(pairs[place][0]) for place in places]),
                np.stack([self.turned(pairs[place][1]) for place in places]),
            )
            for places in groups.values()
        ]


def at_seeds(summary: Summary, seeds: Collection[int]) -> Summary:
    """The summary of these seeds alone, of which it has at least one."""
    kept = [place for place, seed in enumerate(summary.seeds) if seed in seeds]
    scores = [summary.scores[place] for place in kept]
    return Summary(
        mean=float(np.mean(scores)),
        sd=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        n=len(scores),
        scores=scores,
        seeds=[summary.seeds[place] for place in kept],
        identities=[summary.identities[place] for place in kept],
    )


def generator() -> np.random.Generator:
    """A fresh generator for one test."""
    return np.random.default_rng(GENERATOR_SEED)


def leaves_error(reference: float, higher_is_better: bool) -> bool:
    """Whether fine-tuning's score leaves an error of which a share can be removed."""
    return reference < 1 if higher_is_better else reference > 0


def procedure_of(test: Outcome) -> Procedure:
    """What the file says of a test beside its p-value."""
    return Procedure(
        statistic=test.statistic,
        pairing=test.pairing,
        exact=test.exact,
        splits=test.splits,
        generator_seed=None if test.exact else GENERATOR_SEED,
    )
