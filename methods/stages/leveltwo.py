"""Level II of TapWeight: omega follows the training loss and theta (arXiv 2410.10006, Eq. 5)."""

from __future__ import annotations

import torch
from torch import Tensor

from methods.hypergradient.functional import Function, Parameters, as_function, shared
from methods.hypergradient.probe import LevelTwo, Probe
from methods.settings import TriLevelSettings
from methods.stage import Model, Stateful, Weights
from methods.stages import optimiser as optimisers
from methods.stages.common import Pretraining, check_finite, copy_state, restored
from tasks.problem import Problem


class Omega:
    """The level-II model omega with its head, trained on L_tr(omega) + gamma ||omega - theta||^2."""

    def __init__(
        self, problem: Problem, start: Weights, body: Pretraining, settings: TriLevelSettings, stage: str
    ) -> None:
        self.problem, self.body, self.settings, self.stage = problem, body, settings, stage
        self.encoder, self.head = restored(problem.encoder(), start["encoder"]), problem.downstream_head()
        parameters = [*self.encoder.parameters(), *self.head.parameters()]
        self.optimiser = optimisers.build(parameters, settings.optimiser)
        self.train = problem.stream("train", settings.batch, "level II")
        self.turn = 0

    def parts(self) -> dict[str, Stateful]:
        """Return what a checkpoint holds of level II."""
        return {"omega": self.encoder, "head": self.head, "second": self.optimiser}

    def move(self, turn: int, step: int) -> None:
        """Take step number ``turn`` of omega, ``step`` steps into level I."""
        self.turn = turn
        loss = self.problem.downstream_loss(self.encoder, self.head, self.train.batch(turn))
        check_finite(loss.detach()[None], ["train"], self.stage, step)
        loss.backward()
        with torch.no_grad():  # the proximal term in place: its gradient is 2 gamma (omega - theta)
            for mine, theirs in zip(self.encoder.parameters(), self.body.encoder.parameters(), strict=True):
                assert mine.grad is not None
                mine.grad.add_(mine - theirs, alpha=2 * self.settings.gamma)
        optimisers.apply(self.optimiser, self.settings.optimiser, step, self.body.settings.steps)

    def probe(self, v: Parameters, s: Tensor, losses: Function, theta: Parameters, base: Tensor | None) -> Probe:
        """Return the question that level III asks of both lower levels, on the batches of their last steps."""
        batch, gamma = self.train.batch(self.turn), self.settings.gamma
        train, omega = as_function(
            self.encoder, self.head, lambda encoder, head: self.problem.downstream_loss(encoder, head, batch)
        )

        def loss(omega: Parameters, theta: Parameters) -> Tensor:
            mine, theirs = shared(omega), shared(theta)
            return train(omega) + gamma * torch.stack([(mine[n] - theirs[n]).square().sum() for n in mine]).sum()

        return Probe(losses, theta, v, s, LevelTwo(loss, omega, gamma), base)

    def model(self) -> Model:
        """Return the read-out."""
        return Model(copy_state(self.encoder), copy_state(self.head))
