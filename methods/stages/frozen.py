"""Continued pretraining under weights that a stage before learned."""

from __future__ import annotations

from dataclasses import dataclass

from methods.stage import Weights
from methods.stages.continued import GIVES, Continued
from methods.stages.rewound import LEARNED
from methods.weighting.fixed import Fixed
from methods.weighting.rule import Rule, Weighting
from tasks.problem import Problem


@dataclass(frozen=True)
class Frozen(Continued):
    """Steps on L_pt with s held at the weights handed on by :class:`methods.stages.rewound.Rewound`."""

    name: str = "frozen"

    @property
    def shared(self) -> bool:
        return False  # the weights may come from labels

    def weighting(self, problem: Problem, start: Weights) -> Weighting:
        """Return the handed-on weights as a rule."""
        rule = Rule(Fixed, {"s": start[LEARNED]["s"].tolist()})
        return rule.build(problem.objectives, problem.spec.seed, self.name, GIVES)
