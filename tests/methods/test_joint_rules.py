"""The rules of joint training on numbers worked out by hand; the end task is the last term."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from methods.weighting.autolambda import FLOOR, AutoLambda
from methods.weighting.gradcos import GradCos
from methods.weighting.metatartan import MetaTartan
from methods.weighting.olaux import OlAux
from methods.weighting.rule import Signals, Weighting

RULES: dict[str, Callable[[int], Weighting]] = {
    "meta-tartan": lambda n: MetaTartan(n, eta=0.3),
    "meta-tartan-dot": lambda n: MetaTartan(n, eta=0.3, score="dot", order="before", jacobian=True),
    "gradcos": GradCos,
    "ol-aux": lambda n: OlAux(n, alpha=0.1, beta=2.0, interval=2),
    "autolambda": lambda n: AutoLambda(n, rate=0.05),
}
each_rule = pytest.mark.parametrize("name", RULES)
entries = st.floats(-3, 3).map(lambda value: round(value, 3))


def vector(values: Iterable[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)


def signals(rows: Sequence[Sequence[float]], v: Sequence[float]) -> Signals:
    """What a stage measures of explicit gradients, one row for each term, and a validation gradient."""
    gradients, along = vector([]).new_tensor(rows), vector(v)
    q = gradients @ along
    cosine = q / (gradients.norm(dim=1) * along.norm() + 1e-8)
    return Signals(q * float("nan"), gramian=gradients @ gradients.T, alignment=q, cosine=cosine, lookahead=q)


def test_meta_tartan_by_hand() -> None:
    # v = (1, 0); g = (0, 2), (3, 4), (5, 0): cosines 0, 0.6, 1, products 0, 3, 5.
    seen = signals([[0, 2], [3, 4], [5, 0]], [1, 0])
    rule = MetaTartan(3, eta=0.5)
    assert rule.weights().tolist() == pytest.approx([1 / 3] * 3)
    rule.update(seen)
    assert rule.w.tolist() == pytest.approx([0, 0.3, 0.5], abs=1e-8)
    total = 1 + math.exp(0.3) + math.exp(0.5)
    assert rule.weights().tolist() == pytest.approx([1 / total, math.exp(0.3) / total, math.exp(0.5) / total])
    product = MetaTartan(3, eta=0.5, score="dot")
    product.update(seen)
    assert product.w.tolist() == pytest.approx([0, 1.5, 2.5])
    # With the softmax's Jacobian: s (q - mean) = (0 - 8/3, 3 - 8/3, 5 - 8/3) / 3.
    through = MetaTartan(3, eta=0.5, score="dot", jacobian=True)
    through.update(seen)
    assert through.w.tolist() == pytest.approx([-4 / 9, 1 / 18, 7 / 18])
    assert abs(through.w.sum()) < 1e-12


@given(st.lists(st.lists(st.floats(-1, 1), min_size=3, max_size=3), min_size=1, max_size=8), st.floats(0.01, 1))
def test_meta_tartan_sums_its_cosines(rows: list[list[float]], eta: float) -> None:
    rule = MetaTartan(3, eta=eta)
    for row in rows:
        rule.update(Signals(vector(row), cosine=vector(row)))
    assert torch.allclose(rule.w, eta * vector([]).new_tensor(rows).sum(0), atol=1e-12)
    assert rule.w.abs().max() <= eta * len(rows) + 1e-12


def test_equal_cosines_keep_meta_tartan_uniform() -> None:
    rule = MetaTartan(4, eta=0.7)
    for value in (0.3, -0.9, 1.0):
        rule.update(Signals(vector([0] * 4), cosine=vector([value] * 4)))
    assert rule.weights().tolist() == pytest.approx([0.25] * 4, abs=1e-15)


def test_meta_tartan_declares_what_it_reads_and_when() -> None:
    assert MetaTartan(2, eta=1).needs == {"cosine"}
    assert MetaTartan(2, eta=1, score="dot").needs == {"alignment"}
    assert not MetaTartan(2, eta=1).before_step
    assert MetaTartan(2, eta=1, order="before").before_step


def test_gradcos_by_hand() -> None:
    # g_* = (2, 0); cosines 0.6, -1, 0: an objective that opposes the end task waits, one at a right angle too.
    rule = GradCos(4)
    rule.update(signals([[3, 4], [-1, 0], [0, 7], [2, 0]], [0, 0]))
    assert rule.weights().tolist() == pytest.approx([0.6 / 1.6, 0, 0, 1 / 1.6])
    rule.update(signals([[-1, 0], [-1, 0], [0, 0], [2, 0]], [0, 0]))  # one without a gradient: no NaN
    assert rule.weights().tolist() == [0, 0, 0, 1]


def test_ol_aux_by_hand() -> None:
    # g_* . g_i of two steps: (3, -1) and (1, -5); alpha beta = 0.2, so w = (1 + 0.8, max(0, 1 - 1.2)).
    rule = OlAux(3, alpha=0.1, beta=2.0, interval=2)
    rule.update(signals([[3, 0], [-1, 1], [1, 0]], [0, 0]))
    assert rule.weights().tolist() == pytest.approx([1 / 3] * 3), "the interval is not full"
    rule.update(signals([[1, 1], [-5, 0], [1, 0]], [0, 0]))
    assert rule.weights().tolist() == pytest.approx([1.8 / 2.8, 0, 1 / 2.8])
    rule.update(signals([[1, 1], [5, 0], [1, 0]], [0, 0]))
    rule.update(signals([[0, 1], [0, 0], [1, 0]], [0, 0]))  # the sum starts anew: w = (1.8 + 0.2, 0 + 1)
    assert rule.weights().tolist() == pytest.approx([2 / 4, 1 / 4, 1 / 4])
    for _ in range(2):  # at half the body's learning rate: w = (2 + 0.2, 1)
        rule.update(replace(signals([[1, 1], [0, 0], [1, 0]], [0, 0]), decay=0.5))
    assert rule.weights().tolist() == pytest.approx([2.2 / 4.2, 1 / 4.2, 1 / 4.2])


def test_autolambda_equals_torchs_adam() -> None:
    draws = torch.Generator().manual_seed(0)
    rule, mine = AutoLambda(3, rate=0.01), torch.nn.Parameter(vector([0.1] * 3))
    adam = torch.optim.Adam([mine], lr=0.01)
    for step in range(8):
        q = torch.randn(3, generator=draws, dtype=torch.float64)
        mine.grad = -0.02 * (1 - step / 8) * q  # the body's learning rate: 0.02, which drops out, and its schedule
        adam.step()
        rule.update(Signals(q, lookahead=q, decay=1 - step / 8))
    # The two differ through epsilon alone.
    assert torch.allclose(rule.lambdas, mine.detach(), rtol=1e-5)
    assert torch.allclose(rule.weights(), mine.detach() / mine.detach().sum(), rtol=1e-5)


def test_autolambda_never_divides_by_zero() -> None:
    rule = AutoLambda(2, rate=1.0)
    rule.update(Signals(vector([0, 0]), lookahead=vector([-1, -2])))
    assert rule.lambdas.tolist() == [FLOOR, FLOOR]
    assert rule.weights().tolist() == [0.5, 0.5]


@each_rule
@given(
    rows=st.lists(st.tuples(entries, entries, entries), min_size=2, max_size=5),
    v=st.tuples(entries, entries, entries),
    steps=st.integers(1, 4),
)
def test_simplex_and_permutation(name: str, rows: list[tuple[float, ...]], v: tuple[float, ...], steps: int) -> None:
    rule, turned = RULES[name](len(rows)), RULES[name](len(rows))
    order = [*reversed(range(len(rows) - 1)), len(rows) - 1]  # objectives change places, the end task stays last
    for step in range(steps):
        moved = [[value + step for value in row] for row in rows]
        rule.update(signals(moved, v))
        turned.update(signals([moved[k] for k in order], v))
    s = rule.weights()
    assert s.dtype == torch.float64
    assert s.shape == (len(rows),)
    assert (s >= 0).all()
    assert abs(float(s.sum()) - 1) < 1e-12
    assert torch.allclose(s[order], turned.weights(), atol=1e-9)


@each_rule
def test_saved_and_restored_rules_go_on_with_the_same_bits(name: str) -> None:
    draws = torch.Generator().manual_seed(1)
    rows = [torch.randn(4, 3, generator=draws, dtype=torch.float64).tolist() for _ in range(6)]
    rule = RULES[name](4)
    for gradients in rows[:3]:
        rule.update(signals(gradients, [1, 2, 0]))
    file = io.BytesIO()
    torch.save(rule.state_dict(), file)
    file.seek(0)
    other = RULES[name](4)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other.weights(), rule.weights())
    for gradients in rows[3:]:
        for one in (rule, other):
            one.update(signals(gradients, [1, 2, 0]))
    assert torch.equal(rule.weights(), other.weights())
    assert not torch.equal(rule.weights(), RULES[name](4).weights())


@each_rule
def test_a_rule_says_which_signal_is_missing(name: str) -> None:
    rule = RULES[name](3)
    (need,) = rule.needs
    with pytest.raises(ValueError, match=need):
        rule.update(Signals(vector([1, 1, 1])))


def test_no_two_rules_agree() -> None:
    seen = signals([[1, 2, 0], [0, 1, -2], [2, 1, 1], [1, 1, 0]], [1, -0.5, 0.3])
    found = []
    for build in RULES.values():
        rule = build(4)
        for _ in range(4):
            rule.update(seen)
        found.append(tuple(round(value, 9) for value in rule.weights().tolist()))
    assert len(set(found)) == len(RULES)
