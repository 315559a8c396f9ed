"""A second implementation of both schemes with the released code's finite differences, in plain autograd.

Written from the formulas alone: F(vec) = [grad(p - e vec) - grad(p + e vec)] / 2e with e = radius / |vec|,
first through level II (from omega to theta), then through level I (from theta to alpha).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from methods.settings import BiLevelSettings, ContinuedSettings, OptimiserSettings, TriLevelSettings
from tasks.problem import Problem

Gradient = Callable[[], Sequence[Tensor]]


def difference(gradient: Gradient, point: Sequence[Tensor], vec: Sequence[Tensor], radius: float) -> list[Tensor]:
    """F(vec); ``gradient`` is evaluated with ``point`` moved in place."""
    e = radius / float(torch.sqrt(sum((part**2).sum() for part in vec)))
    sides = []
    for sign in (-1, 1):
        with torch.no_grad():
            for parameter, part in zip(point, vec, strict=True):
                parameter.add_(part, alpha=sign * e)
        sides.append([part.detach().clone() for part in gradient()])
        with torch.no_grad():
            for parameter, part in zip(point, vec, strict=True):
                parameter.sub_(part, alpha=sign * e)
    return [(low - high) / (2 * e) for low, high in zip(*sides, strict=True)]


def sgd(modules: Sequence[nn.Module], settings: OptimiserSettings) -> torch.optim.SGD:
    """The optimiser of all parameters of some modules."""
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return torch.optim.SGD(parameters, lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay)


def three_levels(
    problem: Problem, alpha: Tensor, one: ContinuedSettings, two: TriLevelSettings, radius: float, lr: float
) -> list[Tensor]:
    """alpha after each step, moved by SGD of rate ``lr`` on the finite-difference gradient of L_val."""
    theta, heads, omega, head = (
        problem.encoder(),
        problem.objective_heads(),
        problem.encoder(),
        problem.downstream_head(),
    )
    first, second, path = sgd([theta, heads], one.optimiser), sgd([omega, head], two.optimiser), []
    streams = {
        "corpus": ("continued", one.batch),
        "train": ("level II", two.batch),
        "val": ("level III", two.validation_batch),
    }
    corpus, train, val = (problem.stream(s, size, purpose) for s, (purpose, size) in streams.items())  # type: ignore[arg-type]

    def level_one(logits: Tensor, step: int) -> Tensor:
        return torch.softmax(logits, 0) @ problem.objective_losses(theta, heads, corpus.batch(step))

    def level_two(step: int) -> Tensor:
        apart = [((w - t) ** 2).sum() for w, t in zip(omega.parameters(), theta.parameters(), strict=True)]
        return problem.downstream_loss(omega, head, train.batch(step)) + two.gamma * sum(apart)

    below = list(theta.parameters())
    for step in range(one.steps):
        first.zero_grad()
        level_one(alpha, step).backward()
        first.step()
        second.zero_grad()
        level_two(step).backward()
        second.step()
        top = [*omega.parameters(), *head.parameters()]
        v = torch.autograd.grad(problem.downstream_loss(omega, head, val.batch(step)), top)
        u = difference(lambda step=step: torch.autograd.grad(level_two(step), below), top, v, radius)  # type: ignore[misc]
        logits = alpha.clone().requires_grad_()
        (gradient,) = difference(
            lambda step=step, logits=logits: torch.autograd.grad(level_one(logits, step), logits),
            below,
            u,
            radius,  # type: ignore[misc]
        )
        alpha = alpha - lr * gradient
        path.append(alpha)
    return path


def two_levels(
    problem: Problem, alpha: Tensor, one: ContinuedSettings, two: BiLevelSettings, radius: float
) -> list[Tensor]:
    """alpha after each step of one body on the objectives and c times the end task."""
    theta, heads, head, path = problem.encoder(), problem.objective_heads(), problem.downstream_head(), []
    optimiser = sgd([theta, heads, head], one.optimiser)
    streams = {
        "corpus": ("continued", one.batch),
        "train": ("bi-level", two.batch),
        "val": ("level III", two.validation_batch),
    }
    corpus, train, val = (problem.stream(s, size, purpose) for s, (purpose, size) in streams.items())  # type: ignore[arg-type]

    def lower(logits: Tensor, step: int) -> Tensor:
        weighted = torch.softmax(logits, 0) @ problem.objective_losses(theta, heads, corpus.batch(step))
        return weighted + two.coefficient * problem.downstream_loss(theta, head, train.batch(step))

    for step in range(one.steps):
        optimiser.zero_grad()
        lower(alpha, step).backward()
        optimiser.step()
        everything = [*theta.parameters(), *head.parameters()]
        v = torch.autograd.grad(problem.downstream_loss(theta, head, val.batch(step)), everything)
        logits = alpha.clone().requires_grad_()
        (gradient,) = difference(
            lambda step=step, logits=logits: torch.autograd.grad(lower(logits, step), logits),
            everything,
            v,
            radius,  # type: ignore[misc]
        )
        alpha = alpha - two.rate * gradient
        path.append(alpha)
    return path
