"""Every pair of rows of one task, and the group that is not separated from the best."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.content import Entry, Pairwise
from leaderboard.statistics.floors import ALPHA, differences_needed, seeds_needed
from leaderboard.statistics.holm import holm
from leaderboard.task_tests import NO_SIGNIFICANCE, TaskTests


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


def mark_ties(entries: Sequence[Entry], tests: TaskTests, marks: bool) -> str | None:
    """Set ``tied_with_best`` on the rows that an uncorrected test does not separate from the best mean.

    The best was picked by looking, so this group is descriptive. A row with too few seeds to be
    separated is not called tied. Returns one line that says why no row is bold, or None.
    """
    present = [(entry, entry.summary) for entry in entries if entry.summary]
    if not marks:
        return NO_SIGNIFICANCE
    if len(present) < 2:
        return "there is nothing to compare with"
    best, top = max(present, key=lambda pair: tests.turned(pair[1]).mean())
    judged = [pair for pair in present if pair[0] is not best and tests.refusal([(top, pair[1])]) is None]
    if not judged:
        needed = differences_needed(1) if tests.paired else seeds_needed(1)
        have = max(tests.used(top, summary)[0].n for entry, summary in present if entry is not best)
        return f"too few seeds to separate any method from the best ({have}); {needed} seeds are needed"
    best.tied_with_best = True
    outcomes = tests.outcomes([(top, summary) for _, summary in judged])
    for (entry, _), outcome in zip(judged, outcomes, strict=True):
        entry.tied_with_best = outcome is None or outcome.p > ALPHA
    return None
