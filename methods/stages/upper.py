"""The level that moves the weights, common to tri-level and bi-level TapWeight."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.errors import RequestError
from methods.hypergradient.backward import with_cosine
from methods.hypergradient.choice import choose
from methods.hypergradient.functional import Parameters, shared
from methods.hypergradient.probe import Probe, validation_gradient
from methods.settings import ContinuedSettings, UpperLevelSettings
from methods.stage import Stage, source_key, task_key
from methods.stages import optimiser as optimisers
from methods.stages.common import LossError, TrajectoryLog, check_finite, check_known, on_cpu
from methods.weighting.rule import Need, Rule, Signals, Weighting
from methods.weighting.tapweight import TapWeight
from tasks.problem import Batch, Problem, Source
from tasks.spec import ProblemSpec

GIVES: frozenset[Need] = frozenset({"losses", "alignment", "cosine"})


def weights_rule(settings: UpperLevelSettings, spec: ProblemSpec, stage: str) -> Weighting:
    """Return the rule for the objectives of a problem.

    Raises
    ------
    RequestError: if the objectives are too few, an idle one is none of them or leaves no other, or the
        alignment does not go with the hypergradient.
    """
    if settings.alignment == "cosine" and settings.hypergradient.name != "backward":
        raise RequestError(
            f"stage {stage!r}: hypergradient.name: expected 'backward' with alignment 'cosine', which is that of v and "
            f"each grad L_i, got {settings.hypergradient.name!r}, which would not enter the weights"
        )
    check_known(settings.idle, spec.objectives, stage, "idle")
    if settings.idle and not set(spec.objectives) - set(settings.idle):
        raise RequestError(f"stage {stage!r}: idle: expected to leave an objective to train on, got all of them")
    options = {"eta": settings.rate, "alignment": settings.alignment, "ema_decay": settings.ema_decay}
    return Rule(TapWeight, options).build(spec.objectives, spec.seed, stage, GIVES)


@dataclass(frozen=True)
class UpperLevelStage(Stage):
    """A stage that learns the weights from validation batches while it pretrains on the corpus."""

    pretraining: ContinuedSettings
    settings: UpperLevelSettings
    validation: Source  # "val", or "val-null" for the control
    shared = False

    def validate(self, spec: ProblemSpec) -> None:
        weights_rule(self.settings, spec, self.name)

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        return source_key(spec, self.pretraining.source) | task_key(spec) | {
            "pretraining": self.pretraining.model_dump(mode="json"),
            "settings": self.settings.model_dump(mode="json"),
            "validation": self.validation,
            "seed": spec.seed,
        }  # fmt: skip


class UpperLevel:
    """alpha descends on L_val: the rule, the hypergradient, and the log of both."""

    def __init__(self, problem: Problem, settings: UpperLevelSettings, stage: str) -> None:
        self.problem, self.settings, self.stage = problem, settings, stage
        self.rule = weights_rule(settings, problem.spec, stage)
        self.hypergradient = choose(settings.hypergradient)
        self.log = TrajectoryLog(problem.objectives)

    def gradient(self, body: nn.Module, head: nn.Module, batch: Batch, step: int) -> Parameters:
        """Return v, the gradient of L_val on a labelled batch with respect to body and head, after ``step`` steps.

        Raises
        ------
        LossError: if L_val is not finite.
        """
        loss = self.problem.pairwise_loss if self.settings.loss == "pairwise" else self.problem.downstream_loss
        v, value = validation_gradient(body, head, lambda e, h: loss(e, h, batch))
        check_finite(value[None], ["validation"], self.stage, step)
        return v

    def move(self, probe: Probe, losses: Tensor, step: int, steps: int, share: float = 1.0) -> None:
        """Move the weights once, with ``share`` of their rate; ``step`` steps of ``steps`` are done.

        Raises
        ------
        LossError: naming step, objective and value, if the alignment with an objective is not finite.
        """
        cosines: Tensor | None = None
        if "cosine" in self.rule.needs:  # with hypergradient "backward": the passes are the same
            q, cosines = (on_cpu(one) for one in with_cosine(probe))
        else:
            q = on_cpu(self.hypergradient(probe))
        for name, value in zip(self.problem.objectives, q.tolist(), strict=True):
            if not math.isfinite(value):
                raise LossError(f"{self.stage}, step {step}: the alignment with {name!r} is {value}")
        decay = optimisers.factor(self.settings.rate_schedule, step - 1, steps)  # as of the step just taken
        self.rule.update(Signals(losses, alignment=q, cosine=cosines, decay=decay * share))
        norm = torch.stack([part.norm() for part in shared(probe.v).values()]).norm().item()
        self.log.add(step, self.rule.weights(), losses, q, norm)
