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
from tasks.info import SCORED_BY, TaskInfo, TextData, TextFile
from tasks.molecules.table import load_table, molecule_tasks

TASKS = [task for suite in suites().values() for task in suite.tasks]
LOWER_IS_BETTER = {"rmse", "mae"}
by_id = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)


def files_of(text: TextData) -> list[TextFile]:
    return [file for file in (text.train, text.val, *text.test.values(), text.domain) if file]


@by_id
def test_the_entry_is_complete(task: TaskInfo) -> None:
    assert task.title
    assert task.source, "where the data is from"
    if ":" in task.file:
        assert task.note, "how computed data is computed"
        return
    assert task.citation
    assert task.licence
    for file in files_of(task.text) if task.text else [task]:
        assert file.sha256 or "no checksum" in task.note, "data is verified by its content"
        assert file.url.startswith("https://") or "no public address" in task.note
    assert task.paper_rows in (None, task.rows) or task.note, "a row count unlike the paper's is explained"


@by_id
def test_the_id_leads_back_to_the_task(task: TaskInfo) -> None:
    assert task.id == f"{task.suite}:{task.name}"
    assert get(task.id) == task
    assert expand(task.id) == [task]
    assert task in expand(task.suite)


@by_id
def test_metric_and_kind_agree(task: TaskInfo) -> None:
    assert task.metric in SCORED_BY[task.kind]
    assert task.higher_is_better == (task.metric not in LOWER_IS_BETTER)
    assert task.outputs == (len(task.text.classes) or 1 if task.text else len(task.targets))
    assert not task.units or task.kind == "regression", "classes have no units"
    assert task.units or task.higher_is_better, "an error has the units of the values"


@by_id
def test_some_method_runs_on_it(task: TaskInfo) -> None:
    for name in METHODS.names():
        if backbone := backbone_for(METHODS.get(name), task):
            assert BACKBONES.get(backbone).inputs == task.inputs
            return
    pytest.fail("no method has a backbone that reads it")


@pytest.mark.parametrize("task", molecule_tasks(suites()["demo"]), ids=lambda task: task.id)
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
