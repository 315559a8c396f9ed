"""What must hold exactly between runs of three levels, whatever the numbers are."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from methods.settings import ContinuedSettings, HypergradientSettings, OptimiserSettings
from methods.stage import Stage, StageResult
from methods.stages.bilevel import BiLevel
from methods.stages.continued import Continued
from methods.stages.trilevel import TriLevel
from methods.stages.upper import UpperLevel
from tasks.losses import pairwise_loss
from tasks.problem import Problem
from tests.methods.analytic import Uninterrupted, start_of
from tests.methods.networks import NAMES, NetworkProblem, continued, three_levels, two_levels

METHODS = HypergradientSettings.model_fields["name"].annotation.__args__  # type: ignore[union-attr]
POINTS = [(name, point) for name in METHODS for point in ("post", "pre") if (name, point) != ("one-sided", "post")]


def learn(problem: Problem, one: ContinuedSettings | None = None, **changes: Any) -> StageResult:
    stage = TriLevel(one or continued(), three_levels(**changes), "val")
    stage.validate(problem.spec)
    return stage.run(problem, start_of(problem), Uninterrupted())


def same(a: Any, b: Any) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def rows_of(result: StageResult, name: str) -> Tensor:
    return torch.tensor(result.log["trajectory"][name], dtype=torch.float64)


@pytest.mark.parametrize(("name", "point"), POINTS)
def test_without_a_rate_the_body_is_that_of_cp_bit_for_bit(name: str, point: str) -> None:
    problem = NetworkProblem(norm=True)
    cp = Continued(continued(4)).run(problem, start_of(problem), Uninterrupted())
    still = learn(problem, continued(4), rate=0.0, point=point, hypergradient={"name": name})
    assert len(still.log["trajectory"]["weights"]) == (4 if point == "post" else 3)
    assert same(cp.weights["encoder"], still.weights["encoder"])
    assert same(cp.weights["heads"], still.weights["heads"])


@pytest.mark.parametrize("point", ["post", "pre"])
def test_without_a_rate_omega_depends_on_no_probe(point: str) -> None:
    """The same number of its steps too: the last one as well."""
    problem = NetworkProblem(norm=True)
    alone = learn(problem, rate=0.0, unroll_two=1000).models["omega"]
    probed = learn(problem, rate=0.0, point=point).models["omega"]
    assert same(alone.encoder, probed.encoder)
    assert same(alone.head, probed.head)


@pytest.mark.parametrize(
    ("alignment", "name"), [("raw", "forward"), ("raw", "backward"), ("ema", "forward"), ("cosine", "backward")]
)
@pytest.mark.parametrize("levels", [2, 3])
def test_permuting_the_objectives_permutes_the_weights(levels: int, alignment: str, name: str) -> None:
    order = (2, 0, 1)
    found = []
    for names in (NAMES[:3], [NAMES[k] for k in order]):
        problem = NetworkProblem(names)
        change: dict[str, Any] = {"rate": 5.0, "alignment": alignment, "hypergradient": {"name": name}}
        stage: Stage = (
            TriLevel(continued(), three_levels(**change), "val")
            if levels == 3 else BiLevel(continued(), two_levels(**change), "val")
        )  # fmt: skip
        found.append(rows_of(stage.run(problem, start_of(problem), Uninterrupted()), "weights"))
    assert (found[0][-1] - 1 / 3).abs().max() > 0.02
    assert torch.allclose(found[0][:, order], found[1], rtol=0, atol=1e-12)


def test_the_step_on_alpha_is_the_closed_form_and_sums_to_zero() -> None:
    result = learn(NetworkProblem(), rate=5.0)
    alpha = torch.ones(3, dtype=torch.float64)
    for q, weights in zip(rows_of(result, "alignment"), rows_of(result, "weights"), strict=True):
        s = torch.softmax(alpha, 0)
        step = 5.0 * s * (q - s @ q)
        assert abs(float(step.sum())) < 1e-15
        alpha = alpha + step
        assert torch.allclose(torch.softmax(alpha, 0), weights, rtol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_an_idle_objective_absorbs_weight_as_the_others_hurt(name: str) -> None:
    """q_3 = 0, so the gradient of its alpha is 2 gamma s_3 sum_k s_k v . g_k (eta = 2 gamma lr)."""
    eta, point = 0.7, "pre" if name == "one-sided" else "post"
    result = learn(
        NetworkProblem(), continued(2), idle=("third",), rate=eta, point=point, hypergradient={"name": name}
    )  # fmt: skip
    q, weights = rows_of(result, "alignment")[0], rows_of(result, "weights")[0]
    assert rows_of(result, "losses")[0, 2] == 0
    assert q[2] == 0
    assert q[:2].abs().min() > 0
    s = torch.full((3,), 1 / 3, dtype=torch.float64)
    alpha = torch.ones(3, dtype=torch.float64) + eta * s * (q - s @ q)
    alpha[2] = 1 - eta * s[2] * (s @ q)
    assert torch.allclose(torch.softmax(alpha, 0), weights, rtol=1e-12)


def test_an_idle_objective_slows_the_others_and_removing_it_gives_the_formula_of_those_left() -> None:
    """Level I moves by 2/3 of the step that it takes without the slot; at one and a half times the rate the q agree."""

    def run(names: tuple[str, ...], lr: float, **changes: Any) -> StageResult:
        sgd = OptimiserSettings(name="sgd", lr=lr, weight_decay=0.0, schedule="constant")
        return learn(NetworkProblem(names), ContinuedSettings(steps=1, batch=8, optimiser=sgd), **changes)

    without, slotted = run(NAMES[:2], 0.1), run(NAMES[:3], 0.15, idle=("third",))
    for name, tensor in without.weights["encoder"].items():
        assert torch.allclose(slotted.weights["encoder"][name], tensor, rtol=1e-12)
    assert torch.equal(slotted.weights["heads"]["third.weight"], NetworkProblem().objective_heads()["third"].weight)
    q = rows_of(without, "alignment")[0]
    assert torch.allclose(rows_of(slotted, "alignment")[0, :2], q, rtol=1e-12)
    step = 0.5 * (q[0] - q[1]) / 4  # of alpha_1, and less that of alpha_2
    assert torch.allclose(rows_of(without, "weights")[0, 0], torch.sigmoid(2 * step), rtol=1e-12)


def test_levels_move_at_their_turns_on_the_newest_batches() -> None:
    """unroll 2 and 2: level II after steps 2, 4, 6, 8 of level I, level III after steps 4 and 8."""
    problem = NetworkProblem()
    changes: dict[str, Any] = {"unroll_one": 2, "unroll_two": 2, "rate": 0.0}
    result = learn(problem, continued(8), hypergradient={"name": "neumann", "step": 0.1}, **changes)
    assert result.log["trajectory"]["steps"] == [4, 8]
    assert problem.streams["continued"].asked == [0, *range(8)]  # the first also for the check of slopes
    assert problem.streams["level II"].asked == [0, 1, 1, 2, 3, 3]  # twice where level III asks for H_II
    assert problem.streams["level III"].asked == [0, 1]
    each = Continued(continued(8)).run(problem, start_of(problem), Uninterrupted()).log["trajectory"]["losses"]
    assert result.log["trajectory"]["losses"] == [each[3], each[7]]
    before = learn(problem, continued(8), point="pre", **changes)
    assert before.log["trajectory"]["steps"] == [4]
    assert problem.streams["level II"].asked == [0, 1, 2, 3]
    assert problem.streams["level III"].asked == [0]
    assert before.log["trajectory"]["losses"] == [each[4]]


@pytest.mark.parametrize("levels", [2, 3])
def test_the_log_has_the_norm_of_the_validation_gradient(monkeypatch: pytest.MonkeyPatch, levels: int) -> None:
    before, norms = UpperLevel.gradient, list[float]()

    def gradient(*given: Any) -> Any:
        v = before(*given)
        body = [tensor.reshape(-1) for name, tensor in v.items() if name.startswith("encoder.")]
        assert len(body) < len(v), "the head is no part of it"
        norms.append(torch.cat(body).norm().item())
        return v

    monkeypatch.setattr(UpperLevel, "gradient", gradient)
    problem = NetworkProblem()
    stage = TriLevel(continued(4), three_levels(), "val") if levels == 3 else BiLevel(continued(4), two_levels(), "val")
    logged = stage.run(problem, start_of(problem), Uninterrupted()).log["trajectory"]["gradient_norm"]
    assert logged == pytest.approx(norms)
    assert len(set(logged)) > 1


def test_points_differ_in_the_batch_that_is_probed_alone() -> None:
    """Without noise every batch is the same: one sequence of weights, less its last, which would serve no step."""
    changes: dict[str, Any] = {"unroll_one": 2, "rate": 5.0}
    post, pre = (
        learn(NetworkProblem(noise=False), continued(8), point=point, **changes) for point in ("post", "pre")
    )  # fmt: skip
    assert post.log["trajectory"]["steps"] == [2, 4, 6, 8]
    assert pre.log["trajectory"]["steps"] == [2, 4, 6]
    assert torch.allclose(rows_of(pre, "weights"), rows_of(post, "weights")[:3], rtol=1e-12)
    assert all(torch.allclose(pre.weights["encoder"][n], t, rtol=1e-10) for n, t in post.weights["encoder"].items())
    assert all(
        torch.allclose(pre.models["omega"].encoder[n], t, rtol=1e-10) for n, t in post.models["omega"].encoder.items()
    )
    noisy = [learn(NetworkProblem(), continued(8), point=point, **changes) for point in ("post", "pre")]
    assert not torch.allclose(rows_of(noisy[1], "weights"), rows_of(noisy[0], "weights")[:3], rtol=1e-3)


def test_the_one_sided_difference_costs_one_pass_more() -> None:
    """At point "pre" the training pass of that batch is its base, masks included: other masks would drown q."""
    problem, passes = NetworkProblem(dropout=0.3), []
    original = problem.objective_terms
    problem.objective_terms = lambda *given: passes.append(1) or original(*given)  # type: ignore[method-assign, func-returns-value]
    options: dict[str, Any] = {"point": "pre", "rate": 0.0}
    found = []
    for scheme in ({"name": "backward"}, {"name": "one-sided", "radius": 1e-5}):
        passes.clear()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(4)
            found.append(rows_of(learn(problem, continued(6), hypergradient=scheme, **options), "alignment"))
        assert len(passes) == 1 + 6 + 5  # the check of slopes, six steps, five moves of the weights
    assert torch.allclose(found[1], found[0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("point", ["post", "pre"])
def test_probes_see_the_masks_of_the_training_pass(point: str) -> None:
    """The losses at the probe's point are those that the training pass on that batch and point has given."""
    problem, seen = NetworkProblem(dropout=0.5), []
    original = UpperLevel.move

    def spied(self: UpperLevel, probe: Any, losses: Tensor, *arguments: Any) -> None:
        seen.append((probe.losses(probe.theta), losses))
        original(self, probe, losses, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UpperLevel, "move", spied)
        still = OptimiserSettings(name="sgd", lr=0.0, weight_decay=0.0, schedule="constant")  # theta does not move
        learn(problem, ContinuedSettings(steps=4, batch=8, optimiser=still), point=point)
    assert len(seen) >= 3
    assert all(torch.equal(probed, trained) for probed, trained in seen)


def test_cosine_is_q_over_the_norms() -> None:
    """After one step, recomputed from theta and omega as they are handed on."""
    problem = NetworkProblem()
    result = learn(problem, continued(1), alignment="cosine", rate=0.9, hypergradient={"name": "backward"})
    theta, heads, omega, head = (
        problem.encoder(), problem.objective_heads(), problem.encoder(), problem.downstream_head()
    )  # fmt: skip
    theta.load_state_dict(dict(result.weights["encoder"]))
    heads.load_state_dict(dict(result.weights["heads"]))
    omega.load_state_dict(dict(result.models["omega"].encoder))
    head.load_state_dict(dict(result.models["omega"].head))
    val, corpus = problem.streams["level III"].batch(0), problem.streams["continued"].batch(0)
    v = flat(torch.autograd.grad(problem.downstream_loss(omega, head, val), list(omega.parameters())))
    losses = problem.objective_losses(theta, heads, corpus)
    g = [flat(torch.autograd.grad(loss, list(theta.parameters()), retain_graph=True)) for loss in losses]
    q = torch.stack([v @ one for one in g])
    assert torch.allclose(rows_of(result, "alignment")[0], q, rtol=1e-10)
    cosine = q / (v.norm() * torch.stack([one.norm() for one in g]))
    alpha = torch.ones(3, dtype=torch.float64) + 0.9 / 3 * (cosine - cosine.mean())
    assert torch.allclose(rows_of(result, "weights")[0], torch.softmax(alpha, 0), rtol=1e-6)


@pytest.mark.parametrize("levels", [2, 3])
def test_the_cosine_takes_no_pass_more_than_q(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The q that the log has and the cosine that moves the weights are from the same gradients."""
    gradient, passes, found = torch.autograd.grad, list[str](), []

    class Counted(NetworkProblem):
        def objective_terms(self, *given: Any) -> list[Tensor]:
            passes.append("forward")
            return super().objective_terms(*given)

    def counted(*given: Any, **named: Any) -> Any:
        passes.append("backward")
        return gradient(*given, **named)

    monkeypatch.setattr(torch.autograd, "grad", counted)
    for alignment in ("raw", "cosine"):
        problem, change = Counted(), {"alignment": alignment, "hypergradient": {"name": "backward"}}
        stage: Stage = (
            TriLevel(continued(1), three_levels(**change), "val")
            if levels == 3 else BiLevel(continued(1), two_levels(**change), "val")
        )  # fmt: skip
        passes.clear()
        result = stage.run(problem, start_of(problem), Uninterrupted())
        found.append((list(passes), rows_of(result, "alignment"), rows_of(result, "weights")))
    raw, cosine = found
    assert raw[0] == cosine[0]
    assert raw[0][-3:] == ["backward"] * 3
    assert torch.equal(raw[1], cosine[1])
    assert not torch.allclose(raw[2], cosine[2], rtol=1e-3)


def flat(parts: Any) -> Tensor:
    return torch.cat([part.flatten() for part in parts])


def test_ema_divides_by_a_running_scale_of_the_raw_q_that_is_logged() -> None:
    result = learn(NetworkProblem(), alignment="ema", ema_decay=0.5, rate=0.3)
    alpha, square = torch.ones(3, dtype=torch.float64), None
    for q, weights in zip(rows_of(result, "alignment"), rows_of(result, "weights"), strict=True):
        now = float((q**2).mean())
        square = now if square is None else 0.5 * square + 0.5 * now
        s, scaled = torch.softmax(alpha, 0), q / square**0.5
        alpha = alpha + 0.3 * s * (scaled - s @ scaled)
        assert torch.allclose(torch.softmax(alpha, 0), weights, rtol=1e-12)


def test_the_step_schedule_of_alpha_is_that_of_the_step_just_taken() -> None:
    """60 steps: the rate falls to 0.9 of itself every second step, first after two."""
    problem = NetworkProblem()
    result = learn(problem, continued(60), rate_schedule="step", rate=0.1)
    alpha = torch.ones(3, dtype=torch.float64)
    for index, (q, weights) in enumerate(zip(rows_of(result, "alignment"), rows_of(result, "weights"), strict=True)):
        s = torch.softmax(alpha, 0)
        alpha = alpha + 0.1 * 0.9 ** (index // 2) * s * (q - s @ q)
        assert torch.allclose(torch.softmax(alpha, 0), weights, rtol=1e-10)


def test_the_pairwise_loss_by_hand_and_its_gradient_without_offset() -> None:
    labels = torch.tensor([[2.0], [1.0], [1.0]])
    found = [pairwise_loss(torch.tensor([[2.0], [-1.0], [3.0]]) + offset, labels) for offset in (0.0, 8.0, -300.0)]
    # Two pairs: the first above the second by 3, above the third by -1.
    assert found == [pytest.approx((math.log1p(math.exp(-3)) + math.log1p(math.exp(1))) / 2, rel=1e-5)] * 3
    problem = NetworkProblem()
    encoder, head, batch = problem.encoder(), problem.downstream_head(), problem.stream("val", 8, "test").batch(0)
    v = {}
    for loss in ("published", "pairwise"):
        upper = UpperLevel(problem, three_levels(loss=loss), "tri-level")
        v[loss] = upper.gradient(encoder, head, batch, 0)
    assert v["pairwise"]["head.bias"].abs() < 1e-15
    assert v["published"]["head.bias"].abs() > 1e-3
    assert v["pairwise"]["encoder.first.weight"].norm() > 1e-3
    learned = [rows_of(learn(NetworkProblem(), loss=loss, rate=5.0), "weights") for loss in ("published", "pairwise")]
    assert not torch.allclose(*learned, rtol=1e-3)


@pytest.fixture
def graphs() -> Iterator[Callable[[], int]]:
    """Count the tensors that hold a graph, of those that came up since."""

    def count() -> int:
        gc.collect()
        return sum(1 for one in gc.get_objects() if issubclass(type(one), Tensor) and one.grad_fn is not None)

    gc.collect()
    gc.freeze()  # what is there already is neither searched nor counted
    yield count
    gc.unfreeze()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("levels", [2, 3])
def test_no_second_graph_is_kept(
    levels: int, name: str, graphs: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe leaves none behind, and at point "post" no training pass waits for its weights meanwhile."""
    alive: list[tuple[int, int]] = []
    original, point = UpperLevel.move, "pre" if name == "one-sided" and levels == 3 else "post"

    def spied(self: UpperLevel, *arguments: Any) -> None:
        before = graphs()
        original(self, *arguments)
        alive.append((before, graphs()))

    monkeypatch.setattr(UpperLevel, "move", spied)
    problem, scheme = NetworkProblem(norm=True), {"hypergradient": {"name": name}}
    if levels == 3:
        learn(problem, continued(3), point=point, **scheme)
    else:
        stage = BiLevel(continued(3), two_levels(**scheme), "val")
        stage.run(problem, start_of(problem), Uninterrupted())
    assert graphs() == 0
    assert all(before == after for before, after in alive)
    assert {before > 0 for before, _ in alive} == {point == "pre"}
