"""What the contract asks of images with several tasks, and of vectors with their test rows, asked of texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from methods import METHODS
from tasks.text.problem import TextProblem
from tasks.text.tokenizer import Tokenizer
from tasks.text.tokens import Tokens, tokenise
from tests.contract.runs import TEXT, output, pairs, planned, problem_of, same, train, trained

on_texts = pytest.mark.parametrize(("name", "task"), pairs(TEXT))


def altered(problem: Any, rows: torch.Tensor, *, relabel: bool) -> TextProblem:
    """The problem with other texts, as long as before, in ``rows``; and with other labels there."""
    assert isinstance(problem, TextProblem)
    examples = problem._examples
    first, chosen = examples.first, set(rows.tolist())
    ids = [first[row] for row in range(len(first))]
    ids = [np.flip(one) if row in chosen else one for row, one in enumerate(ids)]
    flat = Tokens(np.concatenate(ids).astype(np.uint16), np.cumsum([len(one) for one in ids]))
    problem._examples = replace(examples, first=flat)
    if relabel:
        examples.labels._visible[rows] = 1 - examples.labels._visible[rows]
    return problem


@on_texts
def test_only_own_stages_are_named_by_their_task(name: str, task: str) -> None:
    cell = planned(name, task)
    for link in cell.links:
        text = json.dumps(link.stage.key(link.spec))
        assert (task in text) != link.stage.shared
        assert (link.spec.split_checksum in text) != link.stage.shared
    assert cell.links[0].stage.shared, "the general-domain start"
    assert not cell.links[-1].stage.shared, "the stage that sees labels"


def test_a_shared_stage_reads_no_labelled_example() -> None:
    done = set[str]()
    for parameters in pairs(TEXT):
        if METHODS.get(name := str(parameters.values[0])).missing:
            continue
        cell = planned(name, TEXT)
        for position, link in enumerate(cell.links):
            if link.stage.shared and link.digest not in done:
                done.add(link.digest)
                problem: Any = problem_of(cell, link)
                other = altered(problem, torch.arange(len(problem._examples.first)), relabel=True)
                assert same(train(cell, position, problem=other), output(cell, position)), f"{name}: {link.stage.name}"
    assert len(done) > 4


@on_texts
def test_neither_texts_nor_labels_of_the_test_split_matter(name: str, task: str) -> None:
    cell = planned(name, task)
    for position, link in enumerate(cell.links):
        problem: Any = problem_of(cell, link)
        rows = problem._examples.labels.parts["test"]
        assert np.isnan(problem._examples.labels._visible[rows.numpy()]).all()
        assert same(train(cell, position, problem=altered(problem, rows, relabel=False)), trained(name, task)[position])


def test_texts_of_the_training_split_do_matter() -> None:
    """So what the tests above change would show."""
    cell = planned("finetune", TEXT)
    problem: Any = problem_of(cell, cell.links[-1])
    other = altered(problem, problem._examples.labels.parts["train"], relabel=False)
    assert not same(train(cell, 1, problem=other), trained("finetune", TEXT)[1])


def test_a_run_is_the_same_without_the_token_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = planned("tapweight", TEXT)
    cached = [train(cell, position) for position in range(len(cell.links))]
    made: list[int] = []

    def anew(tokenizer: Tokenizer, texts: Sequence[str]) -> Tokens:
        made.append(len(texts))
        return tokenise(tokenizer, texts)

    monkeypatch.setattr("tasks.text.tokens.cached_tokens", anew)
    for position, result in enumerate(cached):
        assert same(result, train(cell, position))
    assert sum(made) > len(cached), "or nothing was tokenised anew"
