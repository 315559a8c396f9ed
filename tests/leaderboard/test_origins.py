"""What stands behind a score."""

from __future__ import annotations

from pathlib import Path

from leaderboard.report import build
from tests.leaderboard.fabricate import grid, record, save


def test_every_score_names_its_record_origin_and_command(tmp_path: Path) -> None:
    save(tmp_path, grid(command="python -m bench run --methods m --set a=1"))
    (board,) = build([tmp_path]).boards
    for task in board.tasks:
        for entry in task.entries:
            assert entry.summary
            assert [run.score for run in entry.runs] == entry.summary.scores
            assert [run.identity for run in entry.runs] == entry.summary.identities
            for run in entry.runs:
                assert (tmp_path / run.file).is_file()
                assert board.origins[run.origin]["torch"] == "2.13.0"
                assert run.command == "python -m bench run --methods m --set a=1"
    assert len(board.origins) == 1


def test_each_origin_is_held_once_and_local_changes_show(tmp_path: Path) -> None:
    changed = {"commit": "1" * 40, "dirty": True, "device": "A100", "packages": {"torch": "2.6.0"}}
    records = [record("cp", "demo:a", seed, 0.8, **({"provenance": changed} if seed > 1 else {})) for seed in range(4)]
    save(tmp_path, records)
    (board,) = build([tmp_path]).boards
    assert [run.origin for run in board.tasks[0].entries[0].runs] == [0, 0, 1, 1]
    assert board.origins[1] == {"commit": f"{'1' * 12} with local changes", "device": "A100", "torch": "2.6.0"}
    assert board.software["torch"] == ["2.13.0", "2.6.0"]


def test_a_record_without_a_command_gets_none(tmp_path: Path) -> None:
    """Made up from its fields it would lack what was set beside the protocol, and the backbone."""
    own = record("cp", "demo:a", 0, 0.8, command="python -m bench run --set a=1")
    save(tmp_path, [own, record("cp", "demo:a", 1, 0.8)])
    (board,) = build([tmp_path]).boards
    (entry,) = board.tasks[0].entries
    assert [run.command for run in entry.runs] == ["python -m bench run --set a=1", None]
