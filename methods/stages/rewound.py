"""A stage run for the weights that it learns: what it did to the network is dropped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, float64, tensor

from methods.stage import Context, Stage, StageResult, Weights
from tasks.problem import Problem
from tasks.spec import ProblemSpec

LEARNED = "learned"  # beside "encoder" and "heads": {"s": the final weights, shape (n,), float64}


@dataclass(frozen=True)
class Rewound(Stage):
    """Run ``inner`` and hand on the network that it was given, with the weights with which it ended.

    Bits and checkpoints are those of ``inner``, so the weights are those that its own method learns.
    """

    inner: Stage
    name: str

    @property
    def shared(self) -> bool:
        return self.inner.shared

    def subject(self, spec: ProblemSpec) -> ProblemSpec:
        return self.inner.subject(spec)

    def check(self) -> None:
        self.inner.check()

    def validate(self, spec: ProblemSpec) -> None:
        self.inner.validate(spec)

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        return {**self.inner.key(spec), "stage": type(self.inner).__name__}

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        result = self.inner.run(problem, start, context)
        s = final_weights(result.log["trajectory"], problem.objectives)
        return StageResult({**start, LEARNED: {"s": s}}, log=result.log)


def final_weights(trajectory: Mapping[str, Any], objectives: Sequence[str]) -> Tensor:
    """Return the last weights of a logged trajectory for ``objectives``, shape (n,), float64.

    A term that is no objective, such as the end task in joint training, is dropped and the others are
    divided by their sum; an objective that took no part has weight 0. Without a row nothing was learned,
    and the weights are equal.

    Raises
    ------
    ArithmeticError: if the terms that were dropped had all the weight.
    """
    terms, rows = trajectory["objectives"], trajectory["weights"]
    if not rows:
        return tensor([1 / len(objectives)] * len(objectives), dtype=float64)
    last = dict(zip(terms, rows[-1], strict=True))
    s = tensor([last.get(name, 0.0) for name in objectives], dtype=float64)
    if set(objectives) == set(terms):
        return s  # to the bit
    if not s.sum() > 0:
        dropped = ", ".join(name for name in terms if name not in objectives)
        raise ArithmeticError(f"learned weights: expected some weight on the objectives, got all of it on {dropped}")
    return s / s.sum()
