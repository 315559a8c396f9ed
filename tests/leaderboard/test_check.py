"""Every inconsistency of a folder is found, named with its files, and hides no other."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.errors import RequestError
from bench.records import FORMAT, Trajectory, write
from leaderboard.check import Problem, check
from tests.leaderboard import fabricate
from tests.leaderboard.fabricate import change, failure, grid, plan, record, save, trajectory

TASK = "demo:a"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two methods x four seeds without a fault."""
    save(tmp_path, [record(method, TASK, seed, 0.8) for method in ("cp", "finetune") for seed in range(4)])
    return tmp_path


def file(folder: Path, method: str = "cp", seed: int = 0) -> Path:
    return fabricate.file(folder, method, seed)


def only(folder: Path) -> Problem:
    (problem,) = check([folder]).problems
    return problem


def test_a_sound_folder(folder: Path) -> None:
    found = check([folder])
    assert (found.records, found.problems, found.sound) == (8, [], True)
    save(folder, [failure("cp", TASK, 7)])
    assert check([folder]).sound


def test_a_real_shape_is_sound(tmp_path: Path) -> None:
    cells = grid(2)
    save(tmp_path, cells)
    plan(tmp_path, cells, ["cp"], ["moleculenet:bace"])
    assert check([tmp_path]).problems == []


def test_two_records_of_one_identity(folder: Path) -> None:
    path = file(folder)
    other = path.with_name("other.json")
    shutil.copy(path, other)
    identity = json.loads(path.read_text())["identity"]
    assert [problem.kind for problem in check([folder]).problems] == ["place"]  # the same record counts once
    assert check([folder]).records == 8
    change(other, chosen_step=9)
    clash, place = sorted(check([folder]).problems, key=lambda problem: problem.kind)
    assert (clash.kind, set(clash.files)) == ("identity", {path, other})
    assert identity in clash.message
    assert clash.message.endswith("differ in chosen_step")
    assert (place.kind, place.files, place.message) == ("place", (other,), f"belongs at {path}")


def test_two_records_of_one_cell_unless_the_plan_chooses(folder: Path) -> None:
    new = record("cp", TASK, 0, 0.9, identity="new")
    save(folder, [new])
    problem = only(folder)
    assert (problem.kind, problem.note) == ("cell", False)
    assert set(problem.files) == set(folder.glob("records/cp/demo-a/seed-0-*.json"))
    assert "cp on demo:a (small) seed 0 has 2 records" in problem.message
    plan(folder, [new], ["cp"], [TASK])
    note = only(folder)
    assert (note.kind, note.note, check([folder]).sound) == ("replaced", True, True)
    assert note.files == (next(path for path in folder.glob("records/cp/demo-a/seed-0-*") if "new" not in path.name),)


@pytest.mark.parametrize(
    ("values", "kind", "text"),
    [
        ({"split_checksum": "zzz"}, "split", "split checksum is"),
        (
            {"metric": "mae", "scores": {"best-val": {"test": {"mae": 1.0}}}},
            "metric",
            "metric is 'mae' here, 'roc_auc' in 7 records such as ",
        ),
        ({"higher_is_better": False}, "metric", "higher_is_better is False here, True in 7 records"),
        ({"paired": True}, "metric", "paired is True here, False in 7 records"),
        ({"marks": False}, "protocol", "small: marks is False here, True in 7 records"),
        ({"primary": "absent"}, "damaged", "no test roc_auc of the primary read-out 'absent'"),
        ({"scores": {"best-val": {"val": {"roc_auc": 0.5}}}}, "damaged", "no test roc_auc"),
        ({"scores": {"best-val": {"test": {"roc_auc": 1e200}}}}, "damaged", "1e+200 is too large for a test roc_auc"),
    ],
)
def test_one_record_that_differs(folder: Path, values: dict[str, Any], kind: str, text: str) -> None:
    path = file(folder, seed=2)
    change(path, **values)
    found = [problem for problem in check([folder]).problems if not problem.note]
    (problem,) = [problem for problem in found if problem.kind == kind]
    assert problem.files == (path,)
    assert text in problem.message
    assert not check([folder]).sound
    if kind != "damaged":
        assert str(file(folder, seed=0)) in problem.message  # one of those that it differs from


def test_a_split_a_seed_where_scores_are_paired(tmp_path: Path) -> None:
    cells = [
        record(method, TASK, seed, 0.8, paired=True, split_checksum=f"split {seed}")
        for method in ("cp", "finetune")
        for seed in range(3)
    ]
    save(tmp_path, cells)
    assert check([tmp_path]).problems == []
    change(file(tmp_path, seed=1), split_checksum="split 0")
    problem = only(tmp_path)
    assert (problem.kind, problem.files) == ("split", (file(tmp_path, "finetune", 1),))
    assert problem.message == f"demo:a (small): split checksum is 'split 1' here, 'split 0' in {file(tmp_path, seed=1)}"


def test_mixed_protocols_of_one_name(folder: Path) -> None:
    for method in ("cp", "finetune"):
        for seed in range(4):
            change(
                file(folder, method, seed), settings={"finetune": {"epochs": 12, "lr": 0.1}, "method": {"m": method}}
            )
    assert check([folder]).problems == []  # what is a method's own may differ
    change(file(folder, "cp", 3), settings={"finetune": {"epochs": 25, "lr": 0.2}, "method": {"m": "cp"}})
    problem = only(folder)
    assert (problem.kind, problem.files) == ("protocol", (file(folder, "cp", 3),))
    assert problem.message == (
        "cp on demo:a (small): finetune.epochs is 25 here, 12 in 3 records such as "
        f"{file(folder, 'cp', 0)}; 1 more setting differs"
    )
    for seed in range(4):  # now all of cp: perhaps an override by method
        change(file(folder, "cp", seed), settings={"finetune": {"epochs": 25, "lr": 0.1}, "method": {}})
    note = only(folder)
    assert (note.kind, note.note) == ("protocol", True)
    assert note.message.startswith("demo:a (small): finetune.epochs is 12 here, 25 in ")


def test_integers_and_floats_are_one_setting(folder: Path) -> None:
    change(file(folder), settings={"finetune": {"lr": 1}})
    for seed in range(1, 4):
        change(file(folder, seed=seed), settings={"finetune": {"lr": 1.0}})
    assert [problem for problem in check([folder]).problems if not problem.note] == []


def blank(path: Path) -> None:
    path.write_text("")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def no_metric(path: Path) -> None:
    content = json.loads(path.read_text())
    del content["metric"]
    path.write_text(json.dumps(content))


def no_format(path: Path) -> None:
    content = json.loads(path.read_text())
    del content["format"]
    path.write_text(json.dumps(content))


def newer(path: Path) -> None:
    change(path, format=FORMAT + 1)


def nan(path: Path) -> None:
    path.write_text(path.read_text().replace('"roc_auc": 0.8', '"roc_auc": NaN'))


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def deep(path: Path) -> None:
    path.write_text("[" * 100_000)


def ragged(path: Path) -> None:
    change(path, trajectory=trajectory(0).model_dump() | {"weights": [[1.0, 0.0]]})


@pytest.mark.parametrize(
    ("damage", "kind", "text"),
    [
        (blank, "damaged", "0 bytes"),
        (half, "damaged", "no JSON"),
        (no_metric, "damaged", "metric: Field required"),
        (no_format, "damaged", "no format version"),
        (newer, "format", f"expected record format {FORMAT}, got {FORMAT + 1}"),
        (nan, "damaged", "scores.best-val.test.roc_auc: Input should be a finite number"),
        (as_folder, "damaged", "it is a folder"),
        (deep, "damaged", "no JSON"),
        (ragged, "damaged", "trajectory: Value error, weights: expected one row a step"),
    ],
)
def test_damaged_files_hide_nothing(folder: Path, damage: Callable[[Path], None], kind: str, text: str) -> None:
    first, last = file(folder, "cp", 0), file(folder, "finetune", 3)
    damage(first)
    change(last, split_checksum="zzz")
    found = check([folder])
    problems = {problem.kind: problem for problem in found.problems if not problem.note}
    assert problems.keys() == {kind, "split"}
    assert problems[kind].files == (first,)
    assert text in problems[kind].message
    assert last in problems["split"].files
    assert found.records == 7


def test_a_file_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = file(folder), Path.read_text

    def refuse(self: Path, *arguments: Any, **named: Any) -> str:
        if self == path:
            raise PermissionError(13, "Permission denied", str(path))
        return real(self, *arguments, **named)

    monkeypatch.setattr(Path, "read_text", refuse)
    problems = [problem for problem in check([folder]).problems if not problem.note]
    assert [(one.kind, one.message, one.files) for one in problems] == [
        ("damaged", "cannot be read (Permission denied)", (path,))
    ]


@pytest.mark.parametrize(
    "place", ["records/seed.json", "records/cp/demo-a/deep/seed.json", "records/dapt/demo-a/s.json"]
)
def test_a_record_in_the_wrong_place(folder: Path, place: str) -> None:
    source = file(folder)
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    source.rename(folder / place)
    problem = only(folder)
    assert (problem.kind, problem.files, problem.message) == ("place", (folder / place,), f"belongs at {source}")


def test_other_files_are_notes(folder: Path) -> None:
    (folder / "records" / "README").write_text("")
    file(folder).with_suffix(".damaged").write_text("{")
    (folder / "records" / ".seed.json.tmp").write_text("{")  # being written
    found = check([folder])
    assert [(one.kind, one.note, one.files[0].name[-7:]) for one in found.problems] == [
        ("foreign", True, "README"),
        ("foreign", True, "damaged"),
    ]
    assert found.sound


def test_weights_that_leave_the_simplex(folder: Path) -> None:
    def path(last: list[float]) -> dict[str, Any]:
        rows = [[0.5, 0.5], last]
        return Trajectory(objectives=["a", "b"], steps=[4, 8], weights=rows, alignment=[], losses=[]).model_dump()

    change(file(folder, seed=0), trajectory=path([0.6, 0.6]))
    change(file(folder, seed=1), trajectory=path([1.5, -0.5]))
    change(file(folder, seed=2), trajectory=path([0.3, 0.7 + 1e-9]))
    found = {problem.files[0]: problem for problem in check([folder]).problems}
    assert found.keys() == {file(folder, seed=0), file(folder, seed=1)}
    assert "at step 8 they sum to 1.2" in found[file(folder, seed=0)].message
    assert "the smallest is -0.5" in found[file(folder, seed=1)].message


def test_unequal_seeds_are_a_note(folder: Path) -> None:
    file(folder, "cp", 3).unlink()
    file(folder, "finetune", 0).unlink()
    note = only(folder)
    assert (note.kind, note.note, note.files) == ("seeds", True, ())
    assert note.message == "demo:a (small): of 4 seeds cp lacks 3; finetune lacks 0"
    assert check([folder]).sound


def test_a_damaged_plan_hides_nothing(folder: Path) -> None:
    (folder / "plan.json").write_text('{"cells": [1]}')
    half(file(folder))
    assert {problem.kind for problem in check([folder]).problems if not problem.note} == {"plan", "damaged"}


def test_failures_are_read_too(folder: Path) -> None:
    path = write(folder, failure("cp", TASK, 9))
    blank(path)
    problem = only(folder)
    assert (problem.kind, problem.files) == ("damaged", (path,))


def test_merged_folders(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, seeds in ((first, (0, 1)), (second, (1, 2))):
        save(folder, [record("cp", TASK, seed, 0.8) for seed in seeds])
    found = check([first, second, first])
    assert (found.records, found.problems) == (3, [])
    change(file(second, seed=1), scores={"best-val": {"test": {"roc_auc": 0.1}}})
    (clash,) = check([first, second]).problems
    assert (clash.kind, clash.files) == ("identity", (file(first, seed=1), file(second, seed=1)))
    assert check([first]).sound
    change(file(second, seed=2), split_checksum="zzz")
    assert {problem.kind for problem in check([first, second]).problems} == {"identity", "split"}
    (tmp_path / "empty").mkdir()
    assert any(one.note and one.files == (tmp_path / "empty",) for one in check([first, tmp_path / "empty"]).problems)


def test_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"--out: .*without a record"):
        check([tmp_path])
    plan(tmp_path, [record("cp", TASK, 0, 0.8)], ["cp"], [TASK])
    with pytest.raises(RequestError, match="without a record"):
        check([tmp_path])
    with pytest.raises(RequestError, match="does not exist"):
        check([tmp_path / "absent"])


def test_a_line_is_one_line_and_names_not_too_many_files(tmp_path: Path) -> None:
    many = tuple(tmp_path / f"{index}\n\x1b[31m.json" for index in range(9))
    line = str(Problem("split", "a\tb\r\nc\x07", many))
    assert line.startswith(f"split: {tmp_path}/0 ")
    assert "and 3 more: a b c" in line
    assert line.isprintable()
    assert str(Problem("seeds", "x", note=True)) == "note, seeds: x"
