"""Rules that read the Gramian of the gradients, by hand and against explicit gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import permutations, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from torch import Tensor

from methods.weighting.pcgrad import PCGrad
from methods.weighting.rule import Signals, Weighting
from methods.weighting.upgrad import UPGrad
from tasks.randomness import generator

REGULAR = 1e-4  # that torchjd's projector adds to the diagonal of a Gramian of trace 1
entries = st.floats(-5, 5).map(lambda value: round(value, 3))
both = pytest.mark.parametrize("kind", [PCGrad, UPGrad])


def matrix(rows: Iterable[Sequence[float]]) -> Tensor:
    return torch.tensor(list(rows), dtype=torch.float64)


def weights(rule: Weighting, gradients: Tensor) -> Tensor:
    """The weights for gradients of shape (n, d), of which the rule sees the Gramian alone."""
    rule.update(Signals(torch.full((rule.n,), float("nan")), gramian=gradients @ gradients.T))
    return rule.weights()


def surgery(gradients: Tensor, orders: Sequence[Sequence[int]]) -> Tensor:
    """PCGrad on explicit gradients: the sum of g_i, each projected in its own order; shape (d,)."""
    total = torch.zeros_like(gradients[0])
    for i, order in enumerate(orders):
        projected = gradients[i]
        for other in (gradients[j] for j in order if j != i):
            if projected @ other < 0:
                projected = projected - (projected @ other) / (other @ other) * other
        total = total + projected
    return total


CONFLICT = matrix([[1.0, 0.0], [-1.0, 2.0]])  # g_1.g_1 = 1, g_1.g_2 = -1, g_2.g_2 = 5
THREE = matrix([[1.0, 0.2, 0.0], [-0.8, 1.0, 0.3], [-0.5, -1.5, 1.0]])  # all three conflict: the order matters


@pytest.mark.parametrize(("kind", "tolerance"), [(PCGrad, 1e-12), (UPGrad, 1e-3)])
def test_two_gradients_by_hand(kind: type[Weighting], tolerance: float) -> None:
    # g_1 + g_2 / 5 and g_2 + g_1: w = (2, 6/5), s = (5/8, 3/8). UPGrad projects each once too, so it agrees,
    # up to torchjd's regularisation.
    assert weights(kind(2), CONFLICT).tolist() == pytest.approx([5 / 8, 3 / 8], abs=tolerance)


@given(st.lists(st.tuples(entries, entries, entries), min_size=2, max_size=5), st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_pcgrad_is_gradient_surgery_in_the_order_of_seed_and_step(rows: list[tuple[float, ...]], seed: int) -> None:
    gradients = matrix(rows)
    n, rule = len(rows), PCGrad(len(rows), seed)
    for step in range(2):
        draws = generator(seed, "pcgrad", step)
        orders = [torch.randperm(n, generator=draws).tolist() for _ in range(n)]
        s, expected = weights(rule, gradients), surgery(gradients, orders)
        # s is w over its sum: compare directions, at the length that the sum of the explicit gradients has.
        combined = s @ gradients
        scale = (combined @ expected) / (combined @ combined).clamp_min(1e-300)
        if combined.norm() > 1e-6:
            assert torch.allclose(scale * combined, expected, rtol=1e-6, atol=1e-6)
            assert scale >= n - 1e-6, "w_i is at least 1 each"


def test_pcgrad_draws_its_order_anew_for_every_step_and_seed() -> None:
    rule = PCGrad(3)
    drawn = {tuple(weights(rule, THREE).tolist()) for _ in range(120)}
    assert 1 < len(drawn) <= 8  # two orders for each of three gradients
    first = [tuple(weights(PCGrad(3, seed), THREE).tolist()) for seed in range(120)]
    assert set(first) == drawn


def test_pcgrad_draws_all_orders_alike_so_that_terms_are_alike_on_average() -> None:
    orders = [[[i, *rest] for rest in permutations([j for j in range(3) if j != i])] for i in range(3)]
    possible = []
    for chosen in product(*orders):
        w = torch.zeros(3, dtype=torch.float64)
        for i, order in enumerate(chosen):
            own = torch.eye(3, dtype=torch.float64)[i]
            for j in order[1:]:
                slope = float(THREE[j] @ (own @ THREE))
                own[j] -= min(slope, 0.0) / float(THREE[j] @ THREE[j])
            w = w + own
        possible.append(w / w.sum())
    expected = torch.stack(possible).mean(0)
    turn = [2, 0, 1]
    for order in ([0, 1, 2], turn):
        found = torch.stack([weights(PCGrad(3, seed), THREE[order]) for seed in range(600)])
        error = found.std(0) / 600**0.5
        assert ((found.mean(0) - expected[order]).abs() < 4 * error).all()
    assert (expected - expected[turn]).abs().max() > 20 * error.max(), "the test tells the terms apart"


def test_pcgrad_lends_the_global_generator_and_gives_it_back() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = weights(PCGrad(3), THREE)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(weights(PCGrad(3), THREE), first)


@given(st.lists(st.tuples(*[entries] * 4), min_size=2, max_size=4))
@settings(max_examples=60, deadline=None)
def test_upgrad_is_the_mean_of_explicit_projections(rows: list[tuple[float, ...]]) -> None:
    # The projection of g onto {x: J x >= 0} is g + J^T l with l >= 0 of least squares (Moreau). The regularised
    # Gramian is that of the rows of [J / |J|, sqrt(1e-4) I], whose gradients take part in the same way.
    gradients = matrix(rows)
    size = float(gradients.norm())
    if size == 0:
        return
    n = len(rows)
    explicit = torch.cat([gradients / size, REGULAR**0.5 * torch.eye(n, dtype=torch.float64)], 1)
    w = torch.zeros(n, dtype=torch.float64)
    for i, own in enumerate(explicit):
        w = w + torch.eye(n, dtype=torch.float64)[i] + torch.as_tensor(nnls(explicit.T.numpy(), -own.numpy())[0])
    assert torch.allclose(weights(UPGrad(n), gradients), w / w.sum(), rtol=1e-5, atol=1e-6)


@given(st.lists(st.tuples(entries, entries, entries), min_size=2, max_size=5))
@settings(max_examples=60, deadline=None)
def test_upgrad_conflicts_with_no_objective(rows: list[tuple[float, ...]]) -> None:
    gradients = matrix(rows)
    s = weights(UPGrad(len(rows)), gradients)
    # Exactly, with the regularisation: (G + 1e-4 tr G I) s >= 0.
    slopes = gradients @ (s @ gradients)
    assert (slopes >= -REGULAR * gradients.square().sum() * s - 1e-9).all()


def test_upgrad_raises_no_loss_where_equal_weights_do() -> None:
    gradients = matrix([[1.0, 0.0], [0.0, 1.0], [-1.0, -0.6]]) * matrix([[1.0], [1.0], [4.0]])
    equal = gradients @ gradients.mean(0)
    assert equal.min() < -0.5
    found = gradients @ (weights(UPGrad(3), gradients) @ gradients)
    assert found.min() > -1e-2


@both
def test_gradients_without_conflict_keep_equal_weights(kind: type[Weighting]) -> None:
    assert weights(kind(3), torch.eye(3, dtype=torch.float64)).tolist() == pytest.approx([1 / 3] * 3, abs=1e-12)
    acute = matrix([[3.0, 0.1], [1.0, 1.0], [0.0, 0.5]])
    assert weights(kind(3), acute).tolist() == pytest.approx([1 / 3] * 3, abs=1e-9)


@both
def test_opposite_zero_and_idle_gradients(kind: type[Weighting]) -> None:
    opposite = matrix([[1.0, 2.0], [-1.0, -2.0]])
    assert weights(kind(2), opposite).tolist() == pytest.approx([0.5, 0.5])
    assert weights(kind(3), torch.zeros(3, 2, dtype=torch.float64)).tolist() == pytest.approx([1 / 3] * 3)
    tiny = matrix([[1.0, 0.0], [-1e-200, 0.0]])  # whose square is 0
    assert torch.isfinite(weights(kind(2), tiny)).all()
    idle = torch.cat([CONFLICT, torch.zeros(1, 2, dtype=torch.float64)])  # w = (2, 6/5, 1)
    assert weights(kind(3), idle).tolist() == pytest.approx([2 / 4.2, 1.2 / 4.2, 1 / 4.2], abs=1e-3)


@both
@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e6])
def test_the_unit_of_the_losses_does_not_matter(kind: type[Weighting], scale: float) -> None:
    assert torch.allclose(weights(kind(3), scale * THREE), weights(kind(3), THREE), rtol=1e-6, atol=0)


@both
def test_larger_gradients_give_way(kind: type[Weighting]) -> None:
    # The projection takes more of the small gradient's weight up to undo the large one's harm.
    s = weights(kind(2), matrix([[1.0, 0.0], [-1.0, 2.0]]) * matrix([[1.0], [3.0]]))
    assert s[0] > s[1]


def test_the_two_rules_differ_from_three_gradients_on() -> None:
    averaged = torch.stack([weights(PCGrad(3, seed), THREE) for seed in range(40)]).mean(0)
    assert (averaged - weights(UPGrad(3), THREE)).abs().max() > 0.005
