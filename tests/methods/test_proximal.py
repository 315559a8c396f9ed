"""The proximal term of TapWeight's released code for text, against autograd through its definition."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from bench.errors import RequestError
from methods.settings import ContinuedSettings, OptimiserSettings, TriLevelSettings
from methods.stage import StageResult
from methods.stages.trilevel import TriLevel
from tests.methods.analytic import Uninterrupted, start_of
from tests.methods.networks import HIDDEN, INPUTS, WIDTH, NetworkProblem, initialised, three_levels

GAMMA, RATE, STEPS = 0.7, 3.0, 4
SGD = OptimiserSettings(name="sgd", lr=0.1, weight_decay=0.0, schedule="constant")


class Encoder(nn.Module):
    """A network whose first layer counts as embeddings, and that has a parameter which does not train."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings, self.rest = nn.Linear(INPUTS, HIDDEN), nn.Linear(HIDDEN, WIDTH)
        self.still = nn.Parameter(torch.ones(2), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.rest(torch.tanh(self.embeddings(x))))


class Embedded(NetworkProblem):
    def encoder(self) -> nn.Module:
        return initialised(Encoder(), "encoder")


def learn(problem: NetworkProblem, proximal: str) -> StageResult:
    levels = three_levels(gamma=GAMMA, rate=RATE, proximal=proximal, optimiser=SGD.model_dump())
    stage = TriLevel(ContinuedSettings(steps=STEPS, batch=8, optimiser=SGD), levels, "val")
    return stage.run(problem, start_of(problem), Uninterrupted())


def term(omega: nn.Module, theta: nn.Module, proximal: str) -> Tensor:
    """R(omega, theta)."""
    parts = {name: w - t for (name, w), t in zip(omega.named_parameters(), theta.parameters(), strict=True)}
    if proximal == "squares":
        return GAMMA * torch.stack([part.square().sum() for part in parts.values()]).sum()
    size = sum(part.numel() for part in parts.values())
    found = [part.square().sum() if "embeddings" in name else part.abs().sum() for name, part in parts.items()]
    return GAMMA / size * torch.stack(found).sum()


def step(loss: Tensor, *modules: nn.Module) -> None:
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    with torch.no_grad():
        for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
            if slope is not None:
                parameter -= SGD.lr * slope


def reference(problem: Embedded, proximal: str) -> tuple[list[Tensor], list[Tensor], nn.Module]:
    """The alignments and weights after each step, by second derivatives of R, and omega at the end."""
    (theta, heads), (omega, head) = (
        (problem.encoder(), problem.objective_heads()), (problem.encoder(), problem.downstream_head())
    )  # fmt: skip
    corpus, train, val = (
        problem.stream(source, 8, purpose)
        for source, purpose in (("corpus", "continued"), ("train", "level II"), ("val", "level III"))  # type: ignore[arg-type]
    )
    size = sum(p.numel() for p in theta.parameters())
    factor = 2 * GAMMA if proximal == "squares" else 2 * GAMMA / size
    alpha, alignments, weights = torch.ones(3, dtype=torch.float64), [], []
    for turn in range(STEPS):
        s, batch = torch.softmax(alpha, 0), corpus.batch(turn)
        step(s @ torch.stack(problem.objective_terms(theta, heads, batch)), theta, heads)
        step(problem.downstream_loss(omega, head, train.batch(turn)) + term(omega, theta, proximal), omega, head)
        shared = [p for p in omega.parameters() if p.requires_grad]
        below = [p for p in theta.parameters() if p.requires_grad]
        v = torch.autograd.grad(problem.downstream_loss(omega, head, val.batch(turn)), shared)
        slope = torch.autograd.grad(term(omega, theta, proximal), shared, create_graph=True)
        along = torch.stack([(a * b).sum() for a, b in zip(slope, v, strict=True)]).sum()
        u = [-part / factor for part in torch.autograd.grad(along, below, materialize_grads=True)]
        q = []
        for loss in problem.objective_terms(theta, heads, batch):
            g = torch.autograd.grad(loss, below, retain_graph=True)
            q.append(torch.stack([(a * b).sum() for a, b in zip(u, g, strict=True)]).sum())
        h = torch.stack(q)
        alpha = alpha + RATE * (s * h - s * (s @ h))
        alignments.append(h)
        weights.append(torch.softmax(alpha, 0))
    return alignments, weights, omega


@pytest.mark.parametrize("proximal", ["squares", "released-text"])
def test_three_levels_equal_a_second_implementation(proximal: str) -> None:
    found, (alignments, weights, omega) = learn(Embedded(), proximal), reference(Embedded(), proximal)
    rows = found.log["trajectory"]
    torch.testing.assert_close(torch.tensor(rows["alignment"], dtype=torch.float64), torch.stack(alignments))
    torch.testing.assert_close(torch.tensor(rows["weights"], dtype=torch.float64), torch.stack(weights))
    for name, tensor in omega.state_dict().items():
        torch.testing.assert_close(found.models["omega"].encoder[name], tensor)
    assert (torch.tensor(rows["weights"][-1]) - 1 / 3).abs().max() > 0.01


def test_an_encoder_without_embeddings_is_refused() -> None:
    with pytest.raises(RequestError, match="proximal: 'released-text' needs an encoder with embeddings, got none"):
        learn(NetworkProblem(), "released-text")


@pytest.mark.parametrize("name", ["neumann", "conjugate-gradients", "as-released"])
def test_hypergradients_that_assume_squares_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"proximal: expected 'squares' with '{name}', got 'released-text'"):
        three_levels(proximal="released-text", hypergradient={"name": name})


def test_the_default_adds_nothing_to_the_key() -> None:
    assert "proximal" not in three_levels().model_dump(mode="json")
    changed: dict[str, Any] = three_levels(proximal="released-text").model_dump(mode="json")
    assert changed["proximal"] == "released-text"
    assert TriLevelSettings.model_validate(changed).proximal == "released-text"
