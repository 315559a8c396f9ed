"""Scores against the evaluator of the Open Graph Benchmark, on the sets that both know."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tasks.catalogue import get, suites
from tasks.graph.features import ogb_features
from tasks.metrics import evaluate

SETS = {
    "bace": "ogbg-molbace", "bbbp": "ogbg-molbbbp", "clintox": "ogbg-molclintox", "sider": "ogbg-molsider",
    "tox21": "ogbg-moltox21", "toxcast": "ogbg-moltoxcast", "hiv": "ogbg-molhiv", "muv": "ogbg-molmuv",
    "freesolv": "ogbg-molfreesolv", "esol": "ogbg-molesol", "lipophilicity": "ogbg-mollipo",
}  # fmt: skip
NAMES = {"roc_auc": "rocauc", "rmse": "rmse"}  # ours and theirs


@pytest.mark.filterwarnings("ignore")  # of what ogb imports
def test_scores_are_those_of_ogb() -> None:
    """Also with missing labels, constant targets and ties. OGB scores MUV by average precision."""
    ogb_features()  # before anything else of ogb is imported
    from ogb.graphproppred import Evaluator  # type: ignore[import-untyped]  # takes seconds

    absent = {task.name for task in suites()["moleculenet"].tasks} - set(SETS)
    assert absent == {"qm7", "qm9"}, "which OGB does not have"
    draws = np.random.default_rng(0)
    for name, theirs in SETS.items():
        task, evaluator = get(f"moleculenet:{name}"), Evaluator(theirs)
        assert evaluator.num_tasks == task.outputs
        shape = (200, task.outputs)
        predictions = draws.normal(size=shape).round(1)
        truth = predictions + 2 * draws.normal(size=shape)
        if task.kind == "classification":
            truth = (truth > 0).astype(float)
        if task.outputs > 1:  # none of OGB's sets with one target lacks labels
            truth[draws.random(shape) < 0.3] = np.nan
            truth[:, 0] = 1.0
        ours = evaluate(task, truth, predictions, None)
        given: dict[str, Any] = {"y_true": truth, "y_pred": predictions}
        if name == "muv":
            assert evaluator.eval_metric == "ap"
            expected = evaluator._eval_rocauc(**given)["rocauc"]
        else:
            assert evaluator.eval_metric == NAMES[task.metric]
            expected = evaluator.eval(given)[evaluator.eval_metric]
        assert ours[task.metric] == pytest.approx(expected, rel=1e-12), name
        if task.outputs > 1 and task.kind == "classification":
            assert ours["targets_used"] == task.outputs - 1
