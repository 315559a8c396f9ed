"""Continued pretraining on unlabelled inputs under a rule that needs no labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from methods.hypergradient.jacobian import Jacobian
from methods.settings import ContinuedSettings
from methods.stage import Context, Stage, StageResult, Weights, corpus_key, inputs_key
from methods.stages.common import PURPOSE, Pretraining, TrajectoryLog, check_finite, on_cpu, update
from methods.weighting.fixed import Fixed
from methods.weighting.rule import Need, Rule, Signals, Weighting
from tasks.problem import Problem, Source
from tasks.spec import ProblemSpec

GIVES: frozenset[Need] = frozenset({"losses", "losses_after", "gramian"})
EQUAL = Rule(Fixed)


@dataclass(frozen=True)
class Continued(Stage):
    """Steps on L_pt = sum_i s_i L_i(theta).

    On the corpus its key names no task, so all tasks of a suite share it; on a task's own inputs it does.
    On the domain it names the domain alone; where a task has none, the corpus plays its part.
    """

    settings: ContinuedSettings
    rule: Rule = EQUAL
    source: Literal["corpus", "domain", "task"] = "corpus"
    name: str = "continued"

    @property
    def shared(self) -> bool:
        return self._source != "task"

    @property
    def _source(self) -> Source:
        return self.settings.source if self.source == "corpus" else self.source

    def validate(self, spec: ProblemSpec) -> None:
        self.rule.build(spec.objectives, spec.seed, self.name, GIVES)

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        inputs = corpus_key(spec) | ({} if self.shared else inputs_key(spec))
        if self._reads(spec) == "domain":
            inputs["domain"] = dict(spec.domain)
        return inputs | {
            "settings": self.settings.model_dump(mode="json"),
            "rule": self.rule.key(),
            "seed": spec.seed,
        }

    def _reads(self, spec: ProblemSpec) -> Source:
        return "corpus" if self._source == "domain" and not spec.domain else self._source

    def idle(self, objectives: Sequence[str]) -> tuple[str, ...]:
        """Objectives that are the constant 0, so that encoder passes which only they need are left out."""
        return ()

    def weighting(self, problem: Problem, start: Weights) -> Weighting:
        """Return the rule for the problem's objectives."""
        return self.rule.build(problem.objectives, problem.spec.seed, self.name, GIVES)

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        total, idle = self.settings.steps, self.idle(problem.objectives)
        body = Pretraining(problem, start, self.settings, self.name, idle)
        rule, log = self.weighting(problem, start), TrajectoryLog(problem.objectives)
        stream = problem.stream(self._reads(problem.spec), self.settings.batch, PURPOSE)
        body.check_slopes(stream)
        for step in context.steps(total, {**body.parts(), "rule": rule, "log": log}, self.settings.batch):
            batch = stream.batch(step)
            # Made before the training pass, so that it drops the units which that pass drops.
            again = body.function(batch) if "losses_after" in rule.needs else None
            terms, jacobian = body.terms(batch, step), None
            losses = torch.stack(terms)
            measured = on_cpu(losses)
            if "gramian" in rule.needs:
                jacobian = Jacobian(terms, list(body.encoder.parameters()), list(body.heads.parameters()))
            signals = Signals(measured, gramian=jacobian.gramian() if jacobian else None)
            if signals.gramian is not None:
                names = [f"squared gradient of {name}" for name in problem.objectives]
                check_finite(signals.gramian.diagonal(), names, self.name, step)
            if rule.before_step:
                update(rule, signals, problem.objectives, self.name, step)
            s = rule.weights()
            if jacobian:
                jacobian.set_gradient(s)
            else:
                (s.to(losses) @ losses).backward()
            body.move(step)
            if again:
                function, present = again
                with torch.no_grad():
                    signals = replace(signals, losses_after=on_cpu(function(present)))
            if not rule.before_step:
                update(rule, signals, problem.objectives, self.name, step)
            log.add(step + 1, rule.weights(), measured)
        return StageResult(body.weights(), log={"trajectory": log.record()})
