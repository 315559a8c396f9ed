"""The focus method against every other on one task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leaderboard.content import Comparison, Entry, Procedure, Summary
from leaderboard.statistics.bootstrap import won
from leaderboard.statistics.floors import ALPHA, smallest_effect, smallest_paired_effect
from leaderboard.statistics.holm import holm
from leaderboard.statistics.permutation import Outcome
from leaderboard.task_tests import NO_SIGNIFICANCE, Floats, Pair, TaskTests, procedure_of


def compare_with_focus(
    entries: Sequence[Entry], focus: str | None, family: str, tests: TaskTests, marks: bool
) -> tuple[list[Comparison], str | None]:
    """Compare the focus row with every other entry and set the entries' marks.

    Parameters
    ----------
    entries: the rows of one task, without controls: these are outside the family.
    family: name of the family, for the file.
    marks: whether the protocol supports significance.

    Returns
    -------
    The comparisons, and one line that says why there are no marks (None if there may be).
    """
    own = next((entry for entry in entries if entry.row == focus), None)
    if own is None or own.summary is None:
        return [], f"the focus method {focus} has no record on this task" if focus else "no focus method"
    others = [entry for entry in entries if entry.row != focus and entry.summary]
    if not others:
        return [], "no other method has a record on this task"
    found = compare(own, others, family, tests, marks)
    if not marks:
        return found, NO_SIGNIFICANCE
    refused = tests.refusal([(own.summary, other.summary) for other in others if other.summary])
    if refused is None:
        for entry, comparison in zip(others, found, strict=True):
            if comparison.p_holm is not None and comparison.p_holm <= ALPHA:
                entry.mark = "worse" if comparison.effect > 0 else "better"
    return found, refused


def compare(own: Entry, others: Sequence[Entry], family: str, tests: TaskTests, marks: bool) -> list[Comparison]:
    """Compare one row with others as one family; without ``marks`` there are no p-values and no intervals."""
    assert own.summary
    # Without a common seed the gain is that of the means shown, which rest on different splits, and nothing is tested.
    sides = [(own.summary, other.summary) for other in others if other.summary]
    pairs = [tests.used(*pair) or pair for pair in sides]
    outcomes, ends = tests.outcomes(pairs), tests.intervals(pairs)
    found = [
        _comparison(own, other, pair, outcome, tests, family, len(pairs))
        for other, pair, outcome in zip(others, pairs, outcomes, strict=True)
    ]
    if marks:
        corrected = holm([1.0 if comparison.p is None else comparison.p for comparison in found])
        for comparison, p, interval in zip(found, corrected, ends, strict=True):
            comparison.p_holm, comparison.interval = p, interval
        return found
    return [comparison.model_copy(update={"p": None, "p_focus_better": None}) for comparison in found]


def smallest_effect_seen(entries: Sequence[Entry], comparisons: Sequence[Comparison], tests: TaskTests) -> float | None:
    """The smallest difference that the family's first Holm step finds with probability 0.8, metric units.

    Uses the smallest n of the family and the root mean square of the rows' standard deviations; where scores are
    paired, of those of the differences.
    """
    n = min(min(comparison.n_focus, comparison.n_other) for comparison in comparisons)
    summaries = {entry.row: entry.summary for entry in entries if entry.summary}
    if tests.paired:
        pairs = [(summaries[comparison.focus], summaries[comparison.other]) for comparison in comparisons]
        n, spreads = _paired_spreads([tests.differences(*pair) for pair in pairs])
    else:
        spreads = [summary.sd for summary in summaries.values() if summary.sd is not None]
    if n < 2 or not spreads:
        return None
    found = smallest_paired_effect if tests.paired else smallest_effect
    return found(float(np.sqrt(np.mean(np.square(spreads)))), n, len(comparisons))


def _paired_spreads(differences: Sequence[Floats]) -> tuple[int, list[float]]:
    """The fewest differences of a comparison, and the standard deviation of those of each."""
    return min(map(len, differences)), [float(np.std(one, ddof=1)) for one in differences if len(one) > 1]


def _comparison(
    own: Entry, other: Entry, pair: Pair, test: Outcome | None, tests: TaskTests, family: str, size: int
) -> Comparison:
    a, b = tests.turned(pair[0]), tests.turned(pair[1])
    effect = float(a.mean() - b.mean())
    pooled = _pooled_sd(a, b)
    nothing = Procedure(
        statistic="no common seed", pairing="paired", exact=True, splits=0, generator_seed=None
    )  # of a paired family in which two rows share no seed
    return Comparison(
        **(procedure_of(test) if test else nothing).model_dump(),
        focus=own.row,
        other=other.row,
        n_focus=len(a),
        n_other=len(b),
        incomplete=own.incomplete or other.incomplete,
        effect=effect,
        interval=None,
        effect_sd=effect / pooled if pooled > 0 else None,
        effect_error_removed=tests.error_removed(*pair) if test else None,
        probability_better=float(won(a, b).mean()),
        seed_correlation=_seed_correlation(*pair),
        p=test.p if test else None,
        p_focus_better=test.p_greater if test else None,
        family=family,
        family_size=size,
        p_holm=None,
        p_holm_all=None,
        identities_focus=pair[0].identities,
        identities_other=pair[1].identities,
    )


def _pooled_sd(a: Floats, b: Floats) -> float:
    freedom = len(a) + len(b) - 2
    squares = ((a - a.mean()) ** 2).sum() + ((b - b.mean()) ** 2).sum()
    return float(np.sqrt(squares / freedom)) if freedom else 0.0


def _seed_correlation(a: Summary, b: Summary) -> float | None:
    first, second = dict(zip(a.seeds, a.scores, strict=True)), dict(zip(b.seeds, b.scores, strict=True))
    common = sorted(first.keys() & second.keys())
    pairs = np.array([[first[seed], second[seed]] for seed in common])
    if len(common) < 3 or (np.ptp(pairs, axis=0) == 0).any():
        return None
    return float(np.corrcoef(pairs.T)[0, 1])
