"""The weighting rules, on numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.stages.optimiser import factor
from methods.weighting.fixed import Fixed
from methods.weighting.normalise import RunningScale
from methods.weighting.rule import Signals
from methods.weighting.tapweight import TapWeight

NO_LOSS = torch.zeros(2, dtype=torch.float64)
finite = st.floats(-5, 5, allow_nan=False)


def test_fixed_is_uniform() -> None:
    assert Fixed(5).weights().tolist() == [0.2] * 5


def test_one_step_by_hand() -> None:
    # s = (1/2, 1/2), q = (1, 0): J_s q = (1/4, -1/4), so alpha = 1 +- eta/4.
    rule = TapWeight(2, eta=0.4)
    rule.update(Signals(NO_LOSS, alignment=torch.tensor([1.0, 0.0], dtype=torch.float64)))
    assert rule.alpha.tolist() == pytest.approx([1.1, 0.9])
    assert rule.weights()[0] == pytest.approx(1 / (1 + math.exp(-0.2)))


def test_an_idle_objective_absorbs_weight_when_the_others_hurt() -> None:
    # An objective without gradient (q = 0) beside ones with negative q: the released code's fifth slot.
    rule = TapWeight(3, eta=0.3)
    rule.update(Signals(torch.zeros(3), alignment=torch.tensor([-1.0, -1.0, 0.0], dtype=torch.float64)))
    assert rule.weights().argmax() == 2


@given(st.lists(finite, min_size=2, max_size=6), st.floats(0, 3))
def test_simplex_sum_and_permutation(q: list[float], eta: float) -> None:
    values = torch.tensor(q, dtype=torch.float64)
    rule, turned = TapWeight(len(q), eta=eta), TapWeight(len(q), eta=eta)
    rule.update(Signals(values, alignment=values))
    turned.update(Signals(values.flip(0), alignment=values.flip(0)))
    assert abs(float(rule.weights().sum()) - 1) < 1e-12
    assert abs(float((rule.alpha - 1).sum())) < 1e-9
    assert torch.allclose(rule.weights().flip(0), turned.weights(), atol=1e-12)


def test_the_running_scale_makes_the_step_independent_of_the_unit() -> None:
    small, large = TapWeight(2, eta=0.1, alignment="ema"), TapWeight(2, eta=0.1, alignment="ema")
    for row in ([1.0, -2.0], [0.5, 0.1]):
        q = torch.tensor(row, dtype=torch.float64)
        small.update(Signals(q, alignment=q / 1000))
        large.update(Signals(q, alignment=q * 1000))
    assert torch.allclose(small.alpha, large.alpha)
    first = RunningScale(0.9)(torch.tensor([3.0, 4.0], dtype=torch.float64))
    assert first.tolist() == pytest.approx([3 / math.sqrt(12.5), 4 / math.sqrt(12.5)])


def test_saved_and_restored_rules_go_on_with_the_same_bits() -> None:
    rule = TapWeight(2, eta=0.1, alignment="ema", ema_decay=0.5)
    q = torch.tensor([0.3, -0.2], dtype=torch.float64)
    rule.update(Signals(q, alignment=q))
    other = TapWeight(2, eta=0.1, alignment="ema", ema_decay=0.5)
    other.load_state_dict(rule.state_dict())
    rule.update(Signals(q, alignment=2 * q))
    other.update(Signals(q, alignment=2 * q))
    assert torch.equal(rule.alpha, other.alpha)


def test_a_rule_says_which_signal_is_missing() -> None:
    with pytest.raises(ValueError, match="alignment"):
        TapWeight(2, eta=0.1).update(Signals(NO_LOSS))


def test_schedules() -> None:
    assert [factor("constant", k, 10) for k in (0, 9)] == [1, 1]
    assert factor("cosine", 5, 10) == pytest.approx(0.5)
    assert [factor("linear", k, 10) for k in (0, 5, 9)] == pytest.approx([1, 0.5, 0.1])
    assert [factor("linear", k, 12, warmup=1 / 6) for k in (0, 1, 2, 7)] == pytest.approx([0.5, 1, 1, 0.5])
    assert factor("constant", 0, 10, warmup=0.2) == pytest.approx(0.5)
    # The released StepLR(100, 0.9) over 3,000 steps.
    assert factor("step", 99, 3000) == 1
    assert factor("step", 100, 3000) == pytest.approx(0.9)
    assert factor("step", 2999, 3000) == pytest.approx(0.9**29)
