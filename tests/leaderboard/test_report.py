"""The whole report: what is built, written and read by people."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.errors import RequestError
from bench.records import Record
from leaderboard.content import Report
from leaderboard.markdown import render
from leaderboard.report import build, write
from tests.bench import short
from tests.leaderboard.fabricate import failure, grid, plan, record, save

METHODS = ["finetune", "cp", "tapweight", "tapweight-null"]
TASKS = ["moleculenet:bace", "moleculenet:esol"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five seeds; of cp on bace seed 3 failed and seed 4 is damaged; of cp on esol seed 4 is missing."""
    cells = grid()
    save(tmp_path, [cell for cell in cells if not lacks(cell)])
    save(tmp_path, [failure("cp", "moleculenet:bace", 3, "a|b\n<class 'ValueError'>")])
    (tmp_path / "records/cp/moleculenet-bace/seed-4-aa.json").write_text('{"format": 1, "meth')
    skipped = [{"method": "mlm", "task": "moleculenet:bace", "reason": "molecules have no tokens"}]
    plan(tmp_path, cells, METHODS, TASKS, skipped=skipped)
    return tmp_path


def lacks(cell: Record) -> bool:
    return cell.method == "cp" and cell.seed in ((3, 4) if cell.task.endswith("bace") else (4,))


def lines(text: str, start: str) -> list[list[str]]:
    """The cells of all table lines whose first cell starts with ``start``."""
    rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line.startswith("|")
    ]
    return [row for row in rows if row[0].startswith(start)]


def test_rows_tasks_and_counts(folder: Path) -> None:
    (board,) = build(folder).boards
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
    (board,) = build(folder).boards
    scores = [cell.score() for cell in grid() if (cell.method, cell.task) == ("tapweight", TASKS[1])]
    summary = board.tasks[1].entries[2].summary
    assert summary is not None
    assert summary.mean == pytest.approx(np.mean(scores))
    assert summary.sd == pytest.approx(np.std(scores, ddof=1))
    assert summary.scores == scores


def test_controls_stand_outside_families_and_bold(folder: Path) -> None:
    (board,) = build(folder).boards
    for task in board.tasks:
        assert {comparison.other for comparison in task.comparisons} == {"finetune", "cp"}
        control = task.entries[3]
        assert (control.row, control.tied_with_best, control.mark) == ("tapweight-null", False, None)


def test_a_control_that_scores_best_takes_no_bold(tmp_path: Path) -> None:
    for method, level, control in (("finetune", 0.7, None), ("cp", 0.8, None), ("null", 0.95, "cp")):
        save(tmp_path, [record(method, "demo:a", s, level + s / 1000, control_of=control) for s in range(5)])
    (board,) = build(tmp_path).boards
    assert [entry.tied_with_best for entry in board.tasks[0].entries] == [False, True, False]


def test_score_table(folder: Path) -> None:
    text = render(build(folder))
    (head, *_) = lines(text, "method")
    assert head == ["method", "bace (ROC-AUC ↑)", "esol (RMSE ↓)"]
    (cp, *_) = lines(text, "cp")
    assert cp[1].endswith("(3)† ▼")
    assert cp[2].endswith("(4)† ▼")
    (focus, *_) = lines(text, "tapweight (focus)")
    assert all(cell.startswith("**") and cell.endswith("** (5)") for cell in focus[1:])
    assert text.index("*controls*") < text.index("tapweight-null (control of tapweight)")
    assert "**2 of 40 cells missing, 1 failed.**" in text


def test_what_lacks_is_named_and_escaped(folder: Path) -> None:
    text = render(build(folder))
    assert r"a\|b \<class 'ValueError'>" in text
    assert "records/cp/moleculenet-bace/seed-4-aa.json" in text
    assert lines(text, "mlm") == [["mlm", "moleculenet:bace", "molecules have no tokens"]]


def test_caption_says_what_was_done(folder: Path) -> None:
    text = render(build(folder))
    for part in (
        "standard deviation over seeds with n - 1",
        "ROC-AUC ↑ larger is better, RMSE ↓ smaller is better",
        "seeds 0-4",
        "focus method tapweight",
        "Holm over the 2 comparisons of one task",
        "Welch t (n differs), exact over 56 splits",
        grid()[0].split_checksum[:16],
        "image-small",
        "torch 2.13.0",
        "descriptive",
    ):
        assert part in text


def test_three_seeds_print_means_and_say_why_nothing_else(tmp_path: Path) -> None:
    save(tmp_path, grid(3))
    text = render(build(tmp_path))
    assert "No marks against tapweight: 3 seeds allow p >= 0.10, a family of 2 tests needs p <= 0.025" in text
    assert "Nothing is bold: too few seeds" in text
    assert not {"▲", "▼"} & set(text)
    assert {row[6] for row in lines(text, "bace")} == {"–"}
    assert "**0" not in text


def test_one_seed_prints_no_sd(tmp_path: Path) -> None:
    save(tmp_path, grid(1))
    (finetune, *_) = lines(render(build(tmp_path)), "finetune")
    assert "±" not in finetune[1]
    assert finetune[1].endswith(" (1)")


def test_combinations_that_no_paper_evaluates_are_marked(tmp_path: Path) -> None:
    save(tmp_path, [cell.model_copy(update={"published": cell.method != "cp"}) for cell in grid(5)])
    text = render(build(tmp_path))
    (cp, *_) = lines(text, "cp")
    assert [cell.split("(5)")[1] for cell in cp[1:]] == ["° ▼", "° ▼"]
    assert all("°" not in cell for cell in [*lines(text, "finetune")[0], *lines(text, "tapweight")[0]])
    assert "°: ours: no paper evaluates this combination" in text
    save(tmp_path / "published", grid(5))
    assert "°" not in render(build(tmp_path / "published"))


def test_the_mark_follows_from_what_the_method_was_published_for(tmp_path: Path) -> None:
    """Real cells on images: fine-tuning was, the null control is ours."""
    for method in ("finetune", "tapweight-null"):
        (outcome,) = short.run(tmp_path, method)
        assert outcome.ok, outcome.traceback
    text = render(build(tmp_path))
    assert [lines(text, name)[0][1].endswith("(1)°") for name in ("finetune", "tapweight-null")] == [False, True]


def test_what_a_search_spent_stands_below_the_table(tmp_path: Path) -> None:
    spent = {"trials": 8, "pretraining_steps": 1600, "finetuning_epochs": 96}
    save(tmp_path / "alike", [cell.model_copy(update={"budget": spent}) for cell in grid(2) if cell.method == "cp"])
    note = "- cp: 8 trials (1,600 pretraining steps, at most 96 fine-tuning epochs), chosen on validation."
    assert note in render(build(tmp_path / "alike")).split("####")[0]
    other = [
        cell.model_copy(update={"budget": spent | {"finetuning_epochs": 96 if cell.task.endswith("bace") else 200}})
        for cell in grid(2)
    ]
    save(tmp_path / "other", other)
    text = render(build(tmp_path / "other"))
    assert "- cp: 8 trials (1,600 pretraining steps, at most 96 fine-tuning epochs) on bace; 8 trials (" in text
    assert "at most 200 fine-tuning epochs) on esol, chosen on validation." in text


def test_protocols_are_never_mixed(tmp_path: Path) -> None:
    save(tmp_path, [*grid(5), *grid(2, protocol="smoke", marks=False)])
    report = build(tmp_path)
    assert [(board.protocol, board.cells) for board in report.boards] == [("small", 40), ("smoke", 16)]
    smoke = render(report).split("## Protocol smoke")[1]
    assert "this protocol supports no significance" in smoke
    assert not {"▲", "▼"} & set(smoke)
    assert all(c.p is None and c.p_holm is None for task in report.boards[1].tasks for c in task.comparisons)
    assert [p.file for board in report.boards for p in board.pictures if "bace" in p.file] == [
        "weights-moleculenet-bace-small.png",
        "weights-moleculenet-bace-smoke.png",
    ]


def test_focus_by_argument_default_and_error(tmp_path: Path) -> None:
    save(tmp_path, grid(4))
    (board,) = build(tmp_path, "finetune").boards
    assert board.focus == "finetune"
    assert {comparison.other for comparison in board.tasks[0].comparisons} == {"cp", "tapweight"}
    with pytest.raises(RequestError, match=r"focus: 'tapwight'.*did you mean tapweight"):
        build(tmp_path, "tapwight")
    with pytest.raises(RequestError, match=r"known: cp, finetune, tapweight$"):
        build(tmp_path, "tapweight-null")


def test_focus_without_tapweight_is_the_first_that_learns_else_the_last(tmp_path: Path) -> None:
    cells = [cell for cell in grid(2) if cell.method != "tapweight"]
    save(tmp_path, cells)
    assert build(tmp_path).boards[0].focus == "cp"
    learned = next(cell for cell in grid(1) if cell.trajectory)
    save(tmp_path, [record("a-learner", "moleculenet:bace", 0, 0.8, trajectory=learned.trajectory)])
    board = build(tmp_path).boards[0]
    assert [row.label for row in board.rows] == ["finetune", "a-learner", "cp", "tapweight-null"]
    assert board.focus == "a-learner"


def test_costs_charge_what_finetuning_has_not(folder: Path) -> None:
    (board,) = build(folder).boards
    ratios = [entry.cost.ratio for entry in board.tasks[0].entries if entry.cost]
    assert ratios == pytest.approx([1.0, (40 + 45) / 40, 101 / 40, 101 / 40])
    shared = board.tasks[0].entries[1].cost
    assert shared is not None
    assert shared.shared_seconds == {"continued": 45.0, "general": 900.0}
    assert "continued 45 s, general 900 s" in [row[-1] for row in lines(render(build(folder)), "cp")]


def test_other_readouts_are_kept_apart(folder: Path) -> None:
    entry = build(folder).boards[0].tasks[0].entries[2]
    assert entry.summary is not None
    assert entry.readouts["learned head"].mean == pytest.approx(entry.summary.mean * 0.99)
    assert ["tapweight", "learned head"] in [row[:2] for row in lines(render(build(folder)), "tapweight")]


def test_small_errors_keep_their_digits(tmp_path: Path) -> None:
    save(tmp_path, [record("finetune", "demo:q", s, 0.0102 + s * 1e-4, metric="mae") for s in range(2)])
    assert "0.0103 ± 0.0001" in render(build(tmp_path))


def test_written_files(folder: Path) -> None:
    paths = write(folder)
    assert [path.name for path in paths] == [
        "report.json",
        "leaderboard.md",
        "weights-moleculenet-bace.png",
        "weights-moleculenet-esol.png",
    ]
    assert all(path.stat().st_size for path in paths)
    assert not list(folder.glob(".*.tmp"))
    # The page follows from the file alone.
    kept = Report.model_validate(json.loads(paths[0].read_text()))
    assert render(kept) == paths[1].read_text(encoding="utf-8") == render(build(folder))
    assert "NaN" not in paths[0].read_text()
    comparison = json.loads(paths[0].read_text())["boards"][0]["tasks"][0]["comparisons"][0]
    assert comparison["family"] == "small/moleculenet:bace/tapweight"
    assert (comparison["exact"], comparison["splits"], comparison["generator_seed"]) == (True, 252, None)


def test_an_empty_folder_has_an_empty_report(tmp_path: Path) -> None:
    assert [path.name for path in write(tmp_path)] == ["report.json", "leaderboard.md"]
    assert "No records yet." in (tmp_path / "leaderboard.md").read_text()


def test_a_folder_of_failures_names_them(tmp_path: Path) -> None:
    save(tmp_path, [failure("cp", "demo:a", 0, "no space left")])
    text = render(build(tmp_path))
    assert "**0 of 1 cells missing, 1 failed.**" in text
    assert "no space left" in text


def test_heavy_libraries_are_not_imported() -> None:
    code = (
        "import sys, leaderboard.report; "
        "print([name for name in ('torch', 'matplotlib', 'scipy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
