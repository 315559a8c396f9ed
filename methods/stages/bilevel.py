"""TapWeight without its second level: one body on the objectives and the end task (arXiv 2410.10006, Eq. 9)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from methods.hypergradient.probe import Probe
from methods.settings import BiLevelSettings, ContinuedSettings
from methods.stage import Context, Model, Stage, StageResult, Weights, corpus_key, task_key
from methods.stages import optimiser as optimisers
from methods.stages.common import PURPOSE, Pretraining, check_finite, check_idle, copy_state, on_cpu
from methods.stages.upper import UpperLevel, weights_rule
from tasks.problem import Problem, Source
from tasks.spec import ProblemSpec


@dataclass(frozen=True)
class BiLevel(Stage):
    """Lower level: theta with its end-task head on sum_i s_i L_i + c L_tr. Upper level: alpha on L_val at theta.

    The weights move after every ``unroll`` steps, on the newest batches. The read-out "joint" is theta
    with its head; the weights handed on are theta and the objective heads.
    """

    pretraining: ContinuedSettings
    settings: BiLevelSettings
    validation: Source  # "val", or "val-null" for the control
    name = "bi-level"
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
        head = problem.downstream_head()
        head_optimiser = optimisers.build(head.parameters(), one.optimiser)
        corpus = problem.stream("corpus", one.batch, PURPOSE)
        train = problem.stream("train", two.batch, "bi-level")
        val = problem.stream(self.validation, two.validation_batch, "level III")
        body.check_slopes(corpus.batch(0))
        parts = {**body.parts(), "head": head, "head optimiser": head_optimiser, "rule": upper.rule, "log": upper.log}
        for step in context.steps(total, parts, one.batch):
            batch, s = corpus.batch(step), upper.rule.weights()
            losses = body.losses(batch, step)
            measured = on_cpu(losses)
            (s.to(losses) @ losses).backward()
            loss = problem.downstream_loss(body.encoder, head, train.batch(step))
            check_finite(loss.detach()[None], ["train"], self.name, step)
            (two.coefficient * loss).backward()
            body.move(step)
            optimisers.apply(head_optimiser, one.optimiser, step, total)
            if (step + 1) % two.unroll == 0:
                v = upper.gradient(body.encoder, head, val.batch(step // two.unroll))
                upper.move(Probe(*body.function(batch), v, s), measured, step + 1, total)
        joint = Model(copy_state(body.encoder), copy_state(head))
        return StageResult(body.weights(), {"joint": joint}, {"trajectory": upper.log.record()})
