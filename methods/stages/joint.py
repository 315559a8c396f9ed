"""Joint training: one body on the objectives and the end task (TARTAN, arXiv 2109.07437, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from bench.errors import RequestError
from methods.hypergradient.jacobian import Jacobian
from methods.settings import ContinuedSettings, JointSettings, MetaSettings, Settings
from methods.stage import Context, Model, Stage, StageResult, Weights, source_key, task_key
from methods.stages import optimiser as optimisers
from methods.stages.common import PURPOSE, Pretraining, TrajectoryLog, check_finite, check_known, on_cpu, update
from methods.stages.endtask import END_TASK, EndTask
from methods.stages.finetune import Best, FineTune
from methods.stages.metahead import ValidationGradient
from methods.weighting.rule import Need, Rule, Signals, Weighting
from tasks.problem import Batch, Problem, Source
from tasks.spec import ProblemSpec

WITH_V: tuple[Need, ...] = ("alignment", "cosine", "lookahead")  # signals that a validation gradient enters


@dataclass(frozen=True)
class Joint(Stage):
    """Steps on sum_i s_i L_i + s_* L_*, with L_* the end task's training loss.

    Every gradient, also that of a head, carries the weight of its term, as in the released code. All
    signals are taken where the step starts, whether the rule learns from them before the step or after.
    The model of the best validation score, of equal ones the latest, is handed on; its read-out is
    "joint", or "best" where no fine-tuning follows.
    """

    pretraining: ContinuedSettings
    settings: JointSettings
    rule: Rule
    meta: MetaSettings | None = None  # where v is taken; none for rules that read no such signal
    validation: Source = "val"  # of v: "val-null" for a control
    name = "joint"
    shared = False

    def validate(self, spec: ProblemSpec) -> None:
        self.weighting(spec)

    def weighting(self, spec: ProblemSpec) -> Weighting:
        """Return the rule for the terms of a problem; raises RequestError if it does not fit them."""
        gives: tuple[Need, ...] = ("losses", "gramian", *(WITH_V if self.meta else ()))
        return self.rule.build(self.terms(spec), spec.seed, self.name, gives)

    def terms(self, spec: ProblemSpec) -> tuple[str, ...]:
        """Return the names of what is weighted, the end task last; raises RequestError if nothing is beside it."""
        check_known(self.settings.objectives, spec.objectives, self.name, "objectives")
        if not spec.objectives:
            raise RequestError(f"stage {self.name!r}: expected at least one objective beside the end task, got none")
        wanted = self.settings.objectives or spec.objectives
        return (*(name for name in spec.objectives if name in wanted), END_TASK)

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        # A method's section may hold more than the two parts that this stage reads.
        joint, meta = set(JointSettings.model_fields), set(MetaSettings.model_fields)
        return source_key(spec, self.pretraining.source) | task_key(spec) | {
            "pretraining": self.pretraining.model_dump(mode="json"),
            "settings": self.settings.model_dump(mode="json", include=joint),
            "meta": self.meta.model_dump(mode="json", include=meta) if self.meta else None,
            "rule": self.rule.key(),
            "validation": self.validation,
            "seed": spec.seed,
        }  # fmt: skip

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        one, two, total = self.pretraining, self.settings, self.pretraining.steps
        names = self.terms(problem.spec)
        idle = [name for name in problem.objectives if name not in names]
        body, end = Pretraining(problem, start, one, self.name, idle), EndTask(problem, two, total, self.name)
        rule, best, log = self.weighting(problem.spec), Best(ties=True), TrajectoryLog(names)
        v = ValidationGradient(problem, self.meta, self.validation, self.name) if self.meta else None
        corpus = problem.stream(one.source, one.batch, PURPOSE)
        body.check_slopes(corpus)
        parts = {**body.parts(), **end.parts(), "rule": rule, "log": log, "best": best}
        for step in context.steps(total, parts, one.batch):
            signals = self._step(rule, body, end, v, corpus.batch(step), step)
            used = next((signals.require(need) for need in WITH_V if need in rule.needs), None)
            log.add(step + 1, rule.weights(), signals.losses, used)
            if (step + 1) % two.evaluate_every == 0 or step + 1 == total:
                higher = problem.task.higher_is_better
                best.offer(end.score(body.encoder), higher, body.encoder, end.head, body.heads)
            if best.since >= two.patience:
                break
        done = [min((k + 1) * two.evaluate_every, total) for k in range(len(best.curve))]
        curve = {"unit": "step", "done": done, "validation": best.curve}
        facts = {"trajectory": log.record(), "learning_curve": curve, "chosen_step": done[best.epoch]}
        weights = {"encoder": best.encoder, "heads": best.heads, "head": best.head}
        name = "joint" if two.final_finetuning else "best"
        return StageResult(weights, {name: Model(best.encoder, best.head)}, facts)

    def _step(
        self, rule: Weighting, body: Pretraining, end: EndTask, v: ValidationGradient | None, batch: Batch, step: int
    ) -> Signals:
        """Move weights and parameters once; return what the weights learned from."""
        one, total = self.pretraining.optimiser, self.pretraining.steps
        terms, jacobian = [*body.active(batch, step), end.loss(body.encoder, step)], None
        decay = optimisers.factor(one.schedule, step, total, one.warmup)
        signals = Signals(on_cpu(torch.stack([term.detach() for term in terms])), decay=decay)
        if rule.needs - {"losses"}:
            heads = [*body.heads.parameters(), *end.head.parameters()]
            jacobian = Jacobian(terms, list(body.encoder.parameters()), heads)
            terms.clear()  # their graphs go before v builds its own
            signals = self._measure(signals, rule, jacobian, body, end, v, step)
        names = self.terms(body.problem.spec)
        if rule.before_step:
            update(rule, signals, names, self.name, step)
        if jacobian:
            jacobian.set_gradient(rule.weights())
        else:
            (rule.weights().to(terms[0]) @ torch.stack(terms)).backward()
        body.move(step)
        end.move(step)
        if not rule.before_step:
            update(rule, signals, names, self.name, step)
        return signals

    def _measure(
        self, losses: Signals, rule: Weighting, jacobian: Jacobian,
        body: Pretraining, end: EndTask, v: ValidationGradient | None, step: int,
    ) -> Signals:  # fmt: skip
        """Add to the losses the other signals that the rule reads, all finite."""
        found: dict[str, Any] = {}
        if "gramian" in rule.needs:
            found["gramian"] = jacobian.gramian()
        if v and rule.needs & {"alignment", "cosine"}:
            here = v.here(body.encoder, end.head, step)
            if "alignment" in rule.needs:
                found["alignment"] = jacobian.alignment(here)
            if "cosine" in rule.needs:
                found["cosine"] = jacobian.cosine(here)
        if v and "lookahead" in rule.needs:
            rate = self.pretraining.optimiser.lr * losses.decay
            ahead = -rate * (rule.weights().to(jacobian.body) @ jacobian.body)
            found["lookahead"] = jacobian.alignment(v.ahead(body.encoder, end.head, step, ahead))
        for need, value in found.items():
            names = [f"{need} of {term}" for term in self.terms(body.problem.spec)]
            check_finite(value.diagonal() if value.ndim == 2 else value, names, self.name, step)
        return replace(losses, **found)


def pipeline(
    settings: Settings, rule: Rule, meta: MetaSettings | None = None, validation: Source = "val"
) -> list[Stage]:
    """Return the stages of a joint method whose own section is a JointSettings: the joint one, then fine-tuning."""
    own = settings.own(JointSettings)
    joint = Joint(settings.continued, own, rule, meta, validation)
    return [joint, FineTune(settings.finetune)] if own.final_finetuning else [joint]
