"""Weight trajectories of several seeds, brought onto one grid of steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from bench.records import Record, Trajectory
from leaderboard.content import WeightCurves
from leaderboard.summary import budgets

Array = NDArray[np.float64]

POINTS = 200  # more steps than a picture can show are thinned to this many


def curves(row: str, control_of: str | None, records: Sequence[Record]) -> WeightCurves | None:
    """Mean and sd over seeds of one row's weights on one task, or None without a trajectory.

    Seeds whose objectives differ from those of most seeds are left out, and the note says so. Where the steps of seeds
    differ, each holds its weights between its own and after its last.
    """
    found = [trajectory for record in records if (trajectory := learned(record))]
    if not found:
        return None
    objectives = Counter(tuple(trajectory.objectives) for trajectory in found).most_common(1)[0][0]
    kept = [_by_step(trajectory) for trajectory in found if tuple(trajectory.objectives) == objectives]
    note = f"{len(found) - len(kept)} with other objectives left out" if len(kept) < len(found) else None
    steps, stack = joined(kept)
    return WeightCurves(
        row=row,
        control_of=control_of,
        objectives=list(objectives),
        unit="trial" if any(budgets(records)) else "pretraining step",
        steps=steps,
        mean=stack.mean(axis=0).tolist(),
        sd=stack.std(axis=0, ddof=1).tolist() if len(kept) > 1 else None,
        seeds=len(kept),
        note=note,
    )


def joined(found: Sequence[Mapping[int, Sequence[float]]]) -> tuple[list[int], Array]:
    """Return at most POINTS steps, from where all have weights on, and the weights there, (seeds, u, n).

    ``found`` has the weights (n,) of each seed by step, in order. They change at the seed's own steps and nowhere else.
    """
    begin = max(next(iter(rows)) for rows in found)
    steps = _thinned(sorted({step for rows in found for step in rows if step >= begin}))
    held = [np.searchsorted(list(rows), steps, side="right") - 1 for rows in found]
    return steps, np.array([np.array(list(rows.values()))[at] for rows, at in zip(found, held, strict=True)])


def learned(record: Record) -> Trajectory | None:
    """The record's trajectory, if anything was weighted and it has a step."""
    trajectory = record.trajectory
    return trajectory if trajectory and trajectory.steps and trajectory.objectives else None


def _by_step(trajectory: Trajectory) -> dict[int, list[float]]:
    # A step written twice, by a resumed cell, counts once.
    return dict(sorted(zip(trajectory.steps, trajectory.weights, strict=True)))


def _thinned(steps: list[int]) -> list[int]:
    if len(steps) <= POINTS:
        return steps
    return [steps[index] for index in np.linspace(0, len(steps) - 1, POINTS).round().astype(int)]
