"""The hypergradient against three other ways to compute it, on the real image problem and a small network."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from methods.hypergradient.forward import forward
from methods.hypergradient.functional import Loss, Parameters, as_function
from methods.hypergradient.probe import Probe, validation_gradient
from methods.weighting.rule import Signals
from methods.weighting.tapweight import TapWeight
from tasks.problem import Batch, Problem
from tests.methods.networks import NetworkProblem


def doubled(batch: Batch) -> Batch:
    return {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}


def alignment(encoder: nn.Module, heads: nn.Module, losses: Loss, v: Parameters) -> Tensor:
    """The default hypergradient."""
    return forward(Probe(*as_function(encoder, heads, losses), v, torch.ones(1)))


def per_objective(losses: Tensor, encoder: nn.Module, v: dict[str, Tensor]) -> Tensor:
    """v . grad L_i by one backward pass for each objective."""
    parameters = dict(encoder.named_parameters())
    found = []
    for loss in losses:
        gradients = torch.autograd.grad(loss, list(parameters.values()), retain_graph=True, allow_unused=True)
        pairs = zip(parameters, gradients, strict=True)
        found.append(sum((g * v[f"encoder.{name}"]).sum() for name, g in pairs if g is not None))
    return torch.stack([torch.as_tensor(value) for value in found]).detach()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 2e-3)])
def test_equals_per_objective_backward_passes(demo_problem: Problem, dtype: torch.dtype, tolerance: float) -> None:
    encoder, heads = demo_problem.encoder().to(dtype), demo_problem.objective_heads().to(dtype)
    head = demo_problem.downstream_head().to(dtype)
    batch, held_out = (
        demo_problem.stream(source, 16, "test").batch(3) for source in ("corpus", "val")
    )  # fmt: skip
    if dtype == torch.float64:
        batch, held_out = doubled(batch), doubled(held_out)
    v, _ = validation_gradient(encoder, head, lambda e, h: demo_problem.downstream_loss(e, h, held_out))
    q = alignment(encoder, heads, lambda e, h: demo_problem.objective_losses(e, h, batch), v)
    expected = per_objective(demo_problem.objective_losses(encoder, heads, batch), encoder, v)
    assert expected.abs().max() > 0
    assert torch.allclose(q, expected, rtol=tolerance, atol=tolerance * float(expected.abs().max()))


def test_probing_leaves_parameters_gradients_and_running_statistics_alone(demo_problem: Problem) -> None:
    encoder, heads, head = demo_problem.encoder(), demo_problem.objective_heads(), demo_problem.downstream_head()
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    batch, held_out = (demo_problem.stream(source, 8, "test").batch(0) for source in ("corpus", "val"))
    v, _ = validation_gradient(encoder, head, lambda e, h: demo_problem.downstream_loss(e, h, held_out))
    alignment(encoder, heads, lambda e, h: demo_problem.objective_losses(e, h, batch), v)
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    assert all(p.grad is None for module in (encoder, heads, head) for p in module.parameters())


def test_the_pass_runs_in_full_precision_whatever_training_uses(demo_problem: Problem) -> None:
    encoder, head = demo_problem.encoder(), demo_problem.downstream_head()
    batch = demo_problem.stream("val", 8, "test").batch(0)
    seen = []

    def loss(e: nn.Module, h: nn.Module) -> Tensor:
        features = e(batch["images"])
        seen.append((features.dtype, torch.is_autocast_enabled("cpu"), torch.backends.cudnn.allow_tf32))
        return features.square().mean()

    before = torch.backends.cudnn.allow_tf32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        v, _ = validation_gradient(encoder, head, loss)
        alignment(encoder, head, lambda e, h: loss(e, h)[None], v)
    assert seen == [(torch.float32, False, False)] * 2
    assert torch.backends.cudnn.allow_tf32 == before


def test_the_validation_gradient_is_that_of_torch_func_and_records_no_second_graph() -> None:
    problem, recorded = NetworkProblem(dropout=0.3), list[bool]()
    encoder, head = problem.encoder().train(), problem.downstream_head()
    batch = problem.stream("val", 16, "test").batch(0)

    def loss(encoder: nn.Module, head: nn.Module) -> Tensor:
        features = problem.features(encoder, batch)
        if features.requires_grad:
            features.register_hook(lambda _: recorded.append(torch.is_grad_enabled()))
        return problem.outputs_loss(head(features), batch)

    function, point = as_function(encoder, head, loss)
    v, value = validation_gradient(encoder, head, loss)
    assert recorded == [False]
    expected, same = torch.func.grad_and_value(function)(point)
    assert torch.equal(value, same)
    assert not value.requires_grad
    for name, part in v.items():
        torch.testing.assert_close(part, expected[name])


class Tiny(nn.Module):
    """A smooth network in float64, so that differences at a tiny radius are exact."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.first = nn.Parameter(torch.randn(6, 5, generator=generator, dtype=torch.float64) / 2)
        self.second = nn.Parameter(torch.randn(5, 3, generator=generator, dtype=torch.float64) / 2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(torch.tanh(x @ self.first) @ self.second)


def chain_by_differences(
    omega: Tiny,
    theta: Tiny,
    val: Callable[[Tiny], Tensor],
    losses: Callable[[Tiny], Tensor],
    alpha: Tensor,
    gamma: float,
    radius: float,
) -> Tensor:
    """The released code's chain: v, then F(vec) = [grad(p - e vec) - grad(p + e vec)] / 2e for levels II and I."""
    v = torch.autograd.grad(val(omega), list(omega.parameters()))

    def level_two(shift: float) -> list[Tensor]:
        moved = [w + shift * step for w, step in zip(omega.parameters(), v, strict=True)]
        proximal = sum(((m - t) ** 2).sum() for m, t in zip(moved, theta.parameters(), strict=True))
        return list(torch.autograd.grad(gamma * proximal, list(theta.parameters())))

    epsilon = radius / torch.sqrt(sum((g**2).sum() for g in v))
    u = [(low - high) / (2 * epsilon) for low, high in zip(level_two(-epsilon), level_two(epsilon), strict=True)]

    def level_one(shift: float) -> Tensor:
        moved = Tiny(0)
        with torch.no_grad():
            for new, old, step in zip(moved.parameters(), theta.parameters(), u, strict=True):
                new.copy_(old + shift * step)
        logits = alpha.clone().requires_grad_()
        gradient: Tensor = torch.autograd.grad(torch.softmax(logits, 0) @ losses(moved).detach(), logits)[0]
        return gradient

    delta = radius / torch.sqrt(sum((part**2).sum() for part in u))
    return (level_one(-delta) - level_one(delta)) / (2 * delta)


@pytest.mark.parametrize("n", [2, 5])
def test_the_step_on_alpha_equals_the_chain_of_central_differences(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(12, 6, generator=generator, dtype=torch.float64)
    wanted = torch.randn(n + 1, 12, 3, generator=generator, dtype=torch.float64)
    omega, theta, gamma = Tiny(1), Tiny(2), 1e-3
    head, heads = nn.Identity(), nn.Identity()

    def losses(model: nn.Module) -> Tensor:
        return ((model(x) - wanted[:n]) ** 2).mean((1, 2))

    def val(model: nn.Module) -> Tensor:
        loss: Tensor = ((model(x) - wanted[n]) ** 2).mean()
        return loss

    alpha = torch.randn(n, generator=generator, dtype=torch.float64)
    v, _ = validation_gradient(omega, head, lambda e, h: val(e))
    q = alignment(theta, heads, lambda e, h: losses(e), v)
    rule = TapWeight(n, eta=2 * gamma)
    rule.alpha = alpha.clone()
    rule.update(Signals(losses(theta).detach(), alignment=q))
    numeric = chain_by_differences(omega, theta, val, losses, alpha, gamma, radius=1e-4)  # d L_val / d alpha
    assert torch.allclose(alpha - rule.alpha, numeric, rtol=1e-7, atol=1e-16)
    s = torch.softmax(alpha, 0)
    closed = -2 * gamma * s * (q - s @ q)
    assert torch.allclose(alpha - rule.alpha, closed, rtol=1e-12)
    assert abs(float((alpha - rule.alpha).sum())) < 1e-15


def test_a_module_under_two_names_is_refused() -> None:
    body = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    twice = nn.Sequential(body, body)
    with pytest.raises(ValueError, match=r"'encoder\.0' and as 'encoder\.1'"):
        as_function(twice, nn.Identity(), lambda encoder, _: encoder(torch.ones(1, 3)).sum())
