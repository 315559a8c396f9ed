"""The end task as a term of joint training: its head, the head's own optimiser, its training batches."""

from __future__ import annotations

from torch import Tensor, nn

from methods.settings import JointSettings
from methods.stage import Stateful
from methods.stages import optimiser as optimisers
from methods.stages.common import check_finite
from tasks.problem import Problem

END_TASK = "end-task"  # the last of the k = n + 1 weighted terms


class EndTask:
    """L_*, the training loss of the end task through a head that is trained beside the body for ``steps`` steps."""

    def __init__(self, problem: Problem, settings: JointSettings, steps: int, stage: str) -> None:
        self.problem, self.settings, self.steps, self.stage = problem, settings, steps, stage
        self.head = problem.downstream_head().train()
        self.optimiser = optimisers.build(self.head.parameters(), settings.head)
        self.train = problem.stream("train", settings.batch, stage)

    def parts(self) -> dict[str, Stateful]:
        """Return what a checkpoint holds of the end task."""
        return {"head": self.head, "head optimiser": self.optimiser}

    def loss(self, encoder: nn.Module, step: int) -> Tensor:
        """Return L_* with its graph, finite."""
        loss = self.problem.downstream_loss(encoder, self.head, self.train.batch(step))
        check_finite(loss.detach()[None], [END_TASK], self.stage, step)
        return loss

    def move(self, step: int) -> None:
        """Move the head along the gradient that it holds."""
        optimisers.apply(self.optimiser, self.settings.head, step, self.steps)

    def score(self, encoder: nn.Module) -> float:
        """Return the validation score of the task's metric."""
        return self.problem.score(encoder, self.head)[self.problem.task.metric]
