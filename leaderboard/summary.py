"""Means, spreads and costs of the cells of one row on one task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.records import Record
from leaderboard.artifacts import artifacts
from leaderboard.content import Cost, Summary
from leaderboard.grid import usable


def summarise(records: Sequence[Record], readout: str | None = None) -> Summary | None:
    """Summarise the test scores of ``readout`` (default: each record's primary), or None without records."""
    if not records:
        return None
    ordered = sorted(records, key=lambda record: record.seed)
    scores = [record.scores[readout or record.primary]["test"][record.metric] for record in ordered]
    return Summary(
        mean=float(np.mean(scores)),
        sd=float(np.std(scores, ddof=1)) if len(scores) > 1 else None,
        n=len(scores),
        scores=scores,
        seeds=[record.seed for record in ordered],
        identities=[record.identity for record in ordered],
    )


def other_readouts(records: Sequence[Record]) -> dict[str, Summary]:
    """Summaries of the read-outs that are not primary, by name; only of records that have a test score for them."""
    names = sorted({name for record in records for name in record.scores if name != record.primary})
    found: dict[str, Summary] = {}
    for name in names:
        having = [record for record in records if name != record.primary and _has(record, name)]
        if summary := summarise(having, name):
            found[name] = summary
    return found


def budgets(records: Sequence[Record]) -> list[dict[str, int]]:
    """What the cells of a method that searches spent on its trials, each amount once."""
    found: list[dict[str, int]] = []
    for record in records:
        if record.budget and record.budget not in found:
            found.append(record.budget)
    return found


def cost(records: Sequence[Record], baseline: Sequence[Record]) -> Cost | None:
    """Cost of a row on one task; ``baseline`` are the fine-tuning records of the same task.

    A shared stage is charged to the ratio as if the row were run on this task alone, unless
    fine-tuning needs it too (such as general-domain pretraining).
    """
    if not records:
        return None
    seconds = _own(records)
    stages = sorted({stage for record in records for stage in record.shared_seconds})
    runs = {stage: [one.shared_seconds[stage] for one in records if stage in one.shared_seconds] for stage in stages}
    shared = {stage: float(np.mean(seconds)) for stage, seconds in runs.items()}
    extra = sum(value for stage, value in shared.items() if not any(stage in base.shared_seconds for base in baseline))
    reference = _own(baseline) if baseline else 0.0
    return Cost(
        seconds=seconds,
        backbone=records[0].backbone,
        shared_seconds=shared,
        shared_runs={stage: sorted(set(seconds)) for stage, seconds in runs.items()},
        peak_memory_bytes=max(record.peak_memory_bytes for record in records),
        examples_per_second=float(np.mean([record.examples_per_second for record in records])),
        ratio=(seconds + extra) / reference if reference > 0 else None,
    )


def suite_cost(costs: Sequence[Cost | None], baselines: Sequence[Cost | None]) -> float | None:
    """Seconds of a row on T tasks over those of fine-tuning; shared stages that fine-tuning lacks are paid once.

    Once for each artifact: :func:`leaderboard.artifacts.artifacts` says what is assumed to be one. None where a task
    lacks on either side.
    """
    pairs = [(cost, base) for cost, base in zip(costs, baselines, strict=True) if cost and base]
    whole = sum(base.seconds for _, base in pairs)
    if len(pairs) < len(costs) or whole <= 0:
        return None
    shared = sum(one.mean for one in artifacts(costs, baselines))
    return (sum(cost.seconds for cost, _ in pairs) + shared) / whole


def _own(records: Sequence[Record]) -> float:
    return float(np.mean([sum(record.seconds.values()) for record in records]))


def _has(record: Record, readout: str) -> bool:
    score = record.scores.get(readout, {}).get("test", {}).get(record.metric)
    return score is not None and usable(score)
