"""The test split of every modality, out of reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tasks.analytic.problem import AnalyticProblem
from tasks.graph.cache import Graphs
from tasks.graph.problem import GraphProblem
from tasks.image.cache import Images
from tasks.image.problem import ImageProblem
from tasks.sealed import SealedLabels
from tasks.text.problem import TextProblem
from tests.contract.molecules import molecules, part


@pytest.fixture(autouse=True)
def sealed(bench_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stage ever touches the test split: here it cannot be opened or scored, and its molecules cannot be read.

    Vectors and texts of the test split are replaced instead, in tests of their own.
    """
    held_out = set[bytes]()

    def guard(kind: Any) -> None:
        score = kind.score

        def guarded(self: Any, encoder: Any, head: Any, split: Any = "val", key: Any = None) -> Any:
            assert split != "test"
            return score(self, encoder, head, split, key)

        monkeypatch.setattr(kind, "score", guarded)

    def hold_out(kind: Any) -> None:
        begin = kind.__init__

        def begun(self: Any, spec: Any, settings: Any, device: str, sources: Any, examples: Any, facts: Any) -> None:
            held_out.update(part(examples, "test"))
            begin(self, spec, settings, device, sources, examples, facts)

        monkeypatch.setattr(kind, "__init__", begun)

    def watch(kind: Any, reads: str) -> None:
        read = getattr(kind, reads)

        def watched(self: Any, rows: Any, *given: Any) -> Any:
            if held_out & molecules(self, rows):
                pytest.fail("a stage read a test molecule")
            return read(self, rows, *given)

        monkeypatch.setattr(kind, reads, watched)

    guard(ImageProblem)
    guard(AnalyticProblem)
    guard(TextProblem)
    guard(GraphProblem)
    hold_out(ImageProblem)
    hold_out(GraphProblem)
    watch(Images, "images")
    watch(Graphs, "batch")
    monkeypatch.setattr(SealedLabels, "open", lambda *_: pytest.fail("a stage opened the test labels"))
