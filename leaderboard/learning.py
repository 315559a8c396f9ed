"""Validation scores during training, brought together over seeds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import fmean, stdev

from bench.records import Record
from leaderboard.content import LearningCurves


def learning_curves(row: str, records: Sequence[Record]) -> LearningCurves | None:
    """Mean and sd of the validation score at each epoch (or step), over the seeds that got that far.

    Training stops early, so later points rest on fewer seeds. Of different units the commoner is
    shown. None if no record holds a curve.
    """
    found = [record.learning_curve for record in records if record.learning_curve and record.learning_curve.done]
    if not found:
        return None
    unit = Counter(curve.unit for curve in found).most_common(1)[0][0]
    points: dict[int, list[float]] = defaultdict(list)
    for curve in found:
        if curve.unit == unit:
            for at, value in zip(curve.done, curve.validation, strict=True):
                points[at].append(value)
    done = sorted(points)
    return LearningCurves(
        row=row,
        unit=unit,
        done=done,
        mean=[fmean(points[at]) for at in done],
        sd=[stdev(points[at]) if len(points[at]) > 1 else None for at in done],
        seeds=[len(points[at]) for at in done],
    )
