"""The tests of one task: the focus method against every other, and the group not separated from the best."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leaderboard.content import Comparison, Entry, Procedure, Summary
from leaderboard.statistics.floors import ALPHA, refusal, smallest_effect, smallest_p
from leaderboard.statistics.holm import holm
from leaderboard.statistics.permutation import Outcome, two_sample

GENERATOR_SEED = 0  # of every test that draws, so that a comparison does not depend on the others
NO_SIGNIFICANCE = "this protocol supports no significance at any number of seeds"


def compare_with_focus(
    entries: Sequence[Entry], focus: str | None, family: str, higher_is_better: bool, marks: bool
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
    found = [_compare(own, other, family, len(others), higher_is_better) for other in others]
    if not marks:
        blank = {"p": None, "p_focus_better": None}
        return [comparison.model_copy(update=blank) for comparison in found], NO_SIGNIFICANCE
    for comparison, p in zip(found, holm([comparison.p or 0.0 for comparison in found]), strict=True):
        comparison.p_holm = p
    refused = refusal([(comparison.n_focus, comparison.n_other) for comparison in found])
    if refused is None:
        for entry, comparison in zip(others, found, strict=True):
            if comparison.p_holm is not None and comparison.p_holm <= ALPHA:
                entry.mark = "worse" if comparison.effect > 0 else "better"
    return found, refused


def mark_ties(entries: Sequence[Entry], higher_is_better: bool, marks: bool) -> str | None:
    """Set ``tied_with_best`` on the rows that an uncorrected test does not separate from the best mean.

    The best was picked by looking, so this group is descriptive. A row with too few seeds to be
    separated is not called tied. Returns one line that says why no row is bold, or None.
    """
    present = [(entry, entry.summary) for entry in entries if entry.summary]
    if not marks:
        return NO_SIGNIFICANCE
    if len(present) < 2:
        return "there is nothing to compare with"
    best, top = max(present, key=lambda pair: _turned(pair[1], higher_is_better).mean())
    judged = [pair for pair in present if pair[0] is not best and smallest_p(top.n, pair[1].n) <= ALPHA]
    if not judged:
        return f"too few seeds to separate any method from the best ({top.n}); 4 seeds are needed"
    best.tied_with_best = True
    for entry, summary in judged:
        entry.tied_with_best = two_sample(top.scores, summary.scores, seed=GENERATOR_SEED).p > ALPHA
    return None


def smallest_effect_seen(entries: Sequence[Entry], comparisons: Sequence[Comparison]) -> float | None:
    """The smallest difference that the family's first Holm step finds with probability 0.8, metric units.

    Uses the smallest n of the family and the root mean square of the rows' standard deviations.
    """
    spreads = [entry.summary.sd for entry in entries if entry.summary and entry.summary.sd is not None]
    n = min(min(comparison.n_focus, comparison.n_other) for comparison in comparisons)
    if n < 2 or not spreads:
        return None
    return smallest_effect(float(np.sqrt(np.mean(np.square(spreads)))), n, len(comparisons))


def probability_better(a: Sequence[float], b: Sequence[float]) -> float:
    """P(A > B) over all pairs, a tie counting half; larger is better."""
    difference = np.subtract.outer(np.asarray(a, dtype=float), np.asarray(b, dtype=float))
    return float(np.mean((difference > 0) + 0.5 * (difference == 0)))


def procedure_of(test: Outcome) -> Procedure:
    """What the file says of a test beside its p-value."""
    return Procedure(
        statistic=test.statistic,
        pairing=test.pairing,
        exact=test.exact,
        splits=test.splits,
        generator_seed=test.seed,
    )


def _compare(own: Entry, other: Entry, family: str, size: int, higher_is_better: bool) -> Comparison:
    assert own.summary
    assert other.summary
    a, b = _turned(own.summary, higher_is_better), _turned(other.summary, higher_is_better)
    test = two_sample(a, b, seed=GENERATOR_SEED)
    effect = float(a.mean() - b.mean())
    pooled = _pooled_sd(a, b)
    return Comparison(
        **procedure_of(test).model_dump(),
        focus=own.row,
        other=other.row,
        n_focus=len(a),
        n_other=len(b),
        incomplete=own.incomplete or other.incomplete,
        effect=effect,
        interval=None,
        effect_error_removed=None,
        effect_sd=effect / pooled if pooled > 0 else None,
        probability_better=probability_better(a.tolist(), b.tolist()),
        seed_correlation=_seed_correlation(own.summary, other.summary),
        p=test.p,
        p_focus_better=test.p_greater,
        family=family,
        family_size=size,
        p_holm=None,
        identities_focus=own.summary.identities,
        identities_other=other.summary.identities,
    )


def _turned(summary: Summary, higher_is_better: bool) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The scores, turned so that larger is better."""
    return np.asarray(summary.scores, dtype=np.float64) * (1.0 if higher_is_better else -1.0)


def _pooled_sd(
    a: np.ndarray[tuple[int, ...], np.dtype[np.float64]], b: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> float:
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
