"""The problem of a graph task: batches, scores, and the sealed test split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.errors import RequestError
from tasks.graph import problem as graph_problem
from tasks.graph.problem import GraphProblem
from tasks.problem import TestKey, TestSplitError
from tests.tasks.graph.small import CORPUS, TEST, VAL, labels_of, modules, problem
from tests.tasks.reach import arrays_in

BOTH = pytest.mark.parametrize("features", ["published", "ogb"])
SIZE = 8


@pytest.fixture(scope="module")
def made() -> GraphProblem:
    return problem()[0]


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


def test_no_array_of_the_problem_holds_test_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))  # else positions of others' molecules may equal one by chance
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


def test_schnet_and_the_way_back_from_it_may_be_slower() -> None:
    made, _ = problem()
    assert made.slow_parts(made.objective_heads()) == {}
    slow, _ = problem(conformer_rate=0.1)
    heads = slow.objective_heads()
    parts = slow.slow_parts(heads)
    assert set(parts.values()) == {0.1}
    shares = {name for name, p in heads.named_parameters() if any(p is q for part in parts for q in part.parameters())}
    expected = ("conformer.", "graphmvp-generative.from_conformer.")
    assert shares == {name for name, _ in heads.named_parameters() if name.startswith(expected)}
