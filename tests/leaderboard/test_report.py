"""The whole report: what is built, written and read by people."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.errors import RequestError
from leaderboard.content import Report
from leaderboard.report import build, write
from leaderboard.tables.markdown import render
from tests.leaderboard.fabricate import METHODS, TASKS, grid, plan, record, save, unfinished


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return unfinished(tmp_path)


def test_rows_tasks_and_counts(folder: Path) -> None:
    (board,) = build([folder]).boards
    assert [row.label for row in board.rows] == METHODS
    assert [task.task for task in board.tasks] == TASKS
    assert board.cells == 40
    assert [(item.row, item.task, item.seeds) for item in board.missing] == [
        ("cp", "moleculenet:bace", [4]),
        ("cp", "moleculenet:esol", [4]),
    ]
    assert [(item.row, item.task, item.seeds) for item in board.failed] == [("cp", "moleculenet:bace", [3])]
    assert board.focus == "tapweight"


def test_summaries_are_those_of_numpy(folder: Path) -> None:
    (board,) = build([folder]).boards
    scores = [cell.score() for cell in grid() if (cell.method, cell.task) == ("tapweight", TASKS[1])]
    summary = board.tasks[1].entries[2].summary
    assert summary is not None
    assert summary.mean == pytest.approx(np.mean(scores))
    assert summary.sd == pytest.approx(np.std(scores, ddof=1))
    assert summary.scores == scores


def test_controls_stand_outside_families_and_bold(folder: Path) -> None:
    (board,) = build([folder]).boards
    for task in board.tasks:
        assert {comparison.other for comparison in task.comparisons} == {"finetune", "cp"}
        control = task.entries[3]
        assert (control.row, control.tied_with_best, control.mark) == ("tapweight-null", False, None)


def test_a_control_that_scores_best_takes_no_bold(tmp_path: Path) -> None:
    for method, level, control in (("finetune", 0.7, None), ("cp", 0.8, None), ("null", 0.95, "cp")):
        save(tmp_path, [record(method, "demo:a", s, level + s / 1000, control_of=control) for s in range(5)])
    (board,) = build([tmp_path]).boards
    assert [entry.tied_with_best for entry in board.tasks[0].entries] == [False, True, False]


def test_focus_by_argument_default_and_error(tmp_path: Path) -> None:
    save(tmp_path, grid(4))
    (board,) = build([tmp_path], "finetune").boards
    assert board.focus == "finetune"
    assert {comparison.other for comparison in board.tasks[0].comparisons} == {"cp", "tapweight"}
    with pytest.raises(RequestError, match=r"focus: 'tapwight'.*did you mean tapweight"):
        build([tmp_path], "tapwight")
    with pytest.raises(RequestError, match=r"known: cp, finetune, tapweight$"):
        build([tmp_path], "tapweight-null")


def test_focus_without_tapweight_is_the_first_that_learns_else_the_last(tmp_path: Path) -> None:
    cells = [cell for cell in grid(2) if cell.method != "tapweight"]
    save(tmp_path, cells)
    assert build([tmp_path]).boards[0].focus == "cp"
    learned = next(cell for cell in grid(1) if cell.trajectory)
    save(tmp_path, [record("a-learner", "moleculenet:bace", 0, 0.8, trajectory=learned.trajectory)])
    board = build([tmp_path]).boards[0]
    assert [row.label for row in board.rows] == ["finetune", "a-learner", "cp", "tapweight-null"]
    assert board.focus == "a-learner"


def test_written_files(folder: Path) -> None:
    paths = write([folder])
    names = [path.relative_to(folder).as_posix() for path in paths]
    assert names[:2] == ["report.json", "leaderboard.md"]
    assert {
        "pictures/weights-moleculenet-bace.png",
        "tables/small-moleculenet.csv",
        "tables/small-moleculenet.tex",
    } < set(names)
    assert all(path.stat().st_size for path in paths)
    assert not list(folder.glob(".*.tmp"))
    # The page follows from the file alone.
    kept = Report.model_validate(json.loads(paths[0].read_text()))
    text = render(kept)
    assert text == paths[1].read_text(encoding="utf-8")
    for name in re.findall(r"\(([^ ()]+\.png)\)|(tables/[^ ]+\.csv)", text):
        assert (folder / "".join(name)).exists()
    assert "NaN" not in paths[0].read_text()
    comparison = json.loads(paths[0].read_text())["boards"][0]["tasks"][0]["comparisons"][0]
    assert comparison["family"] == "small/moleculenet:bace/tapweight"
    assert (comparison["exact"], comparison["splits"], comparison["generator_seed"]) == (True, 252, None)


def test_an_empty_folder_has_an_empty_report(tmp_path: Path) -> None:
    assert [path.name for path in write([tmp_path])] == ["report.json", "leaderboard.md"]
    assert "No records yet." in (tmp_path / "leaderboard.md").read_text()


def test_heavy_libraries_are_not_imported() -> None:
    code = (
        "import sys, leaderboard.report; "
        "print([name for name in ('torch', 'matplotlib', 'scipy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_report_removes_the_tables_and_pictures_of_an_earlier_one_and_nothing_else(folder: Path) -> None:
    mine = [folder / name for name in ("tables/mine.csv", "pictures/photo.png", "page/pictures/photo.svg", "a.csv")]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    earlier = write([folder], html=True)
    for path in folder.glob("records/*/moleculenet-esol/*"):
        path.unlink()
    plan(folder, [], METHODS, TASKS[:1])
    paths = write([folder], html=True)
    assert all(path.exists() for path in [*mine, *paths])
    outdated = set(earlier) - set(paths)
    assert {"small-moleculenet-esol.csv", "weights-moleculenet-esol.svg"} < {path.name for path in outdated}
    assert not any(path.exists() for path in outdated)


def test_a_report_without_a_page_leaves_the_page_as_it_is(folder: Path) -> None:
    page = [path for path in write([folder], html=True) if "page" in path.parts]
    write([folder])
    assert all(path.exists() for path in page)
    for path in folder.glob("records/*/moleculenet-esol/*"):
        path.unlink()
    plan(folder, [], METHODS, TASKS[:1])
    new = write([folder], html=True)
    assert {path.name for path in page if not path.exists()} == {path.name for path in set(page) - set(new)} != set()


@pytest.mark.parametrize("files", [["a.csv", "../a.csv", "tables/../a.csv", "/a.csv", "report.txt"], "a.csv", [[]], 3])
def test_no_list_of_files_makes_a_report_delete_others(folder: Path, files: object) -> None:
    for path in (folder / "a.csv", folder / "report.txt", folder.parent / "a.csv"):
        path.touch()
    (folder / "tables").mkdir()
    (folder / "report.json").write_text(json.dumps({"files": files}))
    write([folder])
    assert all(path.exists() for path in (folder / "a.csv", folder / "report.txt", folder.parent / "a.csv"))


def test_splits_that_the_seed_draws_are_all_in_the_file(tmp_path: Path) -> None:
    for method in ("finetune", "cp"):
        save(tmp_path, [record(method, "glue:rte", s, 0.8, paired=True, split_checksum=f"c{s}") for s in (2, 0, 1)])
    paths = write([tmp_path])
    (task,) = Report.model_validate_json(paths[0].read_text()).boards[0].tasks
    assert task.split_checksums == {0: "c0", 1: "c1", 2: "c2"}
    assert task.split_checksum == "c0"
    assert "Splits: rte drawn by the seed (3 in report.json)." in paths[1].read_text()
