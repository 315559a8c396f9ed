"""Whether learned objective weights differ from those of the null control, which learns from shuffled labels.

The statistic is the weight with which a run ended. The rows of one trajectory depend on each other, so a
run counts as one number per objective; the last is what the method arrived at, while a mean over the
trajectory would mix in the start that both share. Runs are compared unpaired at every number of seeds,
because the exact paired test cannot come below p = 0.0625 with five.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from bench.records import Record
from leaderboard.content import FinalWeight, LearnedWeights, Procedure, Row
from leaderboard.statistics.floors import ALPHA, refusal
from leaderboard.statistics.holm import holm
from leaderboard.statistics.permutation import two_samples
from leaderboard.task_tests import NO_SIGNIFICANCE, generator, procedure_of
from leaderboard.weights import learned

NO_CONTROL = "no control run"


def against_nulls(
    rows: Sequence[Row], records: Mapping[str, Sequence[Record]], family: str, marks: bool
) -> list[LearnedWeights]:
    """Compare every method that has trajectories on one task with each of its controls there.

    Parameters
    ----------
    rows: all rows of the board; those with ``control_of`` are controls.
    records: row label -> its records on the task.
    family: name of the task's families, for the file; the row is added.
    marks: whether the protocol supports significance.
    """
    found = []
    for row in (row for row in rows if row.control_of is None):
        runs = _learned(records[row.label])
        if not runs:
            continue
        objectives = Counter(objectives for objectives, _ in runs).most_common(1)[0][0]
        controls: list[str | None] = [
            other.label for other in rows if other.control_of == row.label and _learned(records[other.label])
        ]
        for control in controls or [None]:
            nulls = _learned(records[control]) if control else []
            found.append(_compare(row.label, control, objectives, runs, nulls, f"{family}/{row.label}", marks))
    return found


Run = tuple[tuple[str, ...], Record]  # what was weighted, and by whom


def _compare(
    row: str,
    control: str | None,
    objectives: tuple[str, ...],
    runs: Sequence[Run],
    nulls: Sequence[Run],
    family: str,
    marks: bool,
) -> LearnedWeights:
    mine, theirs = _matching(runs, objectives), _matching(nulls, objectives)
    left_out = len(runs) + len(nulls) - len(mine) - len(theirs)
    weights = [
        FinalWeight(
            objective=name, weights=[_final(run)[k] for run in mine], null_weights=[_final(run)[k] for run in theirs]
        )
        for k, name in enumerate(objectives)
    ]
    procedure = None
    refused: str | None = NO_SIGNIFICANCE if theirs else NO_CONTROL
    if theirs and marks:
        procedure = _test(weights)
        refused = refusal([(len(mine), len(theirs))] * len(weights))
        for weight in weights:
            weight.differs = refused is None and weight.p_holm is not None and weight.p_holm <= ALPHA
    return LearnedWeights(
        row=row,
        control=control if theirs else None,
        objectives=weights,
        seeds=[run.seed for run in mine],
        null_seeds=[run.seed for run in theirs],
        procedure=procedure,
        family=family,
        no_verdict=refused,
        note=f"{left_out} runs with other objectives left out" if left_out else None,
        identities=[run.identity for run in mine],
        null_identities=[run.identity for run in theirs],
    )


def _test(weights: Sequence[FinalWeight]) -> Procedure:
    """Set the p-values of one family and return how they were computed, which is the same for all of it."""
    mine, theirs = [weight.weights for weight in weights], [weight.null_weights for weight in weights]
    tests = two_samples(mine, theirs, generator=generator())
    for weight, test, corrected in zip(weights, tests, holm([test.p for test in tests]), strict=True):
        weight.p, weight.p_holm = test.p, corrected
    return procedure_of(tests[0])


def _learned(records: Sequence[Record]) -> list[Run]:
    ordered = sorted(records, key=lambda record: record.seed)
    return [(tuple(trajectory.objectives), run) for run in ordered if (trajectory := learned(run))]


def _matching(runs: Sequence[Run], objectives: tuple[str, ...]) -> list[Record]:
    return [record for names, record in runs if names == objectives]


def _final(record: Record) -> list[float]:
    """The weights (n,) of the last step; of a step written twice, by a resumed cell, the later row."""
    assert record.trajectory
    steps = record.trajectory.steps
    return record.trajectory.weights[max(range(len(steps)), key=lambda row: (steps[row], row))]
