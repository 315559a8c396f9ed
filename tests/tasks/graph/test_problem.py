"""The problem of a graph task: modules, losses and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.hypergradient.backward import backward
from methods.hypergradient.central import central
from methods.hypergradient.forward import forward
from methods.hypergradient.functional import as_function
from methods.hypergradient.probe import Probe, validation_gradient
from tasks.graph.gin import Gin
from tasks.graph.problem import GraphProblem
from tests.tasks.graph.small import CORPUS, LONG, NAMES, doubled, modules, problem

BOTH = pytest.mark.parametrize("features", ["published", "ogb"])
SIZE = 8


@pytest.fixture(scope="module")
def made() -> GraphProblem:
    return problem()[0]


# --- modules


@BOTH
def test_modules_start_from_the_seed(features: str) -> None:
    before = torch.random.get_rng_state()
    one_problem, other = problem(features=features)[0], problem(features=features, seed=1)[0]
    for make in ("encoder", "objective_heads", "downstream_head"):
        one, same, changed = (getattr(p, make)().state_dict() for p in (one_problem, one_problem, other))
        assert all(torch.equal(one[name], same[name]) and one[name].data_ptr() != same[name].data_ptr() for name in one)
        assert any(not torch.equal(one[name], changed[name]) for name in one)
    assert torch.equal(before, torch.random.get_rng_state())


def test_planted_labels_are_an_objective_only_where_the_suite_plants_them(made: GraphProblem) -> None:
    assert made.objectives == NAMES
    assert made.objective_heads()["planted"].out_features == 4  # type: ignore[union-attr]
    bare, _ = problem(planted=0)
    assert bare.objectives == NAMES[:4]
    assert "planted" not in bare.objective_heads()
    assert "planted" not in bare.stream("corpus", SIZE, "p").batch(0)
    encoder, heads, _ = modules(bare)
    assert bare.objective_losses(encoder, heads, bare.stream("corpus", SIZE, "p").batch(0)).shape == (4,)


# --- objectives


@BOTH
@pytest.mark.parametrize("changes", [{}, {"mask_bonds": True, "contrastive": "info-nce"}])
def test_losses_are_finite_positive_and_all_learned_from(features: str, changes: dict[str, Any]) -> None:
    made, _ = problem(features=features, conformers=2, **changes)
    for source in ("corpus", "task"):
        encoder, heads, _ = modules(made)
        losses = made.objective_losses(encoder, heads, made.stream(source, SIZE, "p").batch(0))  # type: ignore[arg-type]
        assert losses.shape == (5,)
        assert bool(losses.isfinite().all())
        assert losses.min() > 0
        losses.sum().backward()
        for name, parameter in [*encoder.named_parameters(), *heads.named_parameters()]:
            assert parameter.grad is not None, name
            assert bool(parameter.grad.isfinite().all()), name


def test_losses_equal_a_second_implementation(made: GraphProblem) -> None:
    encoder, heads, _ = modules(made, torch.float64)
    batch = doubled(made.stream("corpus", SIZE, "p").batch(1))
    found = dict(zip(NAMES, made.objective_losses(encoder, heads, batch), strict=True))
    assert isinstance(encoder, Gin)
    encoder.dropout = 0.0

    def states_of(network: Any, name: str) -> Tensor:
        return network(*(batch[f"{name}.{part}"] for part in ("atoms", "bonds", "ends")))  # type: ignore[no-any-return]

    def means(states: Tensor, molecule: Tensor) -> Tensor:
        return torch.stack([states[molecule == number].mean(dim=0) for number in range(int(molecule.max()) + 1)])

    head: Any = heads
    masked = states_of(encoder, "masked")
    logits = head["attribute-masking"].atoms(masked[batch["masked.predicted"]])
    torch.testing.assert_close(found["attribute-masking"], functional.cross_entropy(logits, batch["masked.targets"]))
    pooled = means(masked, batch["masked.molecule"])
    torch.testing.assert_close(found["planted"], functional.cross_entropy(head["planted"](pooled), batch["planted"]))

    centres = states_of(encoder, "substructure")[batch["substructure.centre"]]
    overlap, ring = batch["context.overlap"], states_of(head["context-prediction"].network, "context")
    contexts = means(ring[overlap], batch["context.molecule"][overlap])
    right, wrong = (centres * contexts).sum(dim=1), (centres * contexts.roll(-1, 0)).sum(dim=1)
    expected = functional.binary_cross_entropy_with_logits(right, torch.ones_like(right))
    expected = expected + functional.binary_cross_entropy_with_logits(wrong, torch.zeros_like(wrong))
    torch.testing.assert_close(found["context-prediction"], expected)

    x = means(states_of(encoder, "crop"), batch["crop.molecule"])
    arguments = batch["crop.atoms"][:, 0], batch["crop.positions"], batch["crop.molecule"], len(x)
    y = head["conformer"](*arguments)
    total = torch.zeros((), dtype=torch.float64)
    for one, other in ((x, y), (y, x)):
        right, wrong = (functional.cosine_similarity(one, z) / 0.2 for z in (other, other.roll(-1, 0)))
        total = total + functional.softplus(-right).mean() + functional.softplus(wrong).mean()
    torch.testing.assert_close(found["graphmvp-contrastive"], total / 2)
    total = torch.zeros((), dtype=torch.float64)
    variational = head["graphmvp-generative"]
    for module, one, other, noise in (
        (variational.from_graph, x, y, batch["crop.noise"][0]),
        (variational.from_conformer, y, x, batch["crop.noise"][1]),
    ):
        mean, log_variance = module.mean(one), module.log_variance(one)
        back = module.decoder(mean + noise * log_variance.exp().sqrt())
        divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(dim=1).mean()
        total = total + functional.mse_loss(back, other.detach()) + 2 * divergence
    torch.testing.assert_close(found["graphmvp-generative"], total / 2)


@pytest.mark.parametrize(
    ("idle", "views"),
    [
        ((), "masked substructure crop context conformer"),
        (("attribute-masking",), "masked substructure crop context conformer"),
        (("attribute-masking", "planted"), "substructure crop context conformer"),
        (("context-prediction",), "masked crop conformer"),
        (("graphmvp-generative",), "masked substructure crop context conformer"),
        (("graphmvp-contrastive", "graphmvp-generative"), "masked substructure context"),
        (NAMES[1:], "masked"), ((NAMES[0], *NAMES[2:]), "substructure context"), (NAMES[:4], "masked"), (NAMES, ""),
    ],
)  # fmt: skip
def test_idle_objectives_are_zero_and_their_passes_are_left_out(
    made: GraphProblem, idle: tuple[str, ...], views: str
) -> None:
    encoder, heads, _ = modules(made, torch.float64)
    batch, passed = doubled(made.stream("corpus", SIZE, "p").batch(2)), list[str]()
    full = made.objective_losses(encoder, heads, batch)
    encoder, heads, _ = modules(made, torch.float64)  # the running statistics of the first pass
    context: Any = heads["context-prediction"]

    def note(_: nn.Module, inputs: Any) -> None:
        passed.extend(name for name in ("masked", "substructure", "crop") if inputs[0] is batch[f"{name}.atoms"])

    hooks = [encoder.register_forward_pre_hook(note)]
    hooks.append(context.network.register_forward_pre_hook(lambda *_: passed.append("context")))
    hooks.append(heads["conformer"].register_forward_pre_hook(lambda *_: passed.append("conformer")))
    some = made.objective_losses(encoder, heads, batch, idle)
    assert sorted(passed) == sorted(views.split())
    for index, name in enumerate(NAMES):
        if name in idle:
            assert some[index] == 0
        else:
            torch.testing.assert_close(some[index], full[index], rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "corpus",
    [
        ("C", "N", "O", "[Na+].[Cl-]"),  # no context anywhere, no bond
        (LONG, LONG + "C", LONG + "CC", LONG + "CCC"),  # no conformer
        ("C", LONG, "CC", "CCCCCCCC"),  # one context each at most
    ],
)
@BOTH
def test_molecules_that_lack_something_give_finite_losses(corpus: tuple[str, ...], features: str) -> None:
    made, _ = problem(corpus=corpus, features=features)
    encoder, heads, _ = modules(made)
    for size in (2, 4):
        batch = made.stream("corpus", size, "p").batch(0)
        losses = made.objective_losses(encoder, heads, batch)
        losses.sum().backward()
        assert bool(losses.isfinite().all())
        assert losses[0] > 0
        if len(batch["substructure.sizes"]) < 2:
            assert losses[1] == 0
        if len(batch["crop.sizes"]) < 2:
            assert losses[2:4].tolist() == [0, 0]
    assert all(bool(p.grad.isfinite().all()) for p in encoder.parameters() if p.grad is not None)
    assert all(bool(buffer.isfinite().all()) for buffer in encoder.buffers())


def test_only_labelled_batches_have_dropout(made: GraphProblem) -> None:
    encoder, heads, _ = modules(made)
    assert isinstance(encoder, Gin)
    unlabelled, labelled = made.stream("corpus", SIZE, "p").batch(0), made.stream("train", SIZE, "t").batch(0)
    losses, features = [], []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        before = torch.random.get_rng_state()
        losses.append(made.objective_losses(encoder, heads, unlabelled).detach())
        assert torch.equal(before, torch.random.get_rng_state())
        assert encoder.dropout == 0.5
        features.append(made.features(encoder, labelled).detach())
    assert torch.equal(losses[0], losses[2])
    assert torch.equal(features[0], features[1])
    assert not torch.equal(features[0], features[2])
    assert (features[0] == 0).sum() == 0, "the mean of atoms, each with its own units dropped"
    encoder.eval()
    assert torch.equal(made.features(encoder, labelled), made.features(encoder, labelled))
    with pytest.raises(KeyError):
        made.objective_losses(encoder, heads, labelled)
    assert encoder.dropout == 0.5


def statistics(module: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in module.named_buffers()}


def test_statistics_move_with_training_passes_alone(made: GraphProblem) -> None:
    encoder, heads, head = modules(made)
    unlabelled, labelled = made.stream("corpus", SIZE, "p").batch(0), made.stream("val", SIZE, "v").batch(0)

    def passes() -> int:
        (count,) = {int(value) for name, value in encoder.named_buffers() if name.endswith("tracked")}
        return count

    before = statistics(encoder)
    function, theta = as_function(encoder, heads, lambda e, h: made.objective_losses(e, h, unlabelled))  # type: ignore[arg-type]
    function(theta), validation_gradient(encoder, head, lambda e, h: made.downstream_loss(e, h, labelled))
    made.score(encoder, head)
    encoder.eval(), heads.eval()
    made.objective_losses(encoder, heads, unlabelled)
    made.downstream_loss(encoder, head, labelled)
    assert all(torch.equal(value, before[name]) for name, value in statistics(encoder).items())
    encoder.train(), heads.train()
    made.objective_losses(encoder, heads, unlabelled)
    assert passes() == 3
    made.objective_losses(encoder, heads, unlabelled, NAMES[1:])
    assert passes() == 4
    made.downstream_loss(encoder, head, labelled)
    assert passes() == 5
    assert not any(torch.equal(value, before[name]) for name, value in statistics(encoder).items())


@BOTH
def test_all_losses_go_down(features: str) -> None:
    made, _ = problem(features=features, width=32, corpus=CORPUS[:10], mask_share=0.3)
    encoder, heads, _ = modules(made)
    optimiser, history = torch.optim.Adam([*encoder.parameters(), *heads.parameters()], lr=1e-2), []
    batch = made.stream("corpus", 10, "p").batch(0)
    for _ in range(80):
        losses = made.objective_losses(encoder, heads, batch)
        optimiser.zero_grad()
        losses.sum().backward()
        optimiser.step()
        history.append(losses.detach())
    share = history[-1] / history[0]
    assert share[0] < 0.05, "the atoms are learned by heart"
    assert share[4] < 0.05, "so are labels that were drawn at random"
    assert share.max() < 0.6


# --- gradients


@BOTH
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("idle", [(), ("context-prediction", "graphmvp-generative")])
def test_forward_mode_equals_backward_through_the_whole_problem(
    features: str, training: bool, idle: tuple[str, ...]
) -> None:
    made, _ = problem(features=features, mask_bonds=True)
    encoder, heads, head = modules(made, torch.float64)
    unlabelled = doubled(made.stream("corpus", SIZE, "p").batch(0))
    for part in (encoder, heads, head):
        made.objective_losses(encoder, heads, unlabelled)  # statistics unlike those of the start
        part.train(training)
    torch.manual_seed(5)
    function, theta = as_function(encoder, heads, lambda e, h: made.objective_losses(e, h, unlabelled, idle))  # type: ignore[arg-type]
    assert torch.equal(function(theta), function(theta))
    labelled = doubled(made.stream("val", SIZE, "v").batch(0))
    v, _ = validation_gradient(encoder, head, lambda e, h: made.downstream_loss(e, h, labelled))
    probe = Probe(function, theta, v, torch.full((5,), 0.2))
    by_backward = backward(probe)
    torch.testing.assert_close(forward(probe), by_backward, rtol=1e-8, atol=1e-12)
    # A difference moves the targets of the generative loss too, which the gradient takes as constants.
    same = torch.tensor([name != "graphmvp-generative" for name in NAMES])
    torch.testing.assert_close(central(probe, 1e-5)[same], by_backward[same], rtol=1e-4, atol=1e-8)
    assert (by_backward != 0).tolist() == [name not in idle for name in NAMES]
