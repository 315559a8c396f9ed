"""A small graph problem from the demo's molecules, without files: what the tests of the graph model share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from tasks.backbones.gin import OBJECTIVES
from tasks.graph.cache import GraphCache
from tasks.graph.conformers import ConformerCache
from tasks.graph.problem import GraphProblem, LabelledGraphs, UnlabelledGraphs
from tasks.info import TaskInfo
from tasks.labels import Labels
from tasks.molecules.demo import demo_molecules
from tasks.problem import Problem, TestKey
from tasks.randomness import generator
from tasks.sealed import SealedLabels
from tasks.spec import ProblemSpec
from tests.tasks.protocol import graph_settings, task_settings

NAMES = (*OBJECTIVES, "planted")
ROWS, VAL, TEST = 60, 40, 50  # rows of the task; where its validation and its test part begin
LONG = "C" * 160  # more atoms than what gets a conformer
CORPUS = (*demo_molecules()[ROWS : ROWS + 30], LONG)


def say(line: str) -> None:
    """Nobody listens."""


def labels_of(kind: str, targets: int) -> np.ndarray:
    """Labels that the molecules do not tell, one in five missing where there are several targets."""
    draws = generator(1, "labels")
    found = torch.randn((ROWS, targets), generator=draws, dtype=torch.float64)
    found = (found > 0).double() if kind == "classification" else 3 * found + 7
    if targets > 1:
        found[torch.rand((ROWS, targets), generator=draws) < 0.2] = float("nan")
    return found.numpy()


def problem(
    *,
    seed: int = 0,
    kind: str = "classification",
    targets: int = 1,
    planted: int = 4,
    standardise: bool = True,
    corpus: tuple[str, ...] = CORPUS,
    **changes: Any,
) -> tuple[GraphProblem, TestKey]:
    """Return a problem on 31 corpus molecules and 60 labelled rows, and the key of its test split."""
    settings = task_settings(standardise=standardise, graph=graph_settings(**changes))
    names = [f"t{number}" for number in range(targets)]
    metric = {"classification": "roc_auc", "regression": "rmse"}[kind]
    values = {
        "suite": "made", "name": "made", "title": "Made", "kind": kind, "metric": metric, "file": "x", "rows": ROWS,
        "targets": names,
    }  # fmt: skip
    spec = ProblemSpec(
        task=TaskInfo.model_validate(values), split_checksum="", labels={}, backbone="gin", seed=seed, encoder={},
        corpus={"planted_classes": planted}, objectives=NAMES if planted else OBJECTIVES,
    )  # fmt: skip
    rows, cache = demo_molecules()[:ROWS], GraphCache()
    cache.ensure([*rows, *corpus], 1, say)
    shapes = ConformerCache(settings.graph.conformers, 0)
    own = rows[:VAL:4]
    shapes.ensure([*own, *corpus], 1, say)

    def unlabelled(smiles: tuple[str, ...], draw: int) -> UnlabelledGraphs:
        numbers = torch.randint(max(planted, 1), (len(smiles),), generator=generator(0, "planted", draw))
        return UnlabelledGraphs(cache.load(smiles), shapes.load(smiles), numbers if planted else None)

    labels, key = labels_of(kind, targets), TestKey()
    visible = labels.copy()
    visible[TEST:] = np.nan
    parts = {"train": torch.arange(VAL), "val": torch.arange(VAL, TEST), "test": torch.arange(TEST, ROWS)}
    sealed = SealedLabels(labels[TEST:], key)
    known = Labels(spec.task, visible, parts, sealed, settings.labels, seed)  # type: ignore[arg-type]
    examples = LabelledGraphs(cache.load(rows), known)
    sources = {"corpus": unlabelled(corpus, 3), "task": unlabelled(own, 4)}
    return GraphProblem(spec, settings, "cpu", sources, examples, {"table": {"train": VAL}}), key


def modules(made: Problem, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, nn.ModuleDict, nn.Module]:
    """Fresh encoder, heads of the objectives and downstream head of a problem."""
    found = made.encoder(), made.objective_heads(), made.downstream_head()
    for part in found:
        part.to(dtype)
    return found


def doubled(batch: Any) -> dict[str, torch.Tensor]:
    """The batch with its numbers in double precision."""
    return {name: value.double() if value.is_floating_point() else value for name, value in batch.items()}
