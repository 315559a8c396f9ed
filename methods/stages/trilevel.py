"""TapWeight's three levels in one loop (arXiv 2410.10006, Eq. 5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from methods.hypergradient.functional import Parameters
from methods.settings import ContinuedSettings, TriLevelSettings
from methods.stage import Context, Stage, StageResult, Weights, corpus_key, task_key
from methods.stages.common import PURPOSE, Pretraining, check_idle, on_cpu
from methods.stages.leveltwo import Omega
from methods.stages.upper import UpperLevel, weights_rule
from tasks.problem import Batch, Problem, Source
from tasks.spec import ProblemSpec


@dataclass(frozen=True)
class TriLevel(Stage):
    """Level I: theta on sum_i s_i L_i. Level II: omega on L_tr + gamma ||omega - theta||^2. Level III: alpha on L_val.

    Level II moves after every ``unroll_one`` steps of level I, level III after every ``unroll_two`` of
    level II, on the newest batches. The read-out "omega" is the level-II model; the weights handed on
    are theta and the objective heads.
    """

    pretraining: ContinuedSettings
    settings: TriLevelSettings
    validation: Source  # "val", or "val-null" for the control
    name = "tri-level"
    shared = False

    def validate(self, spec: ProblemSpec) -> None:
        weights_rule(self.settings, spec, self.name)
        check_idle(self.settings.idle, spec.objectives, self.name)

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        return corpus_key(spec) | task_key(spec) | {
            "pretraining": self.pretraining.model_dump(mode="json"),
            "settings": self.settings.model_dump(mode="json"),
            "validation": self.validation,
            "seed": spec.seed,
        }  # fmt: skip

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        one, two, total = self.pretraining, self.settings, self.pretraining.steps
        body, upper = Pretraining(problem, start, one, self.name, two.idle), UpperLevel(problem, two, self.name)
        omega = Omega(problem, start, body, two, self.name)
        corpus = problem.stream("corpus", one.batch, PURPOSE)
        val = problem.stream(self.validation, two.validation_batch, "level III")
        body.check_slopes(corpus.batch(0))

        def lower(done: int) -> Parameters | None:
            """Move level II if it is due after ``done`` steps of level I; return v if level III is due then."""
            turn, rest = divmod(done, two.unroll_one)
            if rest or not done:
                return None
            omega.move(turn - 1, done - 1)
            turn, rest = divmod(turn, two.unroll_two)
            return None if rest else upper.gradient(omega.encoder, omega.head, val.batch(turn - 1))

        def raise_weights(v: Parameters, batch: Batch, losses: Tensor, done: int, base: Tensor | None = None) -> None:
            probe = omega.probe(v, upper.rule.weights(), *body.function(batch), base)
            upper.move(probe, losses, done, total)

        parts = {**body.parts(), **omega.parts(), "rule": upper.rule, "log": upper.log}
        for step in context.steps(total, parts, one.batch):
            batch = corpus.batch(step)
            v = lower(step) if two.point == "pre" else None
            losses = body.losses(batch, step)
            measured = on_cpu(losses)
            if v is not None:
                raise_weights(v, batch, measured, step, losses.detach())
            (upper.rule.weights().to(losses) @ losses).backward()
            body.move(step)
            v = lower(step + 1) if two.point == "post" else None
            if v is not None:  # theta after its step, on the batch of that step: where the released code probes
                raise_weights(v, batch, measured, step + 1)
        return StageResult(body.weights(), {"omega": omega.model()}, {"trajectory": upper.log.record()})
