"""The seven ways to compute q against each other, against closed forms and against a second implementation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from methods.hypergradient.backward import backward, with_cosine
from methods.hypergradient.central import central
from methods.hypergradient.choice import choose
from methods.hypergradient.conjugate import conjugate_gradients
from methods.hypergradient.forward import forward
from methods.hypergradient.functional import Function, Parameters, as_function
from methods.hypergradient.inverse import hessian
from methods.hypergradient.neumann import neumann
from methods.hypergradient.one_sided import one_sided
from methods.hypergradient.probe import LevelTwo, Probe, validation_gradient
from methods.hypergradient.released import as_released
from methods.settings import HypergradientSettings, Settings
from methods.stage import Weights
from methods.stages.common import restored
from methods.stages.start import start_stage
from methods.stages.trilevel import TriLevel
from tasks.problem import Batch, Problem
from tests.methods import reference
from tests.methods.analytic import Uninterrupted, start_of
from tests.methods.networks import NAMES, NetworkProblem, continued, three_levels

METHODS = HypergradientSettings.model_fields["name"].annotation.__args__  # type: ignore[union-attr]


def cast(batch: Batch, dtype: torch.dtype) -> Batch:
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in batch.items()}


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def probe_of(problem: Problem, dtype: torch.dtype = torch.float64, start: Weights | None = None) -> Probe:
    """A question at ``start``, or at the problem's own, with theta and omega a little apart."""
    start, gamma = start or start_of(problem), 1e-3
    theta, omega = (restored(problem.encoder(), start["encoder"]).to(dtype) for _ in range(2))
    heads = restored(problem.objective_heads(), start["heads"]).to(dtype)
    head = problem.downstream_head().to(dtype)
    draws = torch.Generator().manual_seed(5)
    for parameter in omega.parameters():
        parameter.data += 0.01 * torch.randn(parameter.shape, generator=draws).to(dtype)
    batch, train, val = (
        cast(problem.stream(source, 16, "test").batch(3), dtype)
        for source in ("corpus", "train", "val")  # type: ignore[arg-type]
    )
    v, _ = validation_gradient(omega, head, lambda e, h: problem.downstream_loss(e, h, val))
    function, point = as_function(theta, heads, lambda e, h: problem.objective_losses(e, h, batch))  # type: ignore[arg-type]

    def level_two() -> LevelTwo:
        loss, present = as_function(omega, head, lambda e, h: problem.downstream_loss(e, h, train))

        def both(omega: Parameters, theta: Parameters) -> Tensor:
            apart = [(omega[name] - theta[name]).square().sum() for name in theta if name.startswith("encoder.")]
            return loss(omega) + gamma * torch.stack(apart).sum()

        return LevelTwo(both, present, gamma)

    n = len(problem.objectives)
    return Probe(function, point, v, torch.full((n,), 1 / n, dtype=dtype), level_two)


@pytest.fixture(scope="module")
def trained(demo_problem: Problem, smoke: Settings) -> Weights:
    """The general-domain start: before any training the losses bend too much for a radius that float32 can resolve."""
    return start_stage(smoke.start).run(demo_problem, {}, Uninterrupted()).weights


@pytest.mark.parametrize(
    ("dtype", "radius", "exact", "two_sides", "one_side"),
    [(torch.float64, 1e-6, 1e-10, 1e-3, 1e-3), (torch.float32, 1e-3, 1e-3, 0.05, 0.1)],
)
def test_four_ways_agree_on_images(
    demo_problem: Problem,
    trained: Weights,
    dtype: torch.dtype,
    radius: float,
    exact: float,
    two_sides: float,
    one_side: float,
) -> None:
    """Batch norm in training mode, ReLU and max pooling; a difference steps over their kinks."""
    probe = probe_of(demo_problem, dtype, trained)
    q = backward(probe)
    assert q.dtype == dtype
    assert q.norm() > 0
    assert relative(forward(probe), q) < exact
    assert relative(central(probe, radius), q) < two_sides
    assert relative(as_released(probe, radius), q) < two_sides
    assert relative(one_sided(probe, radius), q) < one_side


@pytest.mark.parametrize(("radius", "first_order"), [(1e-2, 1e-2), (1e-4, 1e-4)])
def test_four_ways_agree_on_a_smooth_network_with_dropout(radius: float, first_order: float) -> None:
    """With other masks in one of the passes they would differ by more than q itself."""
    probe = probe_of(NetworkProblem(dropout=0.3, norm=True))
    q = backward(probe)
    assert relative(forward(probe), q) < 1e-12
    assert relative(central(probe, radius), q) < max(10 * radius**2, 1e-9)
    assert relative(one_sided(probe, radius), q) < 10 * first_order
    assert relative(as_released(probe, radius), q) < max(10 * radius**2, 1e-9)


def test_a_function_drops_the_same_units_in_every_call_and_those_of_the_training_pass_that_follows() -> None:
    problem = NetworkProblem(dropout=0.5)
    encoder, heads = problem.encoder(), problem.objective_heads()
    batch = problem.stream("corpus", 8, "test").batch(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        function, point = as_function(encoder, heads, lambda e, h: problem.objective_losses(e, h, batch))  # type: ignore[arg-type]
        before = torch.get_rng_state()
        first = function(point)
        assert torch.equal(torch.get_rng_state(), before)
        trained = problem.objective_losses(encoder, heads, batch).detach()
        assert not torch.equal(torch.get_rng_state(), before)
        assert torch.equal(function(point), first)
        assert torch.equal(trained, first)
        later, _ = as_function(encoder, heads, lambda e, h: problem.objective_losses(e, h, batch))  # type: ignore[arg-type]
        assert not torch.equal(later(point), first)


def test_a_function_follows_the_parameters_of_its_modules() -> None:
    """It is made before a step and asked after it."""
    problem = NetworkProblem()
    encoder, heads = problem.encoder(), problem.objective_heads()
    batch = problem.stream("corpus", 8, "test").batch(0)
    function, point = as_function(encoder, heads, lambda e, h: problem.objective_losses(e, h, batch))  # type: ignore[arg-type]
    optimiser = torch.optim.SGD([*encoder.parameters(), *heads.parameters()], lr=0.1, momentum=0.9)
    problem.objective_losses(encoder, heads, batch).sum().backward()
    optimiser.step()
    assert torch.equal(function(point), problem.objective_losses(encoder, heads, batch))
    assert torch.equal(function({}), problem.objective_losses(encoder, heads, batch))


@pytest.mark.parametrize("name", METHODS)
def test_a_probe_changes_nothing(name: str) -> None:
    problem = NetworkProblem(dropout=0.3, norm=True)
    encoder, heads, head = problem.encoder(), problem.objective_heads(), problem.downstream_head()
    batch, held_out = (problem.stream(source, 8, "test").batch(0) for source in ("corpus", "val"))  # type: ignore[arg-type]
    before = [{n: t.clone() for n, t in module.state_dict().items()} for module in (encoder, heads, head)]
    state = torch.get_rng_state()
    v, _ = validation_gradient(encoder, head, lambda e, h: problem.downstream_loss(e, h, held_out))
    function, theta = as_function(encoder, heads, lambda e, h: problem.objective_losses(e, h, batch))  # type: ignore[arg-type]
    loss, omega = as_function(encoder, head, lambda e, h: problem.downstream_loss(e, h, held_out))
    two = LevelTwo(
        lambda o, t: loss(o) + sum(((o[n] - t[n]) ** 2).sum() for n in t if n in o and n[0] == "e"), omega, 1.0
    )
    q = choose(HypergradientSettings(name=name))(Probe(function, theta, v, torch.ones(3) / 3, lambda: two))  # type: ignore[arg-type]
    assert torch.isfinite(q).all()
    assert not q.requires_grad
    for module, tensors in zip((encoder, heads, head), before, strict=True):
        assert all(torch.equal(tensors[n], t) for n, t in module.state_dict().items())
        assert all(parameter.grad is None and parameter.requires_grad for parameter in module.parameters())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_one_sided_base_is_used_or_computed() -> None:
    probe = replace(probe_of(NetworkProblem()), base=torch.full((3,), 1e6, dtype=torch.float64))
    assert one_sided(probe, 1e-4).abs().min() > 1e6, "the base that it is given is used"
    found = one_sided(replace(probe, base=None), 1e-4)
    assert relative(found, backward(probe)) < 1e-3
    exact = replace(probe, base=probe.losses(probe.theta))
    assert torch.equal(one_sided(exact, 1e-4), one_sided(replace(probe, base=None), 1e-4))


def test_the_cosine_is_that_of_the_two_gradients_on_the_shared_parameters() -> None:
    problem = NetworkProblem()
    probe = probe_of(problem)
    encoder, heads = problem.encoder(), problem.objective_heads()
    losses = problem.objective_losses(encoder, heads, problem.stream("corpus", 16, "test").batch(3))
    v = torch.cat([probe.v[f"encoder.{name}"].flatten() for name, _ in encoder.named_parameters()])
    q, cosines = with_cosine(probe)
    assert torch.equal(q, backward(probe))
    for index, found in enumerate(cosines):
        parts = torch.autograd.grad(losses[index], list(encoder.parameters()), retain_graph=True)
        g = torch.cat([part.flatten() for part in parts])
        assert float(found) == pytest.approx(float(v @ g / (v.norm() * g.norm())), rel=1e-6)


@pytest.mark.parametrize("n", [2, 5])
@pytest.mark.parametrize(("name", "radius", "tolerance"), [
    ("as-released", 1e-4, 1e-7), ("as-released", 1e-2, 1e-7),  # the same differences
    ("forward", 1e-4, 1e-7), ("forward", 1e-2, 1e-3),  # the closed form against differences of this radius
])  # fmt: skip
def test_five_steps_of_three_levels_equal_a_second_implementation(
    n: int, name: str, radius: float, tolerance: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From random alpha, with momentum and weight decay in both lower levels."""
    alpha = torch.randn(n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    monkeypatch.setattr("methods.weighting.tapweight.ones", lambda *_, **__: alpha.clone())
    lr, gamma = 40.0, 0.05
    options = three_levels(hypergradient={"name": name, "radius": radius}, rate=2 * gamma * lr, gamma=gamma)
    problem = NetworkProblem(NAMES[:n])
    result = TriLevel(continued(), options, "val").run(problem, start_of(problem), Uninterrupted())
    path = reference.three_levels(NetworkProblem(NAMES[:n]), alpha, continued(), options, radius, lr)
    assert steps_of(alpha, result.log["trajectory"]["weights"]).norm() > 0.1
    assert relative(
        steps_of(alpha, result.log["trajectory"]["weights"]),
        steps_of(alpha, [torch.softmax(one, 0).tolist() for one in path]),
    ) < tolerance  # fmt: skip


def steps_of(alpha: Tensor, weights: list[list[float]]) -> Tensor:
    """The steps of alpha, read from the weights: each sums to zero."""
    logits = torch.cat([alpha[None], torch.tensor(weights, dtype=torch.float64).log()])
    return (logits - logits.mean(1, keepdim=True)).diff(dim=0)


# Two levels of quadratic losses with heads: everything is known in closed form.
SIZE, HEAD, GAMMA = 4, 2, 0.3


def positive(size: int, seed: int, isotropic: float | None = None) -> Tensor:
    """A positive-definite matrix with eigenvalues from about 0.5 to 2."""
    if isotropic is not None:
        return isotropic * torch.eye(size, dtype=torch.float64)
    q, _ = torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    return q @ torch.diag(torch.linspace(0.5, 2, size, dtype=torch.float64)) @ q.T


def quadratic_probe(isotropic: float | None = None, levels: int = 3) -> tuple[Probe, Tensor]:
    """A question over quadratic losses, and the exact u . grad L_i.

    theta has a body (SIZE) and a head (HEAD); the Hessian of each loss couples the two.
    """
    draws = torch.Generator().manual_seed(0)
    both = SIZE + HEAD
    curvatures = torch.stack([positive(both, seed, isotropic) for seed in (1, 2, 3)])
    centres = torch.randn(3, both, generator=draws, dtype=torch.float64)
    point = torch.randn(both, generator=draws, dtype=torch.float64)
    omega = torch.randn(both, generator=draws, dtype=torch.float64)
    v = torch.randn(both, generator=draws, dtype=torch.float64)
    s = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    training = positive(both, 9, isotropic)

    def named(x: Tensor) -> Parameters:
        return {"encoder.body": x[:SIZE], "head.own": x[SIZE:]}

    def flat(parameters: Parameters) -> Tensor:
        return torch.cat([parameters["encoder.body"], parameters["head.own"]])

    def losses(theta: Parameters) -> Tensor:
        apart = flat({**named(point), **theta}) - centres
        return torch.einsum("na,nab,nb->n", apart, curvatures, apart) / 2

    def train(x: Parameters) -> Tensor:
        return flat(x) @ training @ flat(x) / 2

    def level_two(omega: Parameters, theta: Parameters) -> Tensor:
        return train(omega) + GAMMA * (omega["encoder.body"] - theta["encoder.body"]).square().sum()

    gradients = torch.einsum("nab,nb->na", curvatures, point - centres)
    h_one = torch.einsum("n,nab->ab", s, curvatures)
    if levels == 2:
        exact = gradients @ torch.linalg.solve(h_one + training, v)
        return Probe(losses, named(point), named(v), s, unweighted=train), exact
    pull = torch.zeros(both, dtype=torch.float64)
    pull[:SIZE] = 2 * GAMMA
    u = torch.linalg.solve(training + torch.diag(pull), v)
    u[SIZE:] = 0
    exact = gradients @ torch.linalg.solve(h_one, u)
    two = LevelTwo(level_two, named(omega), GAMMA)
    return Probe(losses, named(point), named(v), s, lambda: two), exact


@pytest.mark.parametrize("levels", [2, 3])
def test_neumann_converges_to_the_implicit_gradient(levels: int) -> None:
    probe, exact = quadratic_probe(levels=levels)
    errors = [relative(neumann(probe, terms, step=0.25), exact) for terms in (1, 5, 20, 60, 150)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.1
    assert errors[-1] < 1e-6


@pytest.mark.parametrize("levels", [2, 3])
def test_conjugate_gradients_reach_the_implicit_gradient_in_as_many_terms_as_dimensions(levels: int) -> None:
    probe, exact = quadratic_probe(levels=levels)
    errors = [relative(conjugate_gradients(probe, terms), exact) for terms in range(1, SIZE + HEAD + 1)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.01
    assert errors[-1] < 1e-6
    assert relative(conjugate_gradients(probe, 50), exact) < 1e-12, "more terms do no harm"


def test_the_identity_is_the_series_without_terms() -> None:
    probe, _ = quadratic_probe()
    assert torch.allclose(neumann(probe, 0, step=1.0), forward(probe), rtol=1e-13)
    assert torch.allclose(neumann(probe, 0, step=0.5), forward(probe) / 4, rtol=1e-13), "a for each of two levels"


def test_with_isotropic_curvature_the_identity_is_exact_up_to_a_factor() -> None:
    """H_I = a and H_II = a + 2 gamma on B: the weights move the same way."""
    a = 1.5
    probe, exact = quadratic_probe(isotropic=a)
    assert torch.allclose(forward(probe) / (a * (a + 2 * GAMMA)), exact, rtol=1e-12)
    assert torch.allclose(conjugate_gradients(probe, 2), exact, rtol=1e-12)


def test_the_coupling_with_heads_enters_the_implicit_gradient() -> None:
    """With theta's head cut out of H_I the answer is another one."""
    probe, exact = quadratic_probe()
    body = {"encoder.body": probe.theta["encoder.body"]}
    assert relative(conjugate_gradients(replace(probe, theta=body), SIZE), exact) > 0.01


def test_conjugate_gradients_stop_where_the_loss_does_not_curve_upwards() -> None:
    """Along v itself: v. Later: what was found before."""
    point = {"encoder.body": torch.ones(3, dtype=torch.float64)}

    def probe(curvatures: list[float], v: list[float]) -> Probe:
        diagonal = torch.tensor(curvatures, dtype=torch.float64)

        def losses(theta: Parameters) -> Tensor:
            x = theta["encoder.body"]
            return torch.stack([x @ (diagonal * x) / 2, x @ torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)])

        along = {"encoder.body": torch.tensor(v, dtype=torch.float64)}
        return Probe(losses, point, along, torch.tensor([1.0, 0.0]))

    for curvatures in ([0.0, 0.0, 0.0], [-1.0, -1.0, -1.0]):
        flat = probe(curvatures, [1.0, 1.0, 1.0])
        assert torch.equal(conjugate_gradients(flat, 5), forward(flat))
    saddle = probe([4.0, -1.0, 0.0], [1.0, 1.0, 0.0])  # v curves upwards by 3, the next direction downwards
    assert torch.allclose(conjugate_gradients(saddle, 5), forward(saddle) * 2 / 3)


def test_a_vanishing_validation_gradient_gives_no_alignment() -> None:
    probe, _ = quadratic_probe()
    still = replace(probe, v={name: torch.zeros_like(value) for name, value in probe.v.items()})
    ways: list[Callable[[Probe], Tensor]] = [forward, backward, lambda probe: with_cosine(probe)[1], *(
        partial(way, radius=0.01) for way in (central, one_sided, as_released)
    ), partial(conjugate_gradients, terms=3), partial(neumann, terms=3, step=0.1)]  # fmt: skip
    for way in ways:
        assert way(still).tolist() == [0, 0, 0]


def curvature_error(loss: Function, point: Parameters, e: float) -> float:
    """The product of the Hessian with a random direction against the difference of gradients."""
    draws = torch.Generator().manual_seed(1)
    x = {n: torch.randn(p.shape, generator=draws, dtype=p.dtype) for n, p in point.items()}
    high, low = (torch.func.grad(loss)({n: p + sign * e * x[n] for n, p in point.items()}) for sign in (1, -1))
    found, curved = torch.cat([((high[n] - low[n]) / (2 * e)).flatten() for n in x]), hessian(loss, point)(x)
    assert found.norm() > 0
    return relative(torch.cat([curved[n].flatten() for n in x]), found)


def test_the_hessian_of_the_image_network_is_the_difference_of_its_gradients(demo_problem: Problem) -> None:
    """In float64, through batch norm in training mode and max pooling, for both levels."""
    probe = probe_of(demo_problem)
    assert curvature_error(lambda theta: probe.s @ probe.losses(theta), probe.theta, e=1e-7) < 1e-4
    assert probe.level_two is not None
    two = probe.level_two()
    assert curvature_error(lambda omega: two.loss(omega, probe.theta), two.omega, e=1e-7) < 1e-4


def test_the_hessian_of_a_text_network_is_the_difference_of_its_gradients() -> None:
    """Through a lookup, attention that is not fused, and the slice of the first token."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        words, head = nn.Embedding(10, 8, dtype=torch.float64), nn.Linear(8, 1, dtype=torch.float64)
        layer = nn.TransformerEncoderLayer(
            8, 2, 16, dropout=0.1, activation="gelu", batch_first=True, dtype=torch.float64
        )
    tokens = torch.arange(12).reshape(3, 4) % 10

    def loss(encoder: nn.Module, head: nn.Module) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            outputs: Tensor = head(encoder(tokens)[:, 0])
        return nn.functional.mse_loss(outputs, torch.ones_like(outputs))

    assert curvature_error(*as_function(nn.Sequential(words, layer), head, loss), e=1e-5) < 1e-7


@pytest.mark.parametrize("name", ["neumann", "conjugate-gradients", "as-released"])
def test_the_costly_ways_run_on_images(name: Any, demo_problem: Problem) -> None:
    settings = HypergradientSettings(name=name, terms=2, step=0.01)
    q = choose(settings)(probe_of(demo_problem, torch.float32))
    assert q.shape == (len(demo_problem.objectives),)
    assert torch.isfinite(q).all()
    assert q.norm() > 0
