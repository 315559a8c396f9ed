"""What the contract asks of vectors and texts with their test rows, asked of molecules: see ``conftest.py``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tasks.catalogue import get
from tasks.graph.cache import GraphCache, Graphs
from tasks.image.cache import ImageCache, Images
from tasks.molecules.table import load_table
from tests.contract.molecules import inputs_of, molecules, part
from tests.contract.runs import GRAPHS, IMAGES, pairs, planned, problem_of, train, trained

on_molecules = pytest.mark.parametrize("task", [IMAGES, GRAPHS])
READS: dict[str, tuple[Any, str]] = {IMAGES: (Images, "images"), GRAPHS: (Graphs, "batch")}


@pytest.mark.parametrize(("name", "task"), pairs(IMAGES, GRAPHS))
def test_no_stage_reads_a_molecule_of_the_test_split(name: str, task: str) -> None:
    """Or the training, here or in the test that came first, would have ended there."""
    assert trained(name, task)


@on_molecules
def test_no_unlabelled_source_holds_a_molecule_of_the_test_split(task: str) -> None:
    """Of which a shortened run reads a few only."""
    cell = planned("finetune", task)
    problem: Any = problem_of(cell, cell.links[-1])
    assert problem._sources.keys() == {"corpus", "task"}
    for source in problem._sources.values():
        inputs = inputs_of(source)
        assert not molecules(inputs, range(len(inputs))) & part(problem._examples, "test")


@on_molecules
def test_molecules_of_the_test_split_cannot_be_read(task: str) -> None:
    """Neither by the task's own list of molecules nor by another; so what the test above rests on holds."""
    cell = planned("finetune", task)
    problem: Any = problem_of(cell, cell.links[-1])
    image, labels = cell.resolved.settings.image, problem._examples.labels
    cache: Any = ImageCache(image.render_pixels, image.pixels) if task == IMAGES else GraphCache()
    smiles, tests = load_table(get(task)).smiles, labels.parts["test"].tolist()
    assert np.isnan(labels._visible[tests]).all()

    def read(inputs: Any, *rows: int) -> Any:
        return inputs.images(rows) if task == IMAGES else inputs.batch(rows, "published")

    for inputs in (inputs_of(problem._examples), cache.load(smiles)):
        others = [row for row in range(len(smiles)) if row not in tests]
        read(inputs, *others)
        for row in tests:
            with pytest.raises(pytest.fail.Exception, match="a stage read a test molecule"):
                read(inputs, others[0], row)


@on_molecules
def test_a_run_reads_the_other_molecules_of_the_task(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the way that is watched, so that the watch would see those of the test split too."""
    kind, reads = READS[task]
    read, seen = getattr(kind, reads), set[bytes]()

    def noted(self: Any, rows: Any, *given: Any) -> Any:
        seen.update(molecules(self, rows))
        return read(self, rows, *given)

    monkeypatch.setattr(kind, reads, noted)
    cell = planned("finetune", task)
    problem: Any = problem_of(cell, cell.links[1])
    train(cell, 1, problem=problem)
    assert seen >= part(problem._examples, "val")
    assert len(seen & part(problem._examples, "train")) > 100
