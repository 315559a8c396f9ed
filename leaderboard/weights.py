"""Weight trajectories of several seeds, brought onto one grid of steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from bench.records import Record, Trajectory
from leaderboard.content import WeightCurves
from leaderboard.summary import budgets

POINTS = 200  # more steps than a picture can show are thinned to this many


def curves(row: str, control_of: str | None, records: Sequence[Record]) -> WeightCurves | None:
    """Mean and sd over seeds of one row's weights on one task, or None without a trajectory.

    Seeds whose objectives differ from those of most seeds are left out; of different step grids the
    common steps are shown, or, if there are none, the seeds with the commonest grid. The note says so.
    """
    found = [trajectory for record in records if (trajectory := learned(record))]
    if not found:
        return None
    objectives = Counter(tuple(trajectory.objectives) for trajectory in found).most_common(1)[0][0]
    kept = [_by_step(trajectory) for trajectory in found if tuple(trajectory.objectives) == objectives]
    notes = [f"{len(found) - len(kept)} with other objectives left out"] if len(kept) < len(found) else []
    common = set.intersection(*(set(rows) for rows in kept))
    if not common:
        grid = Counter(tuple(rows) for rows in kept).most_common(1)[0][0]
        alike = [rows for rows in kept if tuple(rows) == grid]
        notes.append(f"{len(kept) - len(alike)} without a common step left out")
        kept, common = alike, set(grid)
    elif any(set(rows) != common for rows in kept):
        notes.append(f"only the {len(common)} steps that all seeds have")
    steps = _thinned(sorted(common))
    stack = np.array([[rows[step] for step in steps] for rows in kept])  # (seeds, u, n)
    return WeightCurves(
        row=row,
        control_of=control_of,
        objectives=list(objectives),
        unit="trial" if any(budgets(records)) else "pretraining step",
        steps=steps,
        mean=stack.mean(axis=0).tolist(),
        sd=stack.std(axis=0, ddof=1).tolist() if len(kept) > 1 else None,
        seeds=len(kept),
        note="; ".join(notes) or None,
    )


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
