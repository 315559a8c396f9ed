"""Every pair of rows of one task, and the group that is not separated from the best."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.content import Entry, Pairwise, Summary
from leaderboard.statistics.floors import ALPHA, differences_needed, seeds_needed
from leaderboard.statistics.holm import holm
from leaderboard.task_tests import NO_SIGNIFICANCE, TaskTests, at_seeds


def pairwise(entries: Sequence[Entry], family: str, tests: TaskTests, marks: bool) -> Pairwise | None:
    """Test every pair of the m ``entries`` that have a record: raw p, and Holm over all pairs of the task."""
    present = [(entry.row, entry.summary) for entry in entries if entry.summary]
    if len(present) < 2:
        return None
    m = len(present)
    places = [(i, j) for i in range(m) for j in range(i + 1, m)]
    pairs = [(present[i][1], present[j][1]) for i, j in places]
    blank: list[list[float | None]] = [[None] * m for _ in range(m)]
    raw, corrected = blank, [list(line) for line in blank]
    refused: str | None = NO_SIGNIFICANCE
    if marks:
        found = [1.0 if outcome is None else outcome.p for outcome in tests.outcomes(pairs)]
        for (i, j), p, p_holm in zip(places, found, holm(found), strict=True):
            raw[i][j] = raw[j][i] = p
            corrected[i][j] = corrected[j][i] = p_holm
        refused = tests.refusal(pairs)
    return Pairwise(
        rows=[row for row, _ in present],
        pairing="paired" if tests.paired else "unpaired",
        p=raw,
        p_holm=corrected,
        family=family,
        family_size=len(pairs),
        no_marks=refused,
    )


def mark_ties(entries: Sequence[Entry], tests: TaskTests, marks: bool) -> tuple[str | None, list[str]]:
    """Set ``tied_with_best`` on the rows that an uncorrected test does not find worse than the best mean.

    The best was picked by looking, so this group is descriptive. Where the seed draws the split, the best is that
    of the means over the seeds that all rows with enough of them share, so that no row is best by its splits. A row
    with too few seeds to be separated is not called tied.

    Returns
    -------
    One line that says why no row is bold, or None; and the rows that are not judged, for lack of seeds.
    """
    present = [(entry, entry.summary) for entry in entries if entry.summary]
    if not marks:
        return NO_SIGNIFICANCE, []
    if len(present) < 2:
        return "there is nothing to compare with", []
    levels = _levels(present, tests)
    if levels is None:
        return "the seed draws the split, and the methods share no seed", []
    best, top = max((pair for pair in present if pair[0].row in levels), key=lambda pair: levels[pair[0].row])
    judged = [pair for pair in present if pair[0] is not best and tests.refusal([(top, pair[1])]) is None]
    if not judged:
        needed = differences_needed(1) if tests.paired else seeds_needed(1)
        usable = [tests.used(top, summary) for entry, summary in present if entry is not best]
        have = max(min(pair[0].n, pair[1].n) if pair else 0 for pair in usable)
        return f"too few seeds to separate any method from the best ({have}); {needed} seeds are needed", []
    best.tied_with_best = True
    outcomes = tests.outcomes([(top, summary) for _, summary in judged])
    for (entry, summary), outcome in zip(judged, outcomes, strict=True):
        entry.tied_with_best = outcome is None or outcome.p > ALPHA or _ahead(top, summary, tests) < 0
    known = {best.row, *(entry.row for entry, _ in judged)}
    return None, [entry.row for entry, _ in present if entry.row not in known]


def _levels(present: Sequence[tuple[Entry, Summary]], tests: TaskTests) -> dict[str, float] | None:
    """Mean of each row that may be best, turned so that larger is better; None where they share no seed."""
    if not tests.paired:
        return {entry.row: float(tests.turned(summary).mean()) for entry, summary in present}
    # A row that has just begun is never judged, so it does not narrow the seeds of the others down either.
    enough = [pair for pair in present if pair[1].n >= differences_needed(1)]
    candidates = enough if len(enough) > 1 else present
    shared = set.intersection(*(set(summary.seeds) for _, summary in candidates))
    if not shared:
        return None
    return {entry.row: float(tests.turned(at_seeds(summary, shared)).mean()) for entry, summary in candidates}


def _ahead(top: Summary, summary: Summary, tests: TaskTests) -> float:
    """By how much the best mean leads at the scores that the test uses: behind in pairs it may well be."""
    pair = tests.used(top, summary)
    return float(tests.turned(pair[0]).mean() - tests.turned(pair[1]).mean()) if pair else 0.0
