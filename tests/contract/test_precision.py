"""Training in bfloat16, on every modality: what is in 16 bits, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import RequestError
from methods.hypergradient.precision import full_precision, in_precision, trains_in_full_precision
from methods.hypergradient.probe import Probe, validation_gradient
from methods.settings import MetaSettings
from methods.stages import trilevel
from methods.stages.metahead import ValidationGradient
from methods.stages.micro_batches import in_micro_batches, is_divisible
from tasks.problem import Problem
from tests.contract.runs import ANALYTIC, GRAPHS, IMAGES, TEXT, planned, problem_of, same, tensors, train

REDUCED = "training.precision=bfloat16"
MODALITIES = (IMAGES, TEXT, GRAPHS)
CPU = torch.device("cpu")


def pair(task: str) -> tuple[Problem, Problem]:
    """The problem of fine-tuning in full precision, and in bfloat16."""
    cell = planned("finetune", task, 0, "text.dropout=0", "graph.dropout=0")
    problem = problem_of(cell, cell.links[-1])
    return problem, in_precision(problem, "bfloat16")


@contextmanager
def products(encoder: nn.Module) -> Iterator[set[torch.dtype]]:
    """What the linear layers and convolutions of ``encoder`` give."""
    seen: set[torch.dtype] = set()

    def note(_: nn.Module, __: Any, output: Tensor) -> None:
        seen.add(output.dtype)

    handles = [m.register_forward_hook(note) for m in encoder.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    yield seen
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize("task", MODALITIES)
def test_training_passes_are_in_16_bits_and_all_others_in_32(task: str) -> None:
    _, reduced = pair(task)
    encoder, head = reduced.encoder(), reduced.downstream_head()
    batch = reduced.stream("train", 8, "test").batch(0)
    with products(encoder) as seen:
        features = reduced.features(encoder.train(), batch)
        assert seen == {torch.bfloat16}
        assert features.dtype == torch.float32, "heads and losses are in 32 bits"
    reduced.downstream_loss(encoder, head, batch).backward()  # type: ignore[no-untyped-call]
    assert {p.grad.dtype for p in encoder.parameters() if p.grad is not None} == {torch.float32}
    with products(encoder) as seen:
        validation_gradient(encoder, head, lambda e, h: reduced.downstream_loss(e, h, batch))
        reduced.score(encoder, head)
        assert seen == {torch.float32}


@pytest.mark.parametrize("task", MODALITIES)
def test_validation_gradients_and_scores_are_those_of_full_precision_in_every_bit(task: str) -> None:
    found = []
    for problem in pair(task):
        encoder, head = problem.encoder().train(), problem.downstream_head()
        batch = problem.stream("val", 8, "test").batch(0)
        v, _ = validation_gradient(encoder, head, lambda e, h: problem.downstream_loss(e, h, batch))  # noqa: B023
        found.append((v, problem.score(encoder, head)))
    (plain, score), (reduced, other) = found
    assert score == other
    assert all(torch.equal(plain[name], reduced[name]) for name in plain)


@pytest.mark.parametrize("task", MODALITIES)
def test_the_loss_is_that_of_full_precision_but_for_rounding(task: str) -> None:
    losses = []
    for problem in pair(task):
        batch = problem.stream("train", 8, "test").batch(0)
        losses.append(problem.downstream_loss(problem.encoder().train(), problem.downstream_head(), batch).item())
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


@pytest.mark.parametrize("task", MODALITIES)
@pytest.mark.parametrize("method", ["tapweight", "tapweight-blo", "meta-tartan", "upgrad"])
def test_methods_train(method: str, task: str) -> None:
    cell, plain = planned(method, task, 0, REDUCED), planned(method, task)
    position = len(cell.links) - (1 if method == "meta-tartan" else 2)
    result = train(cell, position)
    assert all(torch.isfinite(tensor).all() for _, tensor in tensors(result))
    assert not any(tensor.dtype == torch.bfloat16 for _, tensor in tensors(result))
    assert same(result, train(cell, position))
    assert all(one.digest != other.digest for one, other in zip(cell.links, plain.links, strict=True))


@pytest.mark.parametrize("reduced", [False, True])
def test_a_one_sided_difference_takes_no_base_in_16_bits(reduced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    bases = []

    def noting(*given: Any, base: Tensor | None = None) -> Probe:
        bases.append(base)
        return Probe(*given, base=base)

    monkeypatch.setattr(trilevel, "Probe", noting)
    changes = ("tapweight.hypergradient.name=one-sided", *([REDUCED] if reduced else []))
    train(planned("tapweight", IMAGES, 0, *changes), 1)
    assert len(bases) > 1
    assert all((base is None) == reduced for base in bases)


def test_a_meta_head_is_trained_on_features_in_32_bits() -> None:
    cell = planned("meta-tartan", TEXT, 0, REDUCED)
    problem = problem_of(cell, cell.links[-1])
    source = ValidationGradient(problem, MetaSettings(validation_batch=8, meta_batch=8), "val", "test")
    encoder = problem.encoder().train()
    with products(encoder) as seen:
        source.meta_head(encoder, 0)
    assert seen == {torch.float32}


def test_a_start_that_is_not_trained_is_one_for_all_precisions() -> None:
    first, other = (planned("cp", IMAGES, 0, "start.kind=random", *more) for more in ((), (REDUCED,)))
    assert first.links[0].digest == other.links[0].digest
    assert first.links[1].digest != other.links[1].digest


def test_64_bits_have_no_other_precision() -> None:
    with pytest.raises(RequestError, match=r"expected float32 for analytic:isotropic, .* 64 bits, got 'bfloat16'"):
        planned("cp", ANALYTIC, 0, REDUCED)


def test_what_trains_in_full_precision() -> None:
    plain, reduced = (problem.encoder() for problem in pair(TEXT))
    assert trains_in_full_precision(plain, CPU)
    assert not trains_in_full_precision(reduced, CPU)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not trains_in_full_precision(plain, CPU)
        with full_precision(CPU):
            assert trains_in_full_precision(plain, CPU)


@pytest.mark.parametrize("task", MODALITIES)
def test_names_and_parts_stay(task: str) -> None:
    plain, reduced = pair(task)
    first, second = plain.encoder(), reduced.encoder()
    assert type(second).__name__ == type(first).__name__
    assert list(first.state_dict()) == list(second.state_dict())
    assert in_precision(plain, "float32") is plain
    assert is_divisible(reduced) == is_divisible(plain)
    whole, parts = second.train(), in_micro_batches(reduced, 2).encoder().train()
    batch = reduced.stream("train", 8, "test").batch(0)
    for encoder in (whole, parts):
        with products(encoder) as seen:
            reduced.downstream_loss(encoder, reduced.downstream_head(), batch).backward()  # type: ignore[no-untyped-call]
        assert seen == {torch.bfloat16}, "again in the backward pass of the parts"
    if task == TEXT:  # without batch norm, whose statistics differ
        for mine, theirs in zip(whole.parameters(), parts.parameters(), strict=True):
            assert mine.grad is not None
            assert theirs.grad is not None
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=0.05, atol=0.02 * float(mine.grad.abs().max()))


def test_a_misspelt_precision_is_one_line() -> None:
    with pytest.raises(RequestError, match=r"training\.precision: .*'float32'.*'bfloat16'.*'half'"):
        planned("finetune", IMAGES, 0, "training.precision=half")
