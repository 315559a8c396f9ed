"""A small text problem from made sentences, without files: what the tests of the text model share."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from tasks.backbones.roberta import OBJECTIVES, architecture
from tasks.info import TaskInfo
from tasks.labels import Labels
from tasks.problem import Problem, TestKey
from tasks.randomness import generator
from tasks.sealed import SealedLabels
from tasks.settings import TaskSettings
from tasks.spec import ProblemSpec
from tasks.text.problem import LabelledTexts, TextProblem, UnlabelledTexts
from tasks.text.tokenizer import Tokenizer, train, wrap
from tasks.text.tokens import Tokens, tokenise
from tests.tasks.protocol import task_settings, text_settings

SPOKEN = (
    "the a old new big small river city king garden book road ship stone winter summer teacher farmer walked found "
    "lost saw built carried near under over after before bridge house"
)
WORDS = SPOKEN.split()

NAMES = ("masked-lm", "contrastive", "split-order", "planted")


def sentences(count: int, seed: int = 0) -> tuple[str, ...]:
    """Sentences of 1 to 16 words."""
    draws = generator(seed, "sentences")
    made = []
    for _ in range(count):
        size = int(torch.randint(1, 17, (), generator=draws))
        made.append(" ".join(WORDS[number] for number in torch.randint(len(WORDS), (size,), generator=draws)) + ".")
    return tuple(made)


@cache
def tokenizer() -> Tokenizer:
    return wrap(train(sentences(300), 340))


def settings(*, standardise: bool = True, **changes: Any) -> TaskSettings:
    base = task_settings(standardise=standardise)
    return base.model_copy(update={"text": text_settings(**{"width": 16, "vocabulary": 340} | changes)})


def task(kind: str, pairs: bool, files: Sequence[str] = ("test",)) -> TaskInfo:
    text = {
        "format": "tsv",
        "first": "a",
        "second": "b" if pairs else "",
        "label": "y",
        "classes": ["no", "yes", "maybe"] if kind == "classes" else [],
        "train": {"file": "x", "rows": 1},
        "test": {name: {"file": "x", "rows": 1} for name in files},
    }
    values = {
        "suite": "made", "name": "made", "title": "Made", "inputs": "text", "kind": kind, "split": "seeded",
        "metric": "accuracy" if kind == "classes" else "pearson_spearman", "rows": 120, "text": text,
    }  # fmt: skip
    return TaskInfo.model_validate(values)


def labelled(kind: str, rows: int) -> np.ndarray:
    draws = generator(1, "labels")
    if kind == "classes":
        return torch.randint(3, (rows, 1), generator=draws).double().numpy()
    return (5 * torch.rand((rows, 1), generator=draws, dtype=torch.float64)).numpy()


def problem(
    *,
    seed: int = 0,
    kind: str = "classes",
    pairs: bool = True,
    planted: int = 4,
    files: Sequence[str] = ("test",),
    standardise: bool = True,
    tokens: Any = tokenise,
    **changes: Any,
) -> tuple[TextProblem, TestKey]:
    """Return a problem on 200 corpus sentences and 120 labelled rows, and the key of its test split."""
    chosen, info, rows = settings(standardise=standardise, **changes), task(kind, pairs, files), 120
    spec = ProblemSpec(
        task=info, split_checksum="", labels={}, backbone="roberta", seed=seed,
        encoder={"architecture": architecture(chosen.text, tokenizer().vocabulary)},
        corpus={"planted_classes": planted}, objectives=(*OBJECTIVES, "planted") if planted else OBJECTIVES,
    )  # fmt: skip
    labels, key = labelled(kind, rows), TestKey()
    parts = {"train": torch.arange(80), "val": torch.arange(80, 100), "test": torch.arange(100, rows)}
    named = dict(zip(files, parts["test"].chunk(len(files)), strict=True)) if len(files) > 1 else {}
    visible = labels.copy()
    visible[100:] = np.nan

    def unlabelled(count: int, draw: int) -> UnlabelledTexts:
        numbers = torch.randint(max(planted, 1), (count,), generator=generator(0, "planted", draw))
        found: Tokens = tokens(tokenizer(), sentences(count, draw))
        return UnlabelledTexts(found, numbers if planted else None)

    examples = LabelledTexts(
        first=tokens(tokenizer(), sentences(rows, 1)),
        second=tokens(tokenizer(), sentences(rows, 2)) if pairs else None,
        labels=Labels(info, visible, parts, SealedLabels(labels[100:], key), chosen.labels, seed),  # type: ignore[arg-type]
        named=named,
    )
    sources = {"corpus": unlabelled(200, 3), "task": unlabelled(80, 4)}
    return TextProblem(spec, chosen, "cpu", tokenizer(), sources, examples, {"table": {}}), key


def modules(made: Problem, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, nn.ModuleDict, nn.Module]:
    """Fresh encoder, heads of the objectives and downstream head of a problem."""
    found = made.encoder(), made.objective_heads(), made.downstream_head()
    for part in found:
        part.to(dtype)
    return found


# --- modules
