"""What stands behind a score."""

from __future__ import annotations

from pathlib import Path

from leaderboard.report import build
from tests.leaderboard.fabricate import grid, record, save


def test_every_score_names_its_record_origin_and_command(tmp_path: Path) -> None:
    save(tmp_path, grid())
    (board,) = build([tmp_path]).boards
    for task in board.tasks:
        for entry in task.entries:
            assert entry.summary
            assert [run.score for run in entry.runs] == entry.summary.scores
            assert [run.identity for run in entry.runs] == entry.summary.identities
            for run in entry.runs:
                assert (tmp_path / run.file).is_file()
                assert board.origins[run.origin]["torch"] == "2.13.0"
                assert f"--methods {entry.row} --tasks {task.task} --seeds {run.seed} --protocol small" in run.command
    assert len(board.origins) == 1


def test_each_origin_is_held_once_and_local_changes_show(tmp_path: Path) -> None:
    changed = {"commit": "1" * 40, "dirty": True, "device": "A100", "packages": {"torch": "2.6.0"}}
    records = [record("cp", "demo:a", seed, 0.8, **({"provenance": changed} if seed > 1 else {})) for seed in range(4)]
    save(tmp_path, records)
    (board,) = build([tmp_path]).boards
    assert [run.origin for run in board.tasks[0].entries[0].runs] == [0, 0, 1, 1]
    assert board.origins[1] == {"commit": f"{'1' * 12} with local changes", "device": "A100", "torch": "2.6.0"}
    assert board.software["torch"] == ["2.13.0", "2.6.0"]


def test_the_command_of_the_record_wins_and_a_made_one_is_quoted(tmp_path: Path) -> None:
    own = record("cp", "demo:a", 0, 0.8, command="python -m bench run --set a=1")
    odd = record("cp", "demo:a; rm x", 1, 0.8)
    save(tmp_path, [own, odd])
    (board,) = build([tmp_path]).boards
    commands = [run.command for task in board.tasks for run in task.entries[0].runs]
    assert commands == [
        "python -m bench run --set a=1",
        "python -m bench run --methods cp --tasks 'demo:a; rm x' --seeds 1 --protocol small",
    ]
