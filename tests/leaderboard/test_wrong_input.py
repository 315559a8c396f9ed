"""Records, plans and folders that are not as they should be: handled, or refused in one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.errors import RequestError
from bench.records import FORMAT, OtherFormatError, scan
from leaderboard.check import check
from leaderboard.content import Board, Report
from leaderboard.grid import read_folders
from leaderboard.report import build, write
from leaderboard.tables.markdown import render
from tests.leaderboard import fabricate
from tests.leaderboard.fabricate import change, failure, grid, plan, record, save

TASK = "moleculenet:bace"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three methods and a control x five seeds on one task, with their plan."""
    cells = grid(5, [TASK])
    save(tmp_path, cells)
    plan(tmp_path, cells, ["finetune", "cp", "tapweight", "tapweight-null"], [TASK])
    return tmp_path


def file(folder: Path, method: str = "cp", seed: int = 2) -> Path:
    return fabricate.file(folder, method, seed)


def board_of(report: Report) -> Board:
    (board,) = report.boards
    return board


def n(report: Report, row: str = "cp") -> int:
    (entry,) = [entry for entry in board_of(report).tasks[0].entries if entry.row == row]
    return entry.summary.n if entry.summary else 0


def nan(path: Path) -> None:
    content = json.loads(path.read_text())
    content["scores"] = {"best-val": {"test": {"roc_auc": float("nan")}}}
    path.write_text(json.dumps(content))
    assert "NaN" in path.read_text()


def missing(path: Path) -> None:
    content = json.loads(path.read_text())
    del content["scores"], content["split_checksum"]
    path.write_text(json.dumps(content))


def empty(path: Path) -> None:
    path.write_text("")


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def nested(path: Path) -> None:
    path.write_text("[" * 100_000)


def other_readout(path: Path) -> None:
    change(path, primary="absent")


def huge(path: Path) -> None:
    change(path, scores={"best-val": {"test": {"roc_auc": -1e200}}})


@pytest.mark.parametrize("damage", [nan, missing, empty, as_folder, nested, other_readout, huge])
def test_a_damaged_record_is_named_and_its_cell_missing(folder: Path, damage: Callable[[Path], None]) -> None:
    path = file(folder)
    damage(path)
    report = build([folder])
    assert report.damaged == [path.relative_to(folder).as_posix()]
    assert n(report) == 4
    (lacking,) = board_of(report).missing
    assert (lacking.row, lacking.seeds) == ("cp", [2])
    text = render(report)
    assert path.name in text
    assert "NaN" not in report.model_dump_json()
    (problem,) = [problem for problem in check([folder]).problems if not problem.note]
    assert problem.files == (path,)


def test_a_newer_format_is_refused_in_one_line(folder: Path) -> None:
    path = file(folder)
    change(path, format=FORMAT + 1)
    with pytest.raises(OtherFormatError) as caught:
        build([folder])
    assert str(caught.value).startswith(f"{path}: expected record format {FORMAT}, got {FORMAT + 1}")
    assert "\n" not in str(caught.value)


def test_an_unreadable_record_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = file(folder), Path.read_text

    def refuse(self: Path, *arguments: Any, **named: Any) -> str:
        if self == path:
            raise PermissionError(13, "Permission denied", str(path))
        return real(self, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(PermissionError) as caught:  # the command line says it in one line
        build([folder])
    assert caught.value.filename == str(path)


def test_duplicates(folder: Path) -> None:
    path = file(folder)
    copy = path.with_name("copy.json")
    shutil.copy(path, copy)
    assert n(build([folder])) == 5
    change(copy, chosen_step=9)
    with pytest.raises(RequestError, match="differ but carry one identity; keep one of them") as caught:
        build([folder])
    assert str(path) in str(caught.value)
    assert str(copy) in str(caught.value)


def test_unequal_seeds_are_studentised_and_marked(folder: Path) -> None:
    file(folder).unlink()
    report = build([folder])
    (comparison,) = [one for one in board_of(report).tasks[0].comparisons if one.other == "cp"]
    assert (comparison.statistic, comparison.incomplete, comparison.n_other) == ("Welch t", True, 4)
    text = render(report)
    assert "(4)†" in text
    assert "†: fewer seeds than planned" in text
    assert "Welch t" in text
    (note,) = check([folder]).problems
    assert (note.kind, note.note) == ("seeds", True)


def test_one_method_only(tmp_path: Path) -> None:
    save(tmp_path, [record("cp", TASK, seed, 0.8 + seed / 100) for seed in range(5)])
    task = board_of(build([tmp_path])).tasks[0]
    assert (task.comparisons, task.pairwise) == ([], None)
    assert "no other method" in (task.no_marks or "")
    assert "cp" in render(build([tmp_path]))


def test_one_seed_only(tmp_path: Path) -> None:
    save(tmp_path, grid(1))
    report = build([tmp_path])
    for task in board_of(report).tasks:
        assert all(entry.summary and entry.summary.sd is None for entry in task.entries)
        assert all(entry.mark is None and not entry.tied_with_best for entry in task.entries)
        assert "1 seed allows p >=" in (task.no_marks or "")
    assert "nan" not in render(report).lower().replace("finance", "")


def test_an_empty_folder_has_an_empty_report_and_nothing_to_check(tmp_path: Path) -> None:
    assert "No records yet." in render(build([tmp_path]))
    with pytest.raises(RequestError, match="without a record"):
        check([tmp_path])


@pytest.mark.parametrize("name", ["absent", "file"])
def test_a_folder_that_does_not_exist(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("")
    for asked in ([tmp_path / name], [tmp_path, tmp_path / name]):
        what = "does not exist" if name == "absent" else "is a file"
        with pytest.raises(RequestError, match=rf"--out: expected the folder of a run, got '\S*{name}', which {what}"):
            build(asked)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cells": [{"method": 1}]}', '{"cells": 3}', "[" * 100_000])
def test_a_damaged_plan_is_refused_in_one_line(folder: Path, text: str) -> None:
    (folder / "plan.json").write_text(text)
    with pytest.raises(RequestError, match=r"plan\.json: expected the plan of a run, got a damaged file; delete it"):
        build([folder])


def test_a_plan_that_is_a_folder_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "plan.json").mkdir()
    with pytest.raises(RequestError, match="damaged"):
        build([tmp_path])


def test_a_folder_given_twice_counts_once(folder: Path) -> None:
    report = build([folder, folder / "records" / ".."])
    assert report.folders == [str(folder)]
    assert n(report) == 5
    assert write([folder, folder])[0] == folder / "report.json"  # one folder, so it needs no --to


NAMES = [
    "<script>alert(1)</script>",
    "50% & $x_1^2$ #1 {a} ~b~ \\input",
    "a|b `c` *d* _e_ [f](g)",
    "[31m\x1b[31mred\x07",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_and_reasons_with_special_characters(tmp_path: Path, name: str) -> None:
    method = name.replace("/", "")
    save(tmp_path, [record(method, TASK, seed, 0.8 + seed / 100) for seed in range(2)])
    save(tmp_path, [record("cp", TASK, seed, 0.8 + seed / 99) for seed in range(2)])
    save(tmp_path, [failure(method, TASK, 7, name)])
    paths = write([tmp_path], focus=method, html=True)
    texts = {path: path.read_text(encoding="utf-8") for path in paths if path.suffix in (".md", ".tex", ".html")}
    assert json.loads(paths[0].read_text())["boards"][0]["focus"] == method  # the file keeps it as it is
    for path, text in texts.items():
        assert "<script>alert" not in text.replace("\\<script>", ""), path
        assert "\x1b" not in text, path
        if path.suffix == ".tex":
            assert "\\input" not in text, path
            assert "& $x" not in text, path
    table = [line for line in texts[paths[1]].splitlines() if line.startswith("|")]
    assert len({len(line.replace("\\|", "").split("|")) for line in table[:4]}) == 1  # a name ends no cell


def test_trajectories_of_no_shape_are_damage(folder: Path) -> None:
    path = file(folder, "tapweight")
    content = json.loads(path.read_text())
    content["trajectory"]["weights"][3] = [1.0]
    path.write_text(json.dumps(content))
    assert scan(folder).damaged == [path]
    assert read_folders([folder]).damaged == [path.relative_to(folder).as_posix()]


def test_a_huge_readout_that_is_not_primary_is_left_out(folder: Path) -> None:
    scores = {"best-val": {"test": {"roc_auc": 0.8}}, "last": {"test": {"roc_auc": 1e200}}}
    change(file(folder), scores=scores)
    paths = write([folder])
    assert '"last"' not in paths[0].read_text()


@pytest.mark.parametrize(
    ("budget", "said"),
    [({"trials": 3}, "cp: 3 trials, chosen"), ({"else": 1}, "cp: unknown trials, chosen")],
)
def test_a_budget_without_its_usual_parts(folder: Path, budget: dict[str, int], said: str) -> None:
    for seed in range(5):
        change(file(folder, "cp", seed), budget=budget)
    assert said in render(build([folder]))


def test_a_trajectory_without_objectives_is_none(folder: Path) -> None:
    nothing = {"objectives": [], "steps": [4], "weights": [[]], "alignment": [], "losses": []}
    for seed in range(5):
        change(file(folder, "cp", seed), trajectory=nothing)
    write([folder])
    board = board_of(build([folder]))
    assert "cp" not in [curve.row for curve in board.curves[0].weights]
    assert "cp" not in [learned.row for learned in board.tasks[0].learned]
