"""The test split of every modality, out of reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.analytic.problem import AnalyticProblem
from tasks.graph.problem import GraphProblem
from tasks.image.problem import ImageProblem
from tasks.sealed import SealedLabels
from tasks.text.problem import TextProblem


@pytest.fixture(autouse=True)
def sealed(bench_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stage ever touches the test split: here it cannot be opened or scored at all."""

    def guard(kind: Any) -> None:
        score = kind.score

        def guarded(self: Any, encoder: Any, head: Any, split: Any = "val", key: Any = None) -> Any:
            assert split != "test"
            return score(self, encoder, head, split, key)

        monkeypatch.setattr(kind, "score", guarded)

    guard(ImageProblem)
    guard(AnalyticProblem)
    guard(TextProblem)
    guard(GraphProblem)
    monkeypatch.setattr(SealedLabels, "open", lambda *_: pytest.fail("a stage opened the test labels"))
