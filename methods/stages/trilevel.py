"""TapWeight's three levels in one loop (arXiv 2410.10006, Eq. 5)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from bench.errors import RequestError
from methods.hypergradient.functional import Parameters
from methods.hypergradient.precision import trains_in_full_precision
from methods.hypergradient.probe import Probe
from methods.settings import TriLevelSettings
from methods.stage import Context, StageResult, Weights
from methods.stages.common import PURPOSE, Pretraining, on_cpu
from methods.stages.leveltwo import Omega
from methods.stages.pace import Pace
from methods.stages.upper import UpperLevel, UpperLevelStage
from tasks.problem import Problem
from tasks.spec import ProblemSpec


@dataclass(frozen=True)
class TriLevel(UpperLevelStage):
    """Level I: theta on sum_i s_i L_i. Level II: omega on L_tr + gamma ||omega - theta||^2. Level III: alpha on L_val.

    Level II moves after every ``unroll_one`` steps of level I, level III after every ``unroll_two`` of
    level II, or sooner (:class:`Pace`), on the newest batches; nothing is differentiated through the
    steps between. The alignment is taken at the theta and omega of that moment. Point "post" takes it on
    the batch of the last step, as the released code does, point "pre" on the batch of the next one, just
    before that step: there the training pass gives the losses too. Either way the next step is the first
    with the new weights.

    The read-out "omega" is the level-II model; the weights handed on are theta and the objective heads.
    """

    settings: TriLevelSettings
    name = "tri-level"

    def validate(self, spec: ProblemSpec) -> None:
        super().validate(spec)
        if self.settings.hypergradient.name == "as-released" and not self.settings.gamma:
            raise RequestError(f"stage {self.name!r}: gamma: expected more than 0 with 'as-released', got 0")

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        one, two, total = self.pretraining, self.settings, self.pretraining.steps
        body, upper = Pretraining(problem, start, one, self.name, two.idle), UpperLevel(problem, two, self.name)
        omega = Omega(problem, start, body, two, self.name)
        corpus = problem.stream(one.source, one.batch, PURPOSE)
        val = problem.stream(self.validation, two.validation_batch, "level III")
        body.check_slopes(corpus)
        pace = Pace(two)

        def gradient(done: int) -> Parameters:
            return omega.carried(upper.gradient(omega.encoder, omega.head, val.batch(pace.three), done))

        def move(probe: Probe, losses: Tensor, done: int) -> None:
            before = upper.rule.weights()
            upper.move(probe, losses, done, total, pace.share)
            pace.three_moved(done, before, upper.rule.weights())

        parts = {**body.parts(), **omega.parts(), "rule": upper.rule, "log": upper.log, "pace": pace}
        for step in context.steps(total, parts, one.batch):
            batch = corpus.batch(step)
            done = step if two.point == "pre" else step + 1  # steps of level I at the moment of level III
            # Made before the training pass, so that it drops the units which that pass drops.
            asked = body.function(batch) if pace.three_due(done) else None
            v = gradient(done) if asked and two.point == "pre" else None
            losses = body.losses(batch, step)
            measured = on_cpu(losses)
            if asked and v is not None:
                base = losses.detach() if trains_in_full_precision(body.encoder, problem.device) else None
                level_two = partial(omega.level_two, pace.two - 1)
                move(Probe(*asked, v, upper.rule.weights(), level_two, base=base), measured, done)
                del v
            s = upper.rule.weights()
            (s.to(losses) @ losses).backward()
            del losses  # and its graph, before another one is built
            body.move(step)
            if pace.two_due(step + 1):
                omega.move(pace.two, step, pace.share)
                pace.two += 1
            if asked and two.point == "post":
                move(Probe(*asked, gradient(done), s, partial(omega.level_two, pace.two - 1)), measured, done)
        return StageResult(body.weights(), {"omega": omega.model()}, {"trajectory": upper.log.record()})
