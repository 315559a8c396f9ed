"""The rules that read losses or nothing, by hand and against torchjd's."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor
from torchjd import scalarization

from bench.errors import RequestError
from methods.stages.continued import GIVES, Continued
from methods.weighting.dwa import DynamicWeightAverage
from methods.weighting.famo import FAMO
from methods.weighting.rlw import RandomLossWeighting
from methods.weighting.rule import Rule, Signals, Weighting
from methods.weighting.uncertainty import Uncertainty
from tasks.randomness import generator
from tests.methods.analytic import Uninterrupted, start_of
from tests.methods.networks import NetworkProblem, continued


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_random_weights_are_the_softmax_of_the_draw_of_their_step() -> None:
    rule = RandomLossWeighting(3, seed=7)
    for step in range(3):
        draw = torch.randn(3, dtype=torch.float64, generator=generator(7, "rlw", step))
        assert rule.weights().tolist() == pytest.approx((draw.exp() / draw.exp().sum()).tolist())
        assert torch.equal(rule.weights(), rule.weights()), "reading does not draw"
        with torch.random.fork_rng(devices=[]):
            torch.random.set_rng_state(generator(7, "rlw", step).get_state())
            assert torch.equal(gradient(scalarization.Random(), row(1, 1, 1)), rule.weights())
        rule.update(Signals(row(1, 2, 3)))
    means = torch.stack([RandomLossWeighting(3, seed).weights() for seed in range(2000)]).mean(0)
    assert means.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)  # five standard errors: no term is favoured


def gradient(scalarisation: torch.nn.Module, losses: Tensor) -> Tensor:
    """The weights that one of torchjd's losses gives to its terms."""
    values = losses.clone().requires_grad_()
    (found,) = torch.autograd.grad(scalarisation(values), values)
    return found


def test_uncertainty_by_hand() -> None:
    rule = Uncertainty(2, rate=0.1)
    rule.update(Signals(row(3, 0.5)))  # u = 0 - 0.1 (1 - L)
    assert rule.u.tolist() == pytest.approx([0.2, -0.05])
    assert rule.weights()[0] == pytest.approx(1 / (1 + 2.718281828459045**0.25))


def test_uncertainty_follows_torchjd_whose_loss_is_the_half_of_ours() -> None:
    ours, theirs = Uncertainty(3, rate=0.05), scalarization.UW(3).double()
    optimiser = torch.optim.SGD(theirs.parameters(), lr=0.1)  # twice the rate for half the loss
    for losses in (row(2, 1, 0.1), row(5, 0.3, 0.2), row(1, 4, 0.1)):
        raw = gradient(theirs, losses)
        assert torch.allclose(ours.weights(), raw / raw.sum(), rtol=1e-12, atol=0)
        optimiser.zero_grad()
        theirs(losses).backward()
        optimiser.step()
        ours.update(Signals(losses))


def test_uncertainty_comes_to_rest_at_the_reciprocals_of_constant_losses() -> None:
    rule, losses = Uncertainty(4, rate=0.1), row(0.5, 1, 2, 8)
    for _ in range(500):
        rule.update(Signals(losses))
    assert torch.allclose(rule.weights(), (1 / losses) / (1 / losses).sum(), rtol=1e-9, atol=0)


def test_dwa_by_hand() -> None:
    rule = DynamicWeightAverage(2, window=2, temperature=2.0)
    for losses in (row(4, 1), row(2, 1), row(1, 1), row(1, 1)):
        assert rule.weights().tolist() == [0.5, 0.5]
        rule.update(Signals(losses))
    expected = torch.softmax(row(1 / 3 / 2, 1 / 2), 0)  # means 3 and 1, then 1 and 1
    assert torch.allclose(rule.weights(), expected, rtol=1e-12, atol=0)
    rule.update(Signals(row(100, 1)))
    assert torch.allclose(rule.weights(), expected, rtol=1e-12, atol=0), "within a window nothing moves"
    rule.update(Signals(row(100, 1)))
    assert rule.weights().tolist() == pytest.approx([1, 0], abs=1e-12)  # 100 times the window before


def test_dwa_follows_torchjd_whose_weights_sum_to_n() -> None:
    ours, theirs = DynamicWeightAverage(3, window=3, temperature=0.7), scalarization.DWA(0.7)
    draws = torch.rand(12, 3, dtype=torch.float64, generator=generator(0, "losses")) + 0.1
    for step, losses in enumerate(draws):
        assert torch.allclose(ours.weights(), gradient(theirs, losses) / 3, rtol=1e-12, atol=0)
        ours.update(Signals(losses))
        if step % 3 == 2:
            theirs.step()


def test_dwa_reads_ratios_only_and_is_uniform_where_they_agree() -> None:
    first, scaled, agreeing = (DynamicWeightAverage(3, window=1, temperature=2.0) for _ in range(3))
    for losses in (row(3, 2, 1), row(1, 2, 3)):
        first.update(Signals(losses))
        scaled.update(Signals(losses * row(1, 10, 1000)))
    for factor in (1.0, 0.25):
        agreeing.update(Signals(factor * row(3, 2, 1)))
    assert torch.allclose(first.weights(), scaled.weights(), rtol=1e-12, atol=0)
    assert first.weights()[0] < first.weights()[1] < first.weights()[2]
    assert agreeing.weights().tolist() == [1 / 3] * 3


def test_famo_by_hand() -> None:
    rule = FAMO(2, beta=0.4, gamma=0.5, bounds=[0.0, 1.0])
    rule.xi = row(0.3, -0.3)
    z = torch.softmax(row(0.3, -0.3), 0)
    rule.update(Signals(row(4, 2), losses_after=row(2, 3)))
    # The logs fall by log 2 and -log 2, so J_z d = 2 z_1 z_2 log 2 (1, -1).
    step = 0.4 * (2 * z[0] * z[1] * row(2).log() * row(1, -1) + 0.5 * row(0.3, -0.3))
    assert torch.allclose(rule.xi, row(0.3, -0.3) - step, rtol=1e-12, atol=0)
    z = torch.softmax(rule.xi, 0)
    raw = z / row(2, 3 - 1)
    assert torch.allclose(rule.weights(), raw / raw.sum(), rtol=1e-12, atol=0)


def test_famo_follows_torchjd_when_that_takes_plain_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    # Differences: torchjd hands its step to Adam, as the paper's code does; it sees the losses before its
    # first weights, which are ours equal ones; and it adds 1e-8 to every loss.
    monkeypatch.setattr("torchjd.scalarization._famo.Adam", torch.optim.SGD)
    ours = FAMO(3, beta=2.0, gamma=0.1, bounds=[0.0, 0.1, 0.2])
    theirs = scalarization.FAMO(3, min_losses=row(0, 0.1, 0.2), lr=2.0, weight_decay=0.1).double()
    draws = torch.rand(12, 3, dtype=torch.float64, generator=generator(0, "losses")) + 0.3
    assert ours.weights().tolist() == [1 / 3] * 3
    for step, (before, after) in enumerate(pairwise(draws)):
        weights = gradient(theirs, before)
        assert step == 0 or torch.allclose(ours.weights(), weights, rtol=1e-6, atol=0)
        theirs.update(after)
        ours.update(Signals(before, losses_after=after))


def test_famo_makes_the_logarithms_fall_at_one_pace() -> None:
    # L_i = a_i x_i^2 / 2 under x_i <- x_i - lr s_i a_i x_i: the factors agree where s_i is proportional to 1 / a_i.
    curvature, lr = row(1, 2, 5), 0.05
    x = (2 / curvature).sqrt()
    rule = FAMO(3, beta=20.0, gamma=0.0, bounds=[])
    for _ in range(1000):
        before = curvature * x * x / 2
        x = x - lr * rule.weights() * curvature * x
        rule.update(Signals(before, losses_after=curvature * x * x / 2))
    assert torch.allclose(rule.weights(), (1 / curvature) / (1 / curvature).sum(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("value", [-0.5, 0.0, float("nan"), float("inf")])
def test_a_loss_that_is_not_positive_is_named(value: float) -> None:
    good, bad, message = row(1, 2, 3), row(1, value, 3), rf"term 1 .*above 0\.0, got {value}"
    famo = FAMO(3, beta=1.0, gamma=0.0, bounds=[])
    rules: list[Weighting] = [famo, Uncertainty(3, rate=0.1), DynamicWeightAverage(3, window=1, temperature=2.0)]
    for rule in rules:
        with pytest.raises(ArithmeticError, match=message):
            rule.update(Signals(bad, losses_after=good))
    with pytest.raises(ArithmeticError, match=message):
        famo.update(Signals(good, losses_after=bad))


def test_famo_names_the_bound_that_was_met_and_bounds_that_do_not_fit() -> None:
    with pytest.raises(ArithmeticError, match=r"term 2 .*above 3\.0, got 3\.0"):
        FAMO(3, beta=1, gamma=0, bounds=[0, 0, 3]).update(Signals(row(1, 2, 3), losses_after=row(1, 2, 4)))
    with pytest.raises(RequestError, match=r"bounds: expected 2, .*got 3"):
        Rule(FAMO, {"beta": 1, "gamma": 0, "bounds": [0, 0, 0]}).build("ab", 0, "continued", GIVES)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_losses_around_a_step_drop_the_same_units(dropout: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a body that does not move they are equal, and FAMO then learns nothing."""
    seen: list[Signals] = []
    monkeypatch.setattr(FAMO, "update", lambda _, signals: seen.append(signals))
    problem, still = NetworkProblem(dropout=dropout), continued()
    still = still.model_copy(update={"optimiser": still.optimiser.model_copy(update={"lr": 0.0})})
    rule = Rule(FAMO, {"beta": 0.1, "gamma": 0.0, "bounds": []})
    Continued(still, rule).run(problem, start_of(problem), Uninterrupted())
    assert len(seen) == 5
    for signals in seen:
        assert torch.equal(signals.require("losses_after"), signals.losses)


def test_a_trajectory_ends_with_the_weights_that_the_run_has_learned() -> None:
    """Each row has the weights that follow from its losses."""
    problem, rule = NetworkProblem(), Rule(Uncertainty, {"rate": 0.05})
    rows = Continued(continued(), rule).run(problem, start_of(problem), Uninterrupted()).log["trajectory"]
    again = rule.build(problem.objectives, 0, "", GIVES)
    for weights, losses in zip(rows["weights"], rows["losses"], strict=True):
        again.update(Signals(row(*losses)))
        assert weights == again.weights().tolist()
