"""What every registered task must say of itself, and that the tasks which need no file can be read."""

from __future__ import annotations

import numpy as np
import pytest

from bench.chain import backbone_for
from bench.commands.prepare import prepare_pairs
from bench.protocol_files import load
from methods import METHODS
from tasks import BACKBONES
from tasks.analytic.quadratic import quadratic
from tasks.catalogue import expand, get, suites
from tasks.info import TaskInfo
from tasks.molecules.table import load_table

TASKS = [task for suite in suites().values() for task in suite.tasks]
DIRECTION = {"roc_auc": ("classification", True), "rmse": ("regression", False), "mae": ("regression", False)}
by_id = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)


@by_id
def test_the_entry_is_complete(task: TaskInfo) -> None:
    assert task.title
    assert task.source, "where the data is from"
    if ":" in task.file:
        assert task.note, "how computed data is computed"
        return
    assert task.citation
    assert task.licence
    assert task.sha256, "data is verified by its content"
    assert task.url.startswith("https://") or "no public address" in task.note
    assert task.paper_rows in (None, task.rows) or task.note, "a row count unlike the paper's is explained"


@by_id
def test_the_id_leads_back_to_the_task(task: TaskInfo) -> None:
    assert task.id == f"{task.suite}:{task.name}"
    assert get(task.id) == task
    assert expand(task.id) == [task]
    assert task in expand(task.suite)


@by_id
def test_metric_and_kind_agree(task: TaskInfo) -> None:
    assert DIRECTION[task.metric] == (task.kind, task.higher_is_better)
    assert task.outputs == len(task.targets)
    assert bool(task.units) == (task.kind == "regression"), "values have units, classes have none"


@by_id
def test_some_method_runs_on_it(task: TaskInfo) -> None:
    for name in METHODS.names():
        if backbone := backbone_for(METHODS.get(name), task):
            assert BACKBONES.get(backbone).inputs == task.inputs
            return
    pytest.fail("no method has a backbone that reads it")


@pytest.mark.parametrize("task", suites()["demo"].tasks, ids=lambda task: task.id)
def test_demo_tasks_are_prepared_with_three_parts(task: TaskInfo) -> None:
    prepare_pairs([("finetune", task, "resnet18")], load("smoke"), mirror=None, download=False, workers=1)
    table = load_table(task)
    parts = [set(part.tolist()) for part in (table.train, table.val, table.test)]
    assert all(parts)
    assert len(table.smiles) == task.rows == sum(map(len, parts))
    assert set.union(*parts) == set(range(task.rows))
    assert table.labels.shape == (task.rows, task.outputs)
    for rows in parts:
        labels = table.labels[sorted(rows)]
        assert np.isfinite(labels).all()
        assert all(len(np.unique(column)) > 1 for column in labels.T), "a part with one label scores nothing"


@pytest.mark.parametrize("task", suites()["analytic"].tasks, ids=lambda task: task.id)
def test_analytic_tasks_have_three_parts(task: TaskInfo) -> None:
    data = quadratic(task.name)
    parts = [set(getattr(data, name).tolist()) for name in ("train", "val", "test")]
    assert len(data.inputs) == task.rows == sum(map(len, parts))
    assert set.union(*parts) == set(range(task.rows))
    assert data.labels.shape == (task.rows, task.outputs)
    assert np.isfinite(data.labels).all()
