"""Continued pretraining on the corpus under a rule that needs no labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from methods.settings import ContinuedSettings
from methods.stage import Context, Stage, StageResult, Stateful, Weights, corpus_key
from methods.stages import optimiser as optimisers
from methods.stages.common import TrajectoryLog, copy_state, pretraining_modules, pretraining_step
from methods.weighting.rule import Signals, Weighting
from tasks.problem import Problem
from tasks.spec import ProblemSpec

PURPOSE = "continued"  # of the corpus batches: TapWeight's level I sees the same ones


@dataclass(frozen=True)
class Continued(Stage):
    """Steps on L_pt = sum_i s_i L_i(theta). Its key names no task, so all tasks of a suite share it."""

    settings: ContinuedSettings
    rule: Callable[[int], Weighting]
    name: str = "continued"
    shared = True

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        return corpus_key(spec) | {
            "settings": self.settings.model_dump(mode="json"),
            "rule": self.rule.__name__,
            "seed": spec.seed,
        }

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        total = self.settings.steps
        encoder, heads = pretraining_modules(problem, start)
        optimiser = optimisers.build([*encoder.parameters(), *heads.parameters()], self.settings.optimiser)
        rule, log = self.rule(len(problem.objectives)), TrajectoryLog(problem.objectives)
        stream = problem.stream("corpus", self.settings.batch, PURPOSE)
        parts: dict[str, Stateful] = {
            "encoder": encoder,
            "heads": heads,
            "optimiser": optimiser,
            "rule": rule,
            "log": log,
        }
        for step in context.steps(total, parts, self.settings.batch):
            s = rule.weights()
            losses = pretraining_step(
                problem, encoder, heads, stream.batch(step), s,
                optimiser=optimiser, settings=self.settings.optimiser, step=step, steps=total, stage=self.name,
            )  # fmt: skip
            rule.update(Signals(losses))
            log.add(step + 1, s, losses)
        weights = {"encoder": copy_state(encoder), "heads": copy_state(heads)}
        return StageResult(weights, log={"trajectory": log.record()})
