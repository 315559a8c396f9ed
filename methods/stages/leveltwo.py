"""Level II of TapWeight: omega follows the training loss and theta (arXiv 2410.10006, Eq. 5)."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.errors import RequestError
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
    a sum of squares, as in the released code; the paper calls it a mean. The released code for text has
    (gamma / M) [sum of squares over the embeddings + sum of absolute values over the rest], M the size of
    B ("released-text"): only the embeddings then carry v to theta, and the factor of q is 2 gamma / M.

    Raises
    ------
    RequestError: if an encoder without embeddings is asked for that.
    """

    def __init__(
        self, problem: Problem, start: Weights, body: Pretraining, settings: TriLevelSettings, stage: str
    ) -> None:
        self.problem, self.body, self.settings, self.stage = problem, body, settings, stage
        self.encoder, self.head = restored(problem.encoder(), start["encoder"]), problem.downstream_head()
        parameters = [*self.encoder.parameters(), *self.head.parameters()]
        self.optimiser = optimisers.build(parameters, settings.optimiser)
        self.train = problem.stream("train", settings.batch, "level II")
        self.size = sum(parameter.numel() for parameter in self.encoder.parameters())
        if settings.proximal == "released-text" and not any(map(_embeds, dict(self.encoder.named_parameters()))):
            raise RequestError(f"stage {stage!r}: proximal: 'released-text' needs an encoder with embeddings, got none")

    def parts(self) -> dict[str, Stateful]:
        """Return what a checkpoint holds of level II."""
        return {"omega": self.encoder, "head": self.head, "second": self.optimiser}

    def move(self, turn: int, step: int, share: float) -> None:
        """Take step number ``turn`` of omega at ``share`` of its rate, right after step number ``step`` of level I."""
        loss = self.problem.downstream_loss(self.encoder, self.head, self.train.batch(turn))
        check_finite(loss.detach()[None], ["train"], self.stage, step)
        loss.backward()
        with torch.no_grad():  # the proximal term in place: its gradient is 2 gamma (omega - theta)
            pairs = zip(self.encoder.named_parameters(), self.body.encoder.parameters(), strict=True)
            for (name, mine), theirs in pairs:
                if mine.requires_grad:
                    mine.grad = torch.zeros_like(mine) if mine.grad is None else mine.grad
                    self._pull(name, mine.grad, mine - theirs)
        optimisers.apply(self.optimiser, self.settings.optimiser, step, self.body.settings.steps, share)

    def _pull(self, name: str, slope: Tensor, apart: Tensor) -> None:
        """Add the gradient of the proximal term to ``slope``; ``apart`` is omega - theta."""
        gamma = self.settings.gamma
        if self.settings.proximal == "squares":
            slope.add_(apart, alpha=2 * gamma)
        elif _embeds(name):
            slope.add_(apart, alpha=2 * gamma / self.size)
        else:
            slope.add_(apart.sign(), alpha=gamma / self.size)

    def carried(self, v: Parameters) -> Parameters:
        """Return the part of v that the proximal term carries on to theta."""
        if self.settings.proximal == "squares":
            return v
        return {name: value for name, value in v.items() if _embeds(name)}

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


def _embeds(name: str) -> bool:
    """Whether a parameter is one of the embeddings, as transformers name them."""
    return "embeddings" in name.split(".")
