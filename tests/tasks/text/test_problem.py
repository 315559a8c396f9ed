"""The problem of a text task: losses, gradients, batches, scores, and the sealed test split."""

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
from tasks.problem import TestKey, TestSplitError
from tasks.text.batches import IGNORED
from tasks.text.problem import TextProblem
from tests.tasks.protocol import task_settings
from tests.tasks.text.small import NAMES, labelled, modules, problem, tokenizer

SETTINGS = task_settings()


@pytest.fixture(scope="module")
def made() -> TextProblem:
    return problem()[0]


def test_modules_start_from_the_seed(made: TextProblem) -> None:
    before = torch.random.get_rng_state()
    other, _ = problem(seed=1)
    for make in ("encoder", "objective_heads", "downstream_head"):
        one, same, changed = (getattr(p, make)().state_dict() for p in (made, made, other))
        assert all(torch.equal(one[name], same[name]) and one[name].data_ptr() != same[name].data_ptr() for name in one)
        assert any(not torch.equal(one[name], changed[name]) for name in one)
    assert torch.equal(before, torch.random.get_rng_state())
    assert made.objectives == NAMES
    assert problem(planted=0)[0].objectives == NAMES[:3]
    assert set(problem(planted=0)[0].objective_heads()) == set(NAMES[:3])


# --- objectives


def test_losses_equal_a_second_implementation(made: TextProblem) -> None:
    encoder, heads, _ = modules(made, torch.float64)
    encoder.eval(), heads.eval()
    batch = made.stream("corpus", 6, "p").batch(1)
    found = dict(zip(NAMES, made.objective_losses(encoder, heads, batch), strict=True))
    rows = {name: [row[row != tokenizer().pad] for row in batch[name]] for name in ("plain", "masked", "halves")}
    one_by_one = {name: [encoder(row[None])[0] for row in found_rows] for name, found_rows in rows.items()}
    places = [divmod(int(place), batch["masked"].shape[1]) for place in batch["predicted"]]
    states = torch.stack([one_by_one["masked"][row][column] for row, column in places])
    words = encoder.get_submodule("model").embeddings.word_embeddings.weight
    torch.testing.assert_close(
        found["masked-lm"], functional.cross_entropy(heads["masked-lm"](states, words), batch["targets"])
    )
    first = torch.stack([states[0] for states in one_by_one["plain"]])
    projected = heads["contrastive"](first)
    cosines = functional.cosine_similarity(projected[:, None], projected[None], dim=2) / 0.05
    torch.testing.assert_close(found["contrastive"], -cosines.log_softmax(dim=1).diagonal().mean())
    split = heads["split-order"](torch.stack([states[0] for states in one_by_one["halves"]]))
    valid = batch["order"] != IGNORED
    torch.testing.assert_close(found["split-order"], functional.cross_entropy(split[valid], batch["order"][valid]))
    torch.testing.assert_close(found["planted"], functional.cross_entropy(heads["planted"](first), batch["planted"]))


def test_the_two_passes_drop_different_units_and_are_replayed(made: TextProblem) -> None:
    encoder, heads, _ = modules(made)
    batch, losses = made.stream("corpus", 6, "p").batch(0), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        losses.append(made.objective_losses(encoder, heads, batch))
    assert torch.equal(losses[0], losses[1])
    assert not torch.equal(losses[0], losses[2])
    calls: list[Tensor] = []
    handle = heads["contrastive"].register_forward_hook(lambda _, inputs, __: calls.append(inputs[0]))
    made.objective_losses(encoder, heads, batch)
    handle.remove()
    assert not torch.equal(calls[0], calls[1])


@pytest.mark.parametrize(
    ("idle", "sequences"),
    [((), 4), (("masked-lm",), 3), (("contrastive",), 3), (("contrastive", "planted"), 2), (("split-order",), 3),
     (("planted",), 4), (("masked-lm", "split-order", "planted"), 2), (NAMES[1:], 1), (NAMES, 0)],
)  # fmt: skip
def test_idle_objectives_change_no_other_loss_and_save_their_sequences(
    made: TextProblem, idle: tuple[str, ...], sequences: int
) -> None:
    encoder, heads, _ = modules(made, torch.float64)
    encoder.eval(), heads.eval()
    batch, passed = made.stream("corpus", 6, "p").batch(2), []
    full = made.objective_losses(encoder, heads, batch)
    handle = encoder.register_forward_pre_hook(lambda _, inputs: passed.append(len(inputs[0])))
    some = made.objective_losses(encoder, heads, batch, idle)
    handle.remove()
    assert passed == ([6 * sequences] if sequences else [])  # one pass at most
    expected = torch.stack([loss * (name not in idle) for name, loss in zip(NAMES, full, strict=True)])
    torch.testing.assert_close(some, expected, rtol=1e-12, atol=0)


def test_a_batch_with_nothing_to_learn_from_has_finite_losses(made: TextProblem) -> None:
    encoder, heads, _ = modules(made)
    empty = dict(made.stream("corpus", 4, "p").batch(0))
    empty |= {"predicted": torch.empty(0, dtype=torch.long), "targets": torch.empty(0, dtype=torch.long)}
    empty["order"] = torch.full((4,), IGNORED)
    losses = made.objective_losses(encoder, heads, empty)
    losses.sum().backward()
    assert losses[[0, 2]].tolist() == [0, 0]
    assert all(bool(p.grad.isfinite().all()) for p in encoder.parameters() if p.grad is not None)


def test_masked_lm_learns_ten_sentences_by_heart() -> None:
    made, _ = problem(dropout=0.0, width=64, planted=0)
    encoder, heads, _ = modules(made)
    optimiser = torch.optim.Adam([*encoder.parameters(), *heads.parameters()], lr=5e-3)
    stream, idle, losses = made.stream("corpus", 10, "p"), NAMES[1:3], []
    rows = stream.chosen(0)  # type: ignore[attr-defined]
    for step in range(420):
        batch = stream.make(rows, torch.Generator().manual_seed(step))  # type: ignore[attr-defined]
        loss = made.objective_terms(encoder, heads, batch, idle)[0]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[:5]) > 5  # log of 340 is 5.8
    assert np.mean(losses[-20:]) < 1


# --- gradients


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("idle", [(), ("contrastive",)])
def test_forward_mode_equals_backward_through_the_whole_problem(
    made: TextProblem, training: bool, idle: tuple[str, ...]
) -> None:
    encoder, heads, head = modules(made, torch.float64)
    for part in (encoder, heads, head):
        part.train(training)
    batch = made.stream("corpus", 6, "p").batch(0)
    torch.manual_seed(5)
    function, theta = as_function(encoder, heads, lambda e, h: made.objective_losses(e, h, batch, idle))  # type: ignore[arg-type]
    assert torch.equal(function(theta), function(theta))  # the same masks
    labels = made.stream("val", 6, "v").batch(0)
    v, _ = validation_gradient(
        encoder, head, lambda e, h: made.downstream_loss(e, h, labels | {"labels": labels["labels"].double()})
    )
    probe = Probe(function, theta, v, torch.full((4,), 0.25))
    by_backward = backward(probe)
    torch.testing.assert_close(forward(probe), by_backward, rtol=1e-8, atol=1e-12)
    along = {
        name: v[name] if name in v and name.startswith("encoder.") else torch.zeros_like(p) for name, p in theta.items()
    }
    losses, slopes = torch.func.jvp(function, (theta,), (along,))
    torch.testing.assert_close(slopes, by_backward, rtol=1e-8, atol=1e-12)
    torch.testing.assert_close(losses, function(theta), rtol=1e-10, atol=0)
    torch.testing.assert_close(central(probe, 1e-4), by_backward, rtol=1e-5, atol=1e-9)
    assert (by_backward != 0).tolist() == [name not in idle for name in NAMES]


def test_a_function_drops_what_the_training_pass_drops(made: TextProblem) -> None:
    encoder, heads, _ = modules(made)
    batch = made.stream("corpus", 6, "p").batch(0)
    torch.manual_seed(7)
    function, theta = as_function(encoder, heads, lambda e, h: made.objective_losses(e, h, batch))  # type: ignore[arg-type]
    trained = made.objective_losses(encoder, heads, batch)
    torch.testing.assert_close(function(theta), trained.detach(), rtol=1e-6, atol=0)


def test_the_decoder_is_tied_to_the_word_embeddings(made: TextProblem) -> None:
    encoder, heads, _ = modules(made)
    batch = made.stream("corpus", 6, "p").batch(0)
    made.objective_terms(encoder, heads, batch, NAMES[1:])[0].backward()
    gradient = encoder.get_submodule("model").embeddings.word_embeddings.weight.grad
    absent = torch.ones(tokenizer().vocabulary, dtype=torch.bool)
    absent[batch["masked"]] = False
    assert gradient[absent].abs().sum(dim=1).min() > 0  # words that were not read are pushed away as answers


# --- batches


def assert_same(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name].nan_to_num(), other[name].nan_to_num()) for name in one)


@pytest.mark.parametrize("source", ["corpus", "task", "train", "val", "val-null"])
def test_batches_have_random_access_and_leave_the_global_generator(made: TextProblem, source: Any) -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    in_order = [made.stream(source, 8, "stage").batch(step) for step in range(30)]
    again = problem()[0].stream(source, 8, "stage")
    torch.rand(3)
    for step in (29, 0, 12, 11, 1):
        assert_same(again.batch(step), in_order[step])
    torch.random.set_rng_state(before)
    tokens = "plain" if source in ("corpus", "task") else "tokens"
    assert not torch.equal(in_order[0][tokens], in_order[1][tokens])
    assert not torch.equal(made.stream(source, 8, "other").batch(0)[tokens], in_order[0][tokens])
    assert all(batch[tokens].shape[1] % 8 == 0 for batch in in_order)


def test_sources_are_what_they_say(made: TextProblem) -> None:
    assert [len(made.stream(s, 8, "p")) for s in ("corpus", "task", "train", "val")] == [200, 80, 80, 20]  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"source 'domain' is not known; .*corpus"):
        made.stream("domain", 8, "p")
    with pytest.raises(RequestError, match="batch_size: expected at least 2"):
        made.stream("corpus", 1, "p")
    with pytest.raises(RequestError, match="batch_size: expected at least 1"):
        made.stream("train", 0, "p")


def test_the_null_only_moves_labels(made: TextProblem) -> None:
    real, null = (made.stream(source, 20, "v").batch(0) for source in ("val", "val-null"))  # type: ignore[arg-type]
    assert torch.equal(real["tokens"], null["tokens"])
    assert not torch.equal(real["labels"], null["labels"])
    assert torch.equal(real["labels"].sort(dim=0).values, null["labels"].sort(dim=0).values)
    later = made.stream("val-null", 20, "w").batch(4)
    pairs = [
        {(tuple(t.tolist()), y.item()) for t, y in zip(batch["tokens"], batch["labels"], strict=True)}
        for batch in (null, later)
    ]
    assert pairs[0] == pairs[1]


def test_planted_labels_belong_to_their_sentences(made: TextProblem) -> None:
    seen: dict[tuple[int, ...], set[int]] = {}
    stream = made.stream("corpus", 50, "p")
    for step in range(8):
        batch = stream.batch(step)
        for row, label in zip(stream.chosen(step).tolist(), batch["planted"].tolist(), strict=True):  # type: ignore[attr-defined]
            seen.setdefault((row,), set()).add(label)
    assert len(seen) == 200
    assert all(len(labels) == 1 for labels in seen.values())
    assert {label for labels in seen.values() for label in labels} == {0, 1, 2, 3}


# --- the end task


@pytest.mark.parametrize(
    ("kind", "pairs", "outputs"), [("classes", True, 3), ("classes", False, 3), ("regression", True, 1)]
)
def test_the_end_task_learns(kind: str, pairs: bool, outputs: int) -> None:
    made, _ = problem(kind=kind, pairs=pairs, dropout=0.0, width=32)
    encoder, _, head = modules(made)
    batch = made.stream("train", 16, "t").batch(0)
    optimiser, losses = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=5e-3), []
    for _ in range(100):
        loss = made.downstream_loss(encoder, head, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert head(made.features(encoder, batch)).shape == (16, outputs)
    assert losses[-1] < 0.1 * losses[0]
    assert made.pairwise_loss(encoder, head, batch).item() < 0.4  # at random 0.69


def test_values_are_standardised_by_the_training_part() -> None:
    truth = labelled("regression", 120)[:80, 0]
    made, raw = (problem(kind="regression", standardise=flag)[0] for flag in (True, False))
    standard, plain = (
        one.stream("train", 80, "t").batch(0)["labels"][:, 0].double().sort().values for one in (made, raw)
    )
    np.testing.assert_allclose(plain, np.sort(truth), atol=1e-5)
    np.testing.assert_allclose(standard * truth.std() + truth.mean(), np.sort(truth), atol=1e-5)


class Echo(nn.Module):
    """A head that says the length of the text it was given, which no encoder has changed."""

    def forward(self, features: Tensor) -> Tensor:
        return features[:, :1]


class Length(nn.Module):
    """An encoder whose states hold the number of tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.dropout((tokens != 1).sum(dim=1).float())[:, None, None]


def test_scores_are_in_the_units_of_the_task_and_in_the_order_of_the_rows() -> None:
    made, key = problem(kind="regression")
    encoder = Length().train()
    scores = made.score(encoder, Echo(), "test", key)
    examples = made._examples
    sizes = [
        min(len(examples.first[row]) + len(examples.second[row]) + 4, 32)  # type: ignore[index]
        for row in range(100, 120)
    ]
    truth, train = labelled("regression", 120)[:, 0], labelled("regression", 120)[:80, 0]
    predicted = np.array(sizes) * train.std() + train.mean()
    assert scores["rmse"] == pytest.approx(np.sqrt(np.mean((predicted - truth[100:]) ** 2)), rel=1e-6)
    assert scores["pearson"] == pytest.approx(np.corrcoef(predicted, truth[100:])[0, 1], rel=1e-6)
    assert encoder.training
    assert encoder.dropout.training


def test_several_test_files_are_pooled_and_scored_one_by_one() -> None:
    made, key = problem(files=("matched", "mismatched"))
    encoder, _, head = modules(made)
    encoder.train()
    frozen = encoder.get_submodule("model.embeddings").eval()  # a part that its owner froze
    scores = made.score(encoder, head, "test", key)
    assert encoder.training
    assert not frozen.training
    assert scores["accuracy"] == pytest.approx((scores["accuracy[matched]"] + scores["accuracy[mismatched]"]) / 2)
    encoder.eval(), head.eval()
    batch = {"tokens": made._tokens(torch.arange(110, 120))}
    with torch.no_grad():
        chosen = head(made.features(encoder, batch)).argmax(dim=1)
    truth = torch.from_numpy(labelled("classes", 120)[110:, 0])
    assert scores["accuracy[mismatched]"] == pytest.approx((chosen == truth).double().mean().item())
    assert "accuracy[matched]" not in made.score(encoder, head)
    assert "accuracy[test]" not in problem()[0].score(encoder, head)


def test_the_test_split_needs_its_own_key(made: TextProblem) -> None:
    encoder, _, head = modules(made)
    for wrong in (None, TestKey(), problem()[1]):
        with pytest.raises(TestSplitError):
            made.score(encoder, head, "test", wrong)


def test_facts_count_what_is_cut(made: TextProblem) -> None:
    lengths = made._lengths(torch.arange(80))
    assert made.facts()["cut"]["train"] == int((lengths > 32).sum()) > 0
    assert made.facts()["table"] == {}


# --- from the registry
