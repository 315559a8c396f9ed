"""Level II of TapWeight: omega follows the training loss and theta (arXiv 2410.10006, Eq. 5)."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.hypergradient.functional import Parameters, as_function, shared
from methods.hypergradient.probe import LevelTwo
from methods.settings import TriLevelSettings
from methods.stage import Model, Stateful, Weights
from methods.stages import optimiser as optimisers
from methods.stages.common import Pretraining, check_finite, copy_state, restored
from tasks.problem import Problem


class Omega:
    """The level-II model omega with its head, trained on L_tr(omega) + gamma ||omega - theta||^2.

    The proximal term runs over the encoder's parameters B, heads and running statistics left out, and is
    a sum of squares, as in the released code; the paper calls it a mean.
    """

    def __init__(
        self, problem: Problem, start: Weights, body: Pretraining, settings: TriLevelSettings, stage: str
    ) -> None:
        self.problem, self.body, self.settings, self.stage = problem, body, settings, stage
        self.encoder, self.head = restored(problem.encoder(), start["encoder"]), problem.downstream_head()
        parameters = [*self.encoder.parameters(), *self.head.parameters()]
        self.optimiser = optimisers.build(parameters, settings.optimiser)
        self.train = problem.stream("train", settings.batch, "level II")

    def parts(self) -> dict[str, Stateful]:
        """Return what a checkpoint holds of level II."""
        return {"omega": self.encoder, "head": self.head, "second": self.optimiser}

    def move(self, turn: int, step: int) -> None:
        """Take step number ``turn`` of omega, right after step number ``step`` of level I."""
        loss = self.problem.downstream_loss(self.encoder, self.head, self.train.batch(turn))
        check_finite(loss.detach()[None], ["train"], self.stage, step)
        loss.backward()
        with torch.no_grad():  # the proximal term in place: its gradient is 2 gamma (omega - theta)
            for mine, theirs in zip(self.encoder.parameters(), self.body.encoder.parameters(), strict=True):
                if mine.requires_grad:
                    mine.grad = torch.zeros_like(mine) if mine.grad is None else mine.grad
                    mine.grad.add_(mine - theirs, alpha=2 * self.settings.gamma)
        optimisers.apply(self.optimiser, self.settings.optimiser, step, self.body.settings.steps)

    def level_two(self, turn: int) -> LevelTwo:
        """Return level II's loss on the batch of its step number ``turn``, and omega as it is now."""
        batch, gamma = self.train.batch(turn), self.settings.gamma
        train, omega = as_function(
            self.encoder, self.head, lambda encoder, head: self.problem.downstream_loss(encoder, head, batch)
        )

        def loss(omega: Parameters, theta: Parameters) -> Tensor:
            mine, theirs = shared(omega), shared(theta)
            return train(omega) + gamma * torch.stack([(mine[n] - theirs[n]).square().sum() for n in mine]).sum()

        return LevelTwo(loss, omega, gamma)

    def model(self) -> Model:
        """Return the read-out."""
        return Model(copy_state(self.encoder), copy_state(self.head))
