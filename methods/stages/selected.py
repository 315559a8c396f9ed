"""Continued pretraining on some of the objectives, which are named with their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.errors import RequestError
from methods.stage import Weights
from methods.stages.continued import GIVES, Continued
from methods.weighting.fixed import Fixed
from methods.weighting.rule import Rule, Weighting
from tasks.problem import Problem
from tasks.spec import ProblemSpec


@dataclass(frozen=True)
class Selected(Continued):
    """Steps on sum_i s_i L_i with s fixed, by name; objectives without a weight are idle."""

    weights: Mapping[str, float] = field(default_factory=dict)  # positive, with sum 1

    def validate(self, spec: ProblemSpec) -> None:
        for name in self.weights:
            if name not in spec.objectives:
                raise RequestError(
                    f"stage {self.name!r}: expected an objective {name!r}, which {spec.backbone} on {spec.task.id} "
                    f"has not; its objectives: {', '.join(spec.objectives) or 'none'}"
                )
        self._named(spec.objectives).build(spec.objectives, spec.seed, self.name, GIVES)

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        return {**super().key(spec), "rule": self._named(spec.objectives).key()}

    def idle(self, objectives: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in objectives if name not in self.weights)

    def weighting(self, problem: Problem, start: Weights) -> Weighting:
        """Return the named weights in the order of the problem's objectives."""
        rule = self._named(problem.objectives)
        return rule.build(problem.objectives, problem.spec.seed, self.name, GIVES)

    def _named(self, objectives: Sequence[str]) -> Rule:
        return Rule(Fixed, {"s": [self.weights.get(name, 0.0) for name in objectives]})
