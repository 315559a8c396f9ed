"""The problem of a graph task: losses, gradients, batches, scores, and the sealed test split."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import RequestError
from methods.hypergradient.backward import backward
from methods.hypergradient.central import central
from methods.hypergradient.forward import forward
from methods.hypergradient.functional import as_function
from methods.hypergradient.probe import Probe, validation_gradient
from tasks.graph import problem as graph_problem
from tasks.graph.gin import Gin
from tasks.graph.problem import GraphProblem
from tasks.problem import TestKey, TestSplitError
from tests.tasks.graph.small import CORPUS, LONG, NAMES, TEST, VAL, doubled, labels_of, modules, problem
from tests.tasks.reach import arrays_in

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


# --- batches


def assert_same(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    for name in one:
        first, second = (batch[name] for batch in (one, other))
        assert torch.equal(first.nan_to_num() if first.is_floating_point() else first,
                           second.nan_to_num() if second.is_floating_point() else second), name  # fmt: skip


@pytest.mark.parametrize("source", ["corpus", "task", "train", "val", "val-null"])
def test_batches_have_random_access_and_leave_the_global_generator(made: GraphProblem, source: Any) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    in_order = [made.stream(source, SIZE, "stage").batch(step) for step in range(12)]
    assert torch.equal(before, torch.random.get_rng_state())
    again = problem()[0].stream(source, SIZE, "stage")
    torch.rand(3)
    for step in (11, 0, 4, 1):
        assert_same(again.batch(step), in_order[step])
    atoms = "masked.atoms" if source in ("corpus", "task") else "whole.atoms"
    others = [in_order[1], made.stream(source, SIZE, "other").batch(0)]
    others.append(problem(seed=1)[0].stream(source, SIZE, "stage").batch(0))
    assert not any(torch.equal(other[atoms], in_order[0][atoms]) for other in others)


def test_every_random_choice_of_a_batch_changes_from_step_to_step(made: GraphProblem) -> None:
    """Of the same molecules in the same order."""
    stream: Any = made.stream("corpus", 20, "p")
    rows = stream.chosen(0)
    first, second = (stream.make(rows, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert torch.equal(first["planted"], second["planted"])
    for name in ("masked.atoms", "masked.predicted", "substructure.atoms", "context.atoms", "crop.atoms", "crop.noise"):
        assert not torch.equal(first[name], second[name]), name
    assert torch.equal(first["masked.sizes"], second["masked.sizes"])


def test_sources_are_what_they_say(made: GraphProblem) -> None:
    sizes = [len(made.stream(source, SIZE, "p")) for source in ("corpus", "task", "train", "val")]  # type: ignore[arg-type]
    assert sizes == [len(CORPUS), 10, VAL, TEST - VAL]
    with pytest.raises(RequestError, match=r"source 'domain' is not known; .*corpus"):
        made.stream("domain", SIZE, "p")
    with pytest.raises(RequestError, match="batch_size: expected at least 2"):
        made.stream("corpus", 1, "p")
    with pytest.raises(RequestError, match="batch_size: expected at least 1"):
        made.stream("train", 0, "p")
    with pytest.raises(RequestError, match="a source with examples, got an empty one"):
        problem(corpus=())[0].stream("corpus", SIZE, "p")


def test_the_null_only_moves_labels(made: GraphProblem) -> None:
    size = TEST - VAL
    real, null = (made.stream(source, size, "v").batch(0) for source in ("val", "val-null"))  # type: ignore[arg-type]
    assert torch.equal(real["whole.atoms"], null["whole.atoms"])
    assert not torch.equal(real["labels"], null["labels"])
    assert torch.equal(real["labels"].sort(dim=0).values, null["labels"].sort(dim=0).values)

    def pairs(batch: Any) -> list[tuple[Any, float]]:
        graphs = batch["whole.atoms"].split(batch["whole.sizes"].tolist())
        return sorted((tuple(g.flatten().tolist()), y.item()) for g, y in zip(graphs, batch["labels"], strict=True))

    assert pairs(null) == pairs(made.stream("val-null", size, "w").batch(4)), "one permutation for all epochs"


def test_planted_labels_belong_to_their_molecules(made: GraphProblem) -> None:
    stream: Any = made.stream("corpus", 10, "p")
    seen: dict[int, set[int]] = {}
    for step in range(8):
        for row, label in zip(stream.chosen(step).tolist(), stream.batch(step)["planted"].tolist(), strict=True):
            seen.setdefault(row, set()).add(label)
    assert len(seen) == len(CORPUS)
    assert all(len(labels) == 1 for labels in seen.values())
    assert {label for labels in seen.values() for label in labels} == {0, 1, 2, 3}


# --- the end task


@BOTH
def test_features_are_those_of_each_molecule_by_itself(features: str) -> None:
    made, _ = problem(features=features)
    encoder, _, _ = modules(made)
    encoder.eval()
    stream: Any = made.stream("train", SIZE, "t")
    rows = stream.chosen(0)
    alone = torch.cat([made.features(encoder, stream.make(rows[[place]], None)) for place in range(SIZE)])
    torch.testing.assert_close(made.features(encoder, stream.batch(0)), alone)


def test_missing_labels_do_not_count() -> None:
    made, _ = problem(targets=3)
    encoder, _, head = modules(made)
    encoder.eval()
    batch = made.stream("train", VAL, "t").batch(0)
    valid = ~batch["labels"].isnan()
    assert 0 < int((~valid).sum()) < valid.numel()
    outputs = head(made.features(encoder, batch))
    expected = functional.binary_cross_entropy_with_logits(outputs[valid], batch["labels"][valid])
    torch.testing.assert_close(made.downstream_loss(encoder, head, batch), expected)
    nothing = {**batch, "labels": torch.full_like(batch["labels"], float("nan"))}
    loss = made.downstream_loss(encoder, head, nothing)
    loss.backward()
    assert loss == 0
    assert all(bool((p.grad == 0).all()) for p in encoder.parameters() if p.grad is not None)
    assert made.pairwise_loss(encoder, head, nothing) == 0


def test_values_are_standardised_by_the_training_part() -> None:
    truth = labels_of("regression", 2)[:VAL]
    made, raw = (problem(kind="regression", targets=2, standardise=flag)[0] for flag in (True, False))
    standard, plain = (one.stream("train", VAL, "t").batch(0)["labels"].double().numpy() for one in (made, raw))
    restored = standard * np.nanstd(truth, axis=0) + np.nanmean(truth, axis=0)
    for found in (plain, restored):
        np.testing.assert_allclose(np.sort(found, axis=0), np.sort(truth, axis=0), atol=1e-5)
    np.testing.assert_allclose(np.nanmean(standard, axis=0), 0, atol=1e-6)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_end_task_learns(kind: str) -> None:
    made, _ = problem(kind=kind, width=32, dropout=0.0)
    encoder, _, head = modules(made)
    batch = made.stream("train", VAL, "t").batch(0)
    optimiser, losses = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=1e-2), []
    for _ in range(60):
        loss = made.downstream_loss(encoder, head, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


class Constant(nn.Module):
    """A head that ignores the features."""

    def forward(self, features: Tensor) -> Tensor:
        return torch.full((len(features), 1), 0.5)


def test_scores_are_in_the_units_of_the_task() -> None:
    made, key = problem(kind="regression")
    truth = labels_of("regression", 1)[:, 0]
    mean, sigma = truth[:VAL].mean(), truth[:VAL].std()
    for split, rows in (("train", truth[:VAL]), ("val", truth[VAL:TEST]), ("test", truth[TEST:])):
        scores = made.score(made.encoder(), Constant(), split, key)  # type: ignore[arg-type]
        error = mean + 0.5 * sigma - rows
        assert scores["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6)
        assert scores["mae"] == pytest.approx(np.mean(np.abs(error)), rel=1e-6)


def test_scores_are_of_evaluation_mode_whatever_is_scored_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made, key = problem(kind="regression")
    encoder, _, head = modules(made)
    made.downstream_loss(encoder, head, made.stream("train", SIZE, "t").batch(0))  # statistics of its own
    encoder.get_submodule("batch_norms.0").eval()  # a part that its owner froze
    before, found = {name: value.clone() for name, value in encoder.state_dict().items()}, []
    for size in (256, 7, 1):
        monkeypatch.setattr(graph_problem, "SCORE_BATCH", size)
        found.append(made.score(encoder, head, "test", key))
    assert all(scores == pytest.approx(found[0], rel=1e-5) for scores in found)
    assert encoder.training
    assert head.training
    assert encoder.get_submodule("batch_norms.1").training
    assert not encoder.get_submodule("batch_norms.0").training
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    encoder.eval()
    stream: Any = made.stream("train", SIZE, "t")
    with torch.no_grad():
        outputs = head(made.features(encoder, stream.make(torch.arange(VAL), None)))[:, 0].double().numpy()
    truth = labels_of("regression", 1)[:VAL, 0]
    error = outputs * truth.std() + truth.mean() - truth
    assert made.score(encoder, head, "train")["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)


# --- the test split


def test_the_test_split_needs_its_own_key(made: GraphProblem) -> None:
    encoder, _, head = modules(made)
    other, key = problem()
    for wrong in (None, TestKey(), key):
        with pytest.raises(TestSplitError):
            made.score(encoder, head, "test", wrong)
    assert 0 <= other.score(encoder, head, "test", key)["roc_auc"] <= 1


def test_no_array_of_the_problem_holds_test_labels() -> None:
    made, _ = problem(kind="regression")
    truth = labels_of("regression", 1)[:, 0]
    mean, sigma = truth[:VAL].mean(), truth[:VAL].std()
    things = [made, *(made.stream(source, SIZE, "x") for source in ("corpus", "task", "train", "val", "val-null"))]  # type: ignore[arg-type]
    found = [array for array in arrays_in(things, set()) if array.dtype.kind == "f"]
    forms = np.concatenate([truth, (truth - mean) / sigma]).reshape(2, -1)

    def holds(values: Any) -> bool:
        return any(np.isclose(array, value, rtol=0, atol=1e-6).any() for array in found for value in values)

    assert not holds(forms[:, TEST:].ravel())
    assert holds(forms[0, :1])
    assert holds(forms[1, :1])  # the search sees the labels that are open


def test_facts_count_molecules_and_conformers_that_failed(made: GraphProblem) -> None:
    assert made.facts() == {
        "table": {"train": VAL},
        "unlabelled": {"corpus": len(CORPUS), "task": 10},
        "conformer_failures": {"corpus": {"too large": 1}, "task": {}},
    }
