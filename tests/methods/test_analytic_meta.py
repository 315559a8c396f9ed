"""META-TARTAN with the head of its own that it ships, nulls, and two variants of TapWeight, on quadratics.

Each against a second implementation in numpy, and where it rests. Letters as in ``tasks.analytic.exact``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tasks.analytic import exact
from tasks.analytic.exact import BiLevel, EndTask
from tasks.analytic.problem import SCATTER
from tasks.analytic.quadratic import Array, D, K, quadratic
from tasks.problem import Problem, Source
from tasks.randomness import generator
from tests.methods.analytic import GAMMA, Run, built, levels

both = pytest.mark.parametrize("name", ["isotropic", "skewed"])
HELPFUL, PARTLY, USELESS, HARMFUL, END = range(5)
EPSILON = 1e-8  # of the denominators of cosines and of Adam
BODY_RATE, ETA = 0.3, 0.05
SIZES = {"continued__batch": 64, "tartan__batch": 20, "tartan__validation_batch": 24, "tartan__meta_batch": 16}
ALONG_COSINES: dict[str, Any] = {"tapweight__alignment": "cosine", "tapweight__hypergradient__name": "backward"}


def fresh(problem: Problem) -> Array:
    """(theta, phi) as a run starts from them."""
    parts = [*problem.encoder().parameters(), *problem.downstream_head().parameters()]
    return np.concatenate([part.detach().numpy() for part in parts])


def batches(problem: Problem, source: Source, size: int, purpose: str) -> Callable[[int], Any]:
    """Step -> the labelled batch of a stream as an end task, or of an unlabelled one its mean input."""
    stream = problem.stream(source, size, purpose)

    def batch(step: int) -> EndTask | Array:
        arrays = {key: value.numpy() for key, value in stream.batch(step).items()}
        return EndTask.of(arrays["inputs"], arrays["labels"]) if "labels" in arrays else arrays["inputs"].mean(0)

    return batch


def slopes(name: str, theta: Array, mean: Array) -> Array:
    """The gradients (n, d) of the objectives on a batch of unlabelled examples with that mean."""
    data = quadratic(name)
    centres = data.centres + SCATTER * np.stack([np.roll(mean, i) for i in range(len(data.centres))])
    return np.stack([A @ (theta - a) for A, a in zip(data.curvatures, centres, strict=True)])


def cosines(gradients: Array, v: Array) -> Array:
    found: Array = gradients @ v / (np.linalg.norm(gradients, axis=1) * np.linalg.norm(v) + EPSILON)
    return found


def softmax(raw: Array) -> Array:
    e = np.exp(raw - raw.max())
    found: Array = e / e.sum()
    return found


# --- META-TARTAN


def meta_head(sample: EndTask, theta: Array, phi: Array) -> tuple[Array, int]:
    """phi after at most ten steps of AdamW on a sample under the frozen theta, as TARTAN's code has it; the steps."""
    rate, decay, (one, two), tolerance = 1e-3, 0.1, (0.9, 0.98), 1e-3
    first, second, before = np.zeros_like(phi), np.zeros_like(phi), np.inf
    for t in range(1, 11):
        p = np.concatenate([theta, phi])
        if abs(before - sample.loss(p)) < tolerance:
            return phi, t - 1
        before, slope = sample.loss(p), sample.gradient(p)[D:]
        first, second = one * first + (1 - one) * slope, two * second + (1 - two) * slope**2
        phi = phi - rate * decay * phi  # decoupled: none of it enters the moments
        phi = phi - rate * (first / (1 - one**t)) / (np.sqrt(second / (1 - two**t)) + EPSILON)
    return phi, 10


def metatartan(name: str, seed: int, steps: int, validation: Source) -> tuple[Array, Array, Array]:
    """Algorithm 1 in the released order: old weights move body and head, then they move. The weights, p, head steps."""
    problem, (one, two, three, four) = built(name, seed)[0], SIZES.values()
    corpus, train = batches(problem, "corpus", one, "continued"), batches(problem, "train", two, "joint")
    val = batches(problem, validation, three, "validation gradient")
    samples = batches(problem, "train", four, "meta head")
    p = fresh(problem)
    phi, w, rows, taken = p[D:], np.zeros(5), [], []
    for step in range(steps):
        theta, s = p[:D], softmax(w)
        order = torch.randperm(len(phi), generator=generator(seed, "meta head", step)).numpy()
        trained, count = meta_head(samples(step), theta, phi[order])
        v = val(step).gradient(np.concatenate([theta, trained]))[:D]
        end = train(step).gradient(p)
        gradients = np.concatenate([slopes(name, theta, corpus(step)), end[None, :D]])
        # As shipped for the head: its gradient is clipped at 1, its rate rises over 6 % of the steps.
        of_head = s[-1] * end[D:]
        of_head = of_head * min(1.0, 1 / (np.linalg.norm(of_head) + 1e-6))
        rate = BODY_RATE * min(1.0, (step + 1) / round(0.06 * steps))
        p = p - np.concatenate([BODY_RATE * (s @ gradients), rate * of_head])
        w = w + ETA * cosines(gradients, v)
        rows.append(softmax(w))
        taken.append(count)
    return np.array(rows), p, np.array(taken)


@both
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("method", ["meta-tartan", "meta-tartan-null"])
def test_metatartan_equals_a_second_implementation(method: str, seed: int, name: str) -> None:
    """All of it as shipped: the meta head's optimiser, its steps, where it stops, the order of a step."""
    options = {"tartan__head__clip": 1.0, "tartan__head__warmup": 0.06, "tartan__eta": ETA}
    run = Run(method, name, seed, **{"continued__steps": 80} | SIZES | options)
    rows, p, taken = metatartan(name, seed, 80, "val-null" if method.endswith("null") else "val")
    np.testing.assert_allclose(run.rows(), rows, rtol=0, atol=1e-12)
    np.testing.assert_allclose(run.theta, p[:D], rtol=0, atol=1e-12)
    np.testing.assert_allclose(run.result.weights["head"]["phi"], p[D:], rtol=0, atol=1e-12)
    assert np.abs(run.weights - 0.2).max() > 0.05
    assert set(taken) >= ({1, 10} if seed else {10}), "one of the seeds has samples that a fresh head fits at once"


# --- where META-TARTAN and the nulls of joint training rest


def joint_rest(name: str, seed: int, *, null: bool, scores: Callable[..., Array]) -> Array:
    """The weights (5,) at which scores of the terms' gradients G are equal where a weight is left, no larger elsewhere.

    Body and head are at the optimum of these weights. As sum_k s_k g_k is 0 there, such scores are 0.
    """
    three, _ = levels(name, null_seed=seed if null else None)

    def slope(s: Array) -> Array:
        p = BiLevel(three.data, s[END], three.train, three.val).adapted(s[:END])
        gradients = [exact.objective_gradients(three.data, p[:D]), three.train.gradient(p)[None, :D]]
        found: Array = -scores(np.concatenate(gradients), p, three.train, three.val)
        return found

    return exact.settled(slope, 5, rate=0.3, tolerance=1e-5)


def metatartan_rest(name: str, seed: int, *, null: bool = False) -> Array:
    """Whole parts: of a step only the order of the fresh head's two numbers is drawn, so scores are the mean of two."""
    phi = fresh(built(name, seed)[0])[D:]

    def scores(gradients: Array, p: Array, train: EndTask, val: EndTask) -> Array:
        heads = [meta_head(train, p[:D], start)[0] for start in (phi, phi[::-1])]
        found = [cosines(gradients, val.gradient(np.concatenate([p[:D], head]))[:D]) for head in heads]
        mean: Array = np.mean(found, axis=0)
        return mean

    return joint_rest(name, seed, null=null, scores=scores)


def late(method: str, name: str, seed: int) -> Array:
    """The mean weights of the second half of a run: every step's meta head errs, so that they move about their rest."""
    mean: Array = Run(method, name, seed, continued__steps=300, tartan__eta=0.3).rows()[150:].mean(0)
    return mean


@both
def test_metatartan_rests_where_its_definition_says_and_prefers_what_helps(name: str) -> None:
    found = np.array([late("meta-tartan", name, seed) for seed in range(3)])
    np.testing.assert_allclose(found, [metatartan_rest(name, seed) for seed in range(3)], atol=0.03)
    mean = found.mean(0)
    assert mean[HELPFUL] > mean[HARMFUL] + 0.3
    assert mean[[USELESS, HARMFUL]].sum() < 0.01
    assert mean[END] < 0.5, "without the pathology of a shared head"


@both
def test_the_null_of_metatartan_rests_where_its_shuffled_labels_say(name: str) -> None:
    """These want outputs of 0, but v also holds the error of a meta head that ten steps cannot train."""
    found = late("meta-tartan-null", name, 1)
    np.testing.assert_allclose(found, metatartan_rest(name, 1, null=True), atol=0.03)
    assert found[HARMFUL] > 0.3


@pytest.mark.parametrize("seed", range(3))
def test_the_null_of_autolambda_rests_where_its_shuffled_labels_say(seed: int) -> None:
    """The look-ahead is of a step that vanishes: at rest v . g_k is 0 for all terms with a weight."""

    def alignments(gradients: Array, p: Array, _: EndTask, val: EndTask) -> Array:
        return np.asarray(gradients @ val.gradient(p)[:D])

    found = Run("autolambda-null", seed=seed, continued__steps=500, autolambda__rate=0.005).weights
    expected = joint_rest("isotropic", seed, null=True, scores=alignments)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert found[HARMFUL] > 0.4
    assert found[[HELPFUL, PARTLY]].sum() < 1e-3


# --- TapWeight along cosines, and with a pairwise loss


def pairwise_gradient(inputs: Array, labels: Array, p: Array) -> Array:
    """The gradient at p of the mean of log(1 + exp(-(o_a - o_b))) over all pairs with y_a > y_b, one by one."""
    f = np.concatenate([inputs, inputs[:, D - K :]], axis=1)
    found, count = np.zeros_like(p), 0
    for a in range(len(f)):
        below = f[labels[:, 0] < labels[a, 0]]
        apart = f[a] - below
        found -= (apart / (1 + np.exp(apart @ p))[:, None]).sum(0)
        count += len(below)
    return found / count


def tapweight(name: str, steps: int, rate: float, pairwise: bool, unroll: int, post: bool) -> tuple[Array, Array]:
    """The weights after each update, and omega with its head at the end."""
    problem, _ = built(name)
    corpus, train = batches(problem, "corpus", 64, "continued"), batches(problem, "train", 20, "level II")
    val, raw = batches(problem, "val", 24, "level III"), problem.stream("val", 24, "level III")
    q = fresh(problem)
    theta, alpha, rows = q[:D], np.ones(4), []
    for step in range(steps):
        theta = theta - BODY_RATE * softmax(alpha) @ slopes(name, theta, corpus(step))
        if (step + 1) % unroll:
            continue
        turn = (step + 1) // unroll - 1
        slope = train(turn).gradient(q)
        slope[:D] += 2 * GAMMA * (q[:D] - theta)
        q = q - BODY_RATE * slope
        if not post and step + 1 == steps:
            break  # no batch to come
        gradients = slopes(name, theta, corpus(step if post else step + 1))
        if pairwise:
            batch = raw.batch(turn)
            scores = gradients @ pairwise_gradient(batch["inputs"].numpy(), batch["labels"].numpy(), q)[:D]
        else:
            scores = cosines(gradients, val(turn).gradient(q)[:D])
        s = softmax(alpha)
        alpha = alpha + rate * (np.diag(s) - np.outer(s, s)) @ scores
        rows.append(softmax(alpha))
    return np.array(rows), q


@both
@pytest.mark.parametrize(("unroll", "point"), [(1, "post"), (2, "pre")])
@pytest.mark.parametrize(("method", "options"), [("tapweight", ALONG_COSINES), ("tapweight-pairwise", {})])
def test_variants_of_tapweight_equal_a_second_implementation(
    method: str, options: dict[str, Any], unroll: int, point: str, name: str
) -> None:
    at = {"tapweight__batch": 20, "tapweight__validation_batch": 24, "tapweight__unroll_one": unroll}
    other = {"continued__batch": 64, "continued__steps": 40, "tapweight__point": point, "tapweight__rate": 0.5}
    run = Run(method, name, 0, **at | other | options)
    rows, q = tapweight(name, 40, 0.5, method == "tapweight-pairwise", unroll, point == "post")
    np.testing.assert_allclose(run.rows(), rows, rtol=0, atol=1e-12)
    omega = run.result.models["omega"]
    np.testing.assert_allclose(np.concatenate([omega.encoder["theta"], omega.head["phi"]]), q, rtol=0, atol=1e-12)
    assert np.abs(run.weights - 0.25).max() > 0.05


@both
def test_along_cosines_tapweight_rests_where_it_does_along_alignments(name: str) -> None:
    """As sum_i s_i g_i is 0 there, equal cosines of the objectives with a weight are 0, as equal alignments are."""
    run = Run("tapweight", name, continued__steps=500, tapweight__rate=2, **ALONG_COSINES)
    np.testing.assert_allclose(run.weights, exact.settled(levels(name)[0].identity, 4), atol=0.01)


@both
def test_pairwise_tapweight_rests_where_its_loss_says(name: str) -> None:
    three, data = levels(name)[0], quadratic(name)
    inputs, labels = data.inputs[data.val], data.labels[data.val]

    def slope(s: Array) -> Array:
        theta = exact.pretrained(data, s)
        v = pairwise_gradient(inputs, labels, three.adapted(theta))[:D]
        return -exact.objective_gradients(data, theta) @ v

    run = Run("tapweight-pairwise", name, continued__steps=400, tapweight__rate=20)
    np.testing.assert_allclose(run.weights, exact.settled(slope, 4, rate=20, tolerance=1e-6), atol=2e-3)
