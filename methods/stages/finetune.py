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
    """The model of the best validation score so far; a tie replaces it (TARTAN's rule) or does not (ImageMol's)."""

    def __init__(self, ties: bool = False) -> None:
        self.ties, self.epoch, self.value = ties, -1, 0.0
        self.encoder: dict[str, Tensor] = {}
        self.head: dict[str, Tensor] = {}
        self.heads: dict[str, Tensor] = {}  # of the objectives, where they are trained too
        self.curve: list[float] = []

    @property
    def since(self) -> int:
        """Scores reported after the best one."""
        return len(self.curve) - 1 - self.epoch

    def offer(
        self,
        value: float,
        higher_is_better: bool,
        encoder: nn.Module,
        head: nn.Module,
        heads: nn.Module | None = None,
    ) -> None:
        """Report the validation score of the next epoch."""
        better = value > self.value if higher_is_better else value < self.value
        if self.epoch < 0 or better or (self.ties and value == self.value):
            self.epoch, self.value = len(self.curve), value
            self.encoder, self.head = copy_state(encoder), copy_state(head)
            self.heads = copy_state(heads) if heads is not None else {}
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

    Stops when more than ``patience`` epochs in a row brought no better validation score. If the incoming
    weights hold a "head", training goes on from it, and the incoming model counts as epoch 0, which
    later ones must exceed.
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
        if "head" in start:
            restored(head, start["head"])
        optimiser = optimisers.build([*encoder.parameters(), *head.parameters()], self.settings.optimiser)
        stream = problem.stream("train", self.settings.batch, "finetune")
        epoch_steps = max(1, round(len(stream) / self.settings.batch))
        total, best = self.settings.epochs * epoch_steps, Best()
        parts: dict[str, Stateful] = {"encoder": encoder, "head": head, "optimiser": optimiser, "best": best}

        def offer() -> None:
            value = problem.score(encoder, head)[problem.task.metric]
            best.offer(value, problem.task.higher_is_better, encoder, head)

        if "head" in start:
            offer()
        for step in context.steps(total, parts, self.settings.batch):
            loss = problem.downstream_loss(encoder, head, stream.batch(step))
            check_finite(loss.detach()[None], ["train"], self.name, step)
            loss.backward()
            optimisers.apply(optimiser, self.settings.optimiser, step, total)
            if (step + 1) % epoch_steps == 0:
                offer()
            if best.since > self.settings.patience:
                break
        models = {"best": Model(best.encoder, best.head), "last": Model(copy_state(encoder), copy_state(head))}
        weights = {"encoder": best.encoder}
        first = 0 if "head" in start else 1  # the epoch of the first score
        curve = {"unit": "epoch", "done": [first + k for k in range(len(best.curve))], "validation": best.curve}
        return StageResult(weights, models, {"chosen_step": best.epoch + first, "learning_curve": curve})
