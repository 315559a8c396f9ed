"""TapWeight without its second level: one body on the objectives and the end task (arXiv 2410.10006, Eq. 9)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from methods.hypergradient.functional import Function, Parameters, as_function
from methods.hypergradient.probe import Probe
from methods.settings import BiLevelSettings
from methods.stage import Context, Model, StageResult, Weights
from methods.stages.common import PURPOSE, Pretraining, check_finite, copy_state, on_cpu
from methods.stages.upper import UpperLevel, UpperLevelStage
from tasks.problem import Batch, Problem


class AllHeads(nn.Module):
    """The heads of the one body: those of the objectives, and the end task's, which a call applies."""

    def __init__(self, objectives: nn.ModuleDict, task: nn.Module) -> None:
        super().__init__()
        self.objectives, self.task = objectives, task

    def forward(self, features: Tensor) -> Tensor:
        """Return the end task's outputs."""
        outputs: Tensor = self.task(features)
        return outputs


@dataclass(frozen=True)
class BiLevel(UpperLevelStage):
    """Lower level: theta with its end-task head on sum_i s_i L_i + c L_tr. Upper level: alpha on L_val at theta.

    The weights move after every ``unroll`` steps, on the newest batches. The read-out "joint" is theta
    with its head; the weights handed on are theta and the objective heads. The paper has a factor gamma
    before L_tr, the released code c = 1.
    """

    settings: BiLevelSettings
    name = "bi-level"

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        one, two, total = self.pretraining, self.settings, self.pretraining.steps
        head, upper = problem.downstream_head(), UpperLevel(problem, two, self.name)
        body = Pretraining(problem, start, one, self.name, two.idle, head)
        heads = AllHeads(body.heads, head)
        corpus = problem.stream(one.source, one.batch, PURPOSE)
        train = problem.stream("train", two.batch, "bi-level")
        val = problem.stream(self.validation, two.validation_batch, "level III")
        body.check_slopes(corpus)
        parts = {**body.parts(), "head": head, "rule": upper.rule, "log": upper.log}
        for step in context.steps(total, parts, one.batch):
            batch, labelled, s = corpus.batch(step), train.batch(step), upper.rule.weights()
            due = (step + 1) % two.unroll == 0
            # Each is made before the training pass of its loss, so that it drops the units which that pass drops.
            asked = _objectives(body, heads, batch) if due else None
            losses = body.losses(batch, step)
            measured = on_cpu(losses)
            (s.to(losses) @ losses).backward()
            del losses  # and its graph, before another one is built
            unweighted = _end_task(body, heads, labelled, two.coefficient) if due else None
            loss = problem.downstream_loss(body.encoder, heads, labelled)
            check_finite(loss.detach()[None], ["train"], self.name, step)
            (two.coefficient * loss).backward()
            del loss
            body.move(step)
            if asked:
                held_out = val.batch(step // two.unroll)
                probe = Probe(*asked, upper.gradient(body.encoder, heads, held_out, step + 1), s, unweighted=unweighted)
                upper.move(probe, measured, step + 1, total)
                del probe  # and v
        joint = Model(copy_state(body.encoder), copy_state(head))
        return StageResult(body.weights(), {"joint": joint}, {"trajectory": upper.log.record()})


def _objectives(body: Pretraining, heads: AllHeads, batch: Batch) -> tuple[Function, Parameters]:
    """Return the n losses as a function of theta and all heads, and their present values."""

    def losses(encoder: nn.Module, heads: nn.Module) -> Tensor:
        assert isinstance(heads, AllHeads)
        return body.problem.objective_losses(encoder, heads.objectives, batch, body.idle)

    return as_function(body.encoder, heads, losses)


def _end_task(body: Pretraining, heads: AllHeads, batch: Batch, coefficient: float) -> Function:
    """Return c L_tr as a function of theta and all heads."""
    return as_function(
        body.encoder, heads, lambda encoder, heads: coefficient * body.problem.downstream_loss(encoder, heads, batch)
    )[0]
