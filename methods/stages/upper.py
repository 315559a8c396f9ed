"""The level that moves the weights, common to tri-level and bi-level TapWeight."""

from __future__ import annotations

from torch import Tensor, nn

from methods.hypergradient.backward import cosine
from methods.hypergradient.choice import choose
from methods.hypergradient.functional import Parameters
from methods.hypergradient.probe import Probe, validation_gradient
from methods.settings import UpperLevelSettings
from methods.stages import optimiser as optimisers
from methods.stages.common import TrajectoryLog, check_finite, on_cpu
from methods.weighting.rule import Need, Rule, Signals, Weighting
from methods.weighting.tapweight import TapWeight
from tasks.problem import Batch, Problem
from tasks.spec import ProblemSpec

GIVES: frozenset[Need] = frozenset({"losses", "alignment", "cosine"})


def weights_rule(settings: UpperLevelSettings, spec: ProblemSpec, stage: str) -> Weighting:
    """Return the rule for the objectives of a problem; raises RequestError if they are too few."""
    options = {"eta": settings.rate, "alignment": settings.alignment, "ema_decay": settings.ema_decay}
    return Rule(TapWeight, options).build(spec.objectives, spec.seed, stage, GIVES)


class UpperLevel:
    """alpha descends on L_val: the rule, the hypergradient, and the log of both."""

    def __init__(self, problem: Problem, settings: UpperLevelSettings, stage: str) -> None:
        self.problem, self.settings, self.stage = problem, settings, stage
        self.rule = weights_rule(settings, problem.spec, stage)
        self.hypergradient = choose(settings.hypergradient)
        self.log = TrajectoryLog(problem.objectives)

    def gradient(self, body: nn.Module, head: nn.Module, batch: Batch) -> Parameters:
        """Return v, the gradient of L_val on a labelled batch with respect to body and head."""
        loss = self.problem.pairwise_loss if self.settings.loss == "pairwise" else self.problem.downstream_loss
        return validation_gradient(body, head, lambda e, h: loss(e, h, batch))

    def move(self, probe: Probe, losses: Tensor, step: int, steps: int) -> None:
        """Move the weights once; ``step`` steps of ``steps`` are done."""
        q = on_cpu(self.hypergradient(probe))
        names = [f"alignment with {name}" for name in self.problem.objectives]
        check_finite(q, names, self.stage, step)
        cosines = on_cpu(cosine(probe)) if "cosine" in self.rule.needs else None
        decay = optimisers.factor(self.settings.rate_schedule, step, steps)
        self.rule.update(Signals(losses, alignment=q, cosine=cosines, decay=decay))
        self.log.add(step, self.rule.weights(), losses, q)
