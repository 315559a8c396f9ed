"""No published number ever reaches a statistic."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import leaderboard.published
from leaderboard.published import papers
from leaderboard.report import build
from tests.leaderboard import fabricate


def test_the_report_is_the_same_without_any_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # TapWeight's Table 1 has rows of finetune, cp, tapweight and attrmask.
    records = fabricate.grid()
    records += [fabricate.record("attrmask", "moleculenet:bace", seed, 0.75 + seed / 100) for seed in range(5)]
    fabricate.save(tmp_path, records)
    ours = {record.identity for record in records}
    with_papers = build([tmp_path], focus="tapweight")
    for board in with_papers.boards:
        labels = {row.label for row in board.rows}
        for task in board.tasks:
            assert task.comparisons
            for found in task.comparisons:
                assert {found.focus, found.other} <= labels
                assert {*found.identities_focus, *found.identities_other} <= ours
                assert (found.n_focus, found.n_other) == (len(found.identities_focus), len(found.identities_other))

    assert papers()
    monkeypatch.setattr(leaderboard.published, "papers", lambda: ())
    assert without_published(build([tmp_path], focus="tapweight")) == without_published(with_papers)


def without_published(report: Any) -> dict[str, Any]:
    content: dict[str, Any] = report.model_dump()
    for board in content["boards"]:
        for key in [key for key in board if key.startswith("published")]:
            del board[key]
    return content
