"""TapWeight's three levels in one loop (arXiv 2410.10006, Eq. 5), with the hypergradient in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from methods.hypergradient.forward import alignment, validation_gradient
from methods.settings import ContinuedSettings, TriLevelSettings
from methods.stage import Context, Model, Stage, StageResult, Stateful, Weights, corpus_key, task_key
from methods.stages import optimiser as optimisers
from methods.stages.common import (
    TrajectoryLog,
    check_finite,
    copy_state,
    pretraining_modules,
    pretraining_step,
    restored,
)
from methods.stages.continued import PURPOSE
from methods.weighting.normalise import RunningScale
from methods.weighting.rule import Signals
from methods.weighting.tapweight import TapWeight
from tasks.problem import Problem, Source
from tasks.spec import ProblemSpec


@dataclass(frozen=True)
class TriLevel(Stage):
    """Level I: theta on sum_i s_i L_i. Level II: omega on L_tr + gamma ||omega - theta||^2. Level III: alpha on L_val.

    Levels II and III move once every ``every`` steps of level I, on the newest batches. The read-out
    "omega" is the level-II model; the weights handed on are theta and the objective heads.
    """

    pretraining: ContinuedSettings
    settings: TriLevelSettings
    validation: Source  # "val", or "val-null" for the control
    name = "tri-level"
    shared = False

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        return corpus_key(spec) | task_key(spec) | {
            "pretraining": self.pretraining.model_dump(mode="json"),
            "settings": self.settings.model_dump(mode="json"),
            "validation": self.validation,
            "seed": spec.seed,
        }  # fmt: skip

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        one, two, total = self.pretraining, self.settings, self.pretraining.steps
        theta, heads = pretraining_modules(problem, start)
        omega, head = restored(problem.encoder(), start["encoder"]), problem.downstream_head()
        first = optimisers.build([*theta.parameters(), *heads.parameters()], one.optimiser)
        second = optimisers.build([*omega.parameters(), *head.parameters()], two.optimiser)
        scale = RunningScale(two.ema_decay) if two.alignment == "ema" else None
        rule, log = TapWeight(len(problem.objectives), two.rate, scale), TrajectoryLog(problem.objectives)
        corpus = problem.stream("corpus", one.batch, PURPOSE)
        train = problem.stream("train", two.batch, "level II")
        val = problem.stream(self.validation, two.validation_batch, "level III")
        parts: dict[str, Stateful] = {
            "theta": theta, "heads": heads, "omega": omega, "head": head,
            "first": first, "second": second, "rule": rule, "log": log,
        }  # fmt: skip
        for step in context.steps(total, parts, one.batch):
            s, batch = rule.weights(), corpus.batch(step)
            losses = pretraining_step(
                problem, theta, heads, batch, s,
                optimiser=first, settings=one.optimiser, step=step, steps=total, stage=self.name,
            )  # fmt: skip
            if (step + 1) % two.every:
                continue
            turn = step // two.every
            loss = problem.downstream_loss(omega, head, train.batch(turn))
            check_finite(loss.detach()[None], ["train"], self.name, step)
            loss.backward()
            with torch.no_grad():  # gamma ||omega - theta||^2 in place: its gradient is 2 gamma (omega - theta)
                for mine, theirs in zip(omega.parameters(), theta.parameters(), strict=True):
                    assert mine.grad is not None
                    mine.grad.add_(mine - theirs, alpha=2 * two.gamma)
            optimisers.apply(second, two.optimiser, step, total)
            held_out = val.batch(turn)
            v = validation_gradient(omega, head, lambda e, h, b=held_out: problem.downstream_loss(e, h, b))  # type: ignore[misc]
            # theta after its step, on the batch of that step: the point at which the released code probes.
            q = alignment(theta, heads, lambda e, h, b=batch: problem.objective_losses(e, h, b), v).double().cpu()  # type: ignore[misc]
            check_finite(q, [f"alignment with {name}" for name in problem.objectives], self.name, step)
            rule.update(Signals(losses, q, decay=optimisers.factor(two.rate_schedule, step, total)))
            log.add(step + 1, rule.weights(), losses, q)
        weights = {"encoder": copy_state(theta), "heads": copy_state(heads)}
        omega_model = Model(copy_state(omega), copy_state(head))
        return StageResult(weights, {"omega": omega_model}, {"trajectory": log.record()})
