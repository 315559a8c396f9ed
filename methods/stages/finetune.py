"""Fine-tuning with early stopping on validation: the last stage of every method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from methods.settings import FinetuneSettings
from methods.stage import Context, Model, Stage, StageResult, Stateful, Weights, task_key
from methods.stages import optimiser as optimisers
from methods.stages.common import check_finite, copy_state, restored
from tasks.problem import Problem
from tasks.spec import ProblemSpec


class Best:
    """The model of the best validation score so far; a tie does not replace it (ImageMol's rule)."""

    def __init__(self) -> None:
        self.epoch, self.value = -1, 0.0
        self.encoder: dict[str, Tensor] = {}
        self.head: dict[str, Tensor] = {}
        self.curve: list[float] = []

    def offer(self, value: float, higher_is_better: bool, encoder: nn.Module, head: nn.Module) -> None:
        """Report the validation score of the next epoch."""
        better = value > self.value if higher_is_better else value < self.value
        if self.epoch < 0 or better:
            self.epoch, self.value = len(self.curve), value
            self.encoder, self.head = copy_state(encoder), copy_state(head)
        self.curve.append(value)

    def state_dict(self) -> dict[str, Any]:
        """Return everything."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore :meth:`state_dict`."""
        vars(self).update(state)


@dataclass(frozen=True)
class FineTune(Stage):
    """Train encoder and a fresh head on the task; read-outs "best" (validation) and "last" (final epoch).

    Stops when more than ``patience`` epochs in a row brought no better validation score.
    """

    settings: FinetuneSettings
    name = "finetune"
    shared = False

    def key(self, spec: ProblemSpec) -> Mapping[str, Any]:
        return task_key(spec) | {
            "backbone": spec.backbone,
            "encoder": dict(spec.encoder),
            "views": dict(spec.corpus.get("views", {})),
            "settings": self.settings.model_dump(mode="json"),
            "seed": spec.seed,
        }

    def run(self, problem: Problem, start: Weights, context: Context) -> StageResult:
        encoder, head = restored(problem.encoder(), start["encoder"]), problem.downstream_head()
        optimiser = optimisers.build([*encoder.parameters(), *head.parameters()], self.settings.optimiser)
        stream = problem.stream("train", self.settings.batch, "finetune")
        epoch_steps = max(1, round(len(stream) / self.settings.batch))
        total, best = self.settings.epochs * epoch_steps, Best()
        parts: dict[str, Stateful] = {"encoder": encoder, "head": head, "optimiser": optimiser, "best": best}
        for step in context.steps(total, parts, self.settings.batch):
            loss = problem.downstream_loss(encoder, head, stream.batch(step))
            check_finite(loss.detach()[None], ["train"], self.name, step)
            loss.backward()
            optimisers.apply(optimiser, self.settings.optimiser, step, total)
            if (step + 1) % epoch_steps == 0:
                value = problem.score(encoder, head)[problem.task.metric]
                best.offer(value, problem.task.higher_is_better, encoder, head)
            if len(best.curve) - 1 - best.epoch > self.settings.patience:
                break
        models = {"best": Model(best.encoder, best.head), "last": Model(copy_state(encoder), copy_state(head))}
        weights = {"encoder": best.encoder}
        return StageResult(weights, models, {"chosen_step": best.epoch + 1, "validation": best.curve})
