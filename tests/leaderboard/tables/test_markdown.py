"""The report as Markdown, from records."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderboard.report import build
from leaderboard.tables.markdown import render
from tests.bench import short
from tests.leaderboard.fabricate import failure, grid, record, save, unfinished


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return unfinished(tmp_path)


def lines(text: str, start: str) -> list[list[str]]:
    """The cells of all table lines whose first cell starts with ``start``."""
    rows = [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line.startswith("|")
    ]
    return [row for row in rows if row[0].startswith(start)]


def test_score_table(folder: Path) -> None:
    text = render(build([folder]))
    (head, *_) = lines(text, "method")
    assert head[:3] == ["method", "bace (ROC-AUC ↑)", "esol (RMSE ↓)"]
    (cp, *_) = lines(text, "cp")
    assert cp[1].endswith("(3)† ▼")
    assert cp[2].endswith("(4)† ▼")
    (focus, *_) = lines(text, "tapweight (focus)")
    assert all(cell.startswith("**") and cell.endswith("** (5)") for cell in focus[1:3])
    assert text.index("*controls*") < text.index("tapweight-null (control of tapweight)")
    assert "2 of 40 cells missing, 1 failed." in text


def test_what_lacks_is_named_and_escaped(folder: Path) -> None:
    text = render(build([folder]))
    assert r"a\|b \<class 'ValueError'>" in text
    assert "records/cp/moleculenet-bace/seed-4-aa.json" in text
    assert lines(text, "mlm") == [["mlm", "moleculenet:bace", "molecules have no tokens"]]


def test_caption_says_what_was_done(folder: Path) -> None:
    text = render(build([folder]))
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
    text = render(build([tmp_path]))
    assert "No marks against tapweight: 3 seeds allow p >= 0.10, a family of 2 tests needs p <= 0.025" in text
    assert "Nothing is bold: too few seeds" in text
    assert not {"▲", "▼"} & set(text)
    assert "p (Holm)" not in text.split("#### Learned weights")[0]
    assert "**0" not in text


def test_one_seed_prints_no_sd(tmp_path: Path) -> None:
    save(tmp_path, grid(1))
    (finetune, *_) = lines(render(build([tmp_path])), "finetune")
    assert "±" not in finetune[1]
    assert finetune[1].endswith(" (1)")


def test_combinations_that_no_paper_evaluates_are_marked(tmp_path: Path) -> None:
    save(tmp_path, [cell.model_copy(update={"published": cell.method != "cp"}) for cell in grid(5)])
    text = render(build([tmp_path]))
    (cp, *_) = lines(text, "cp")
    assert [cell.split("(5)")[1] for cell in cp[1:3]] == ["° ▼", "° ▼"]
    assert all("°" not in cell for cell in [*lines(text, "finetune")[0], *lines(text, "tapweight")[0]])
    assert "°: ours: no paper evaluates this combination" in text
    save(tmp_path / "published", grid(5))
    assert "°" not in render(build([tmp_path / "published"]))


def test_the_mark_follows_from_what_the_method_was_published_for(tmp_path: Path) -> None:
    """Real cells on images: fine-tuning was, the null control is ours."""
    for method in ("finetune", "tapweight-null"):
        (outcome,) = short.run(tmp_path, method)
        assert outcome.ok, outcome.traceback
    text = render(build([tmp_path]))
    assert [lines(text, name)[0][1].endswith("(1)°") for name in ("finetune", "tapweight-null")] == [False, True]


def test_what_a_search_spent_stands_below_the_table(tmp_path: Path) -> None:
    spent = {"trials": 8, "pretraining_steps": 1600, "finetuning_epochs": 96}
    save(tmp_path / "alike", [cell.model_copy(update={"budget": spent}) for cell in grid(2) if cell.method == "cp"])
    note = "- cp: 8 trials (1,600 pretraining steps, at most 96 fine-tuning epochs), chosen on validation."
    assert note in render(build([tmp_path / "alike"])).split("####")[0]
    other = [
        cell.model_copy(update={"budget": spent | {"finetuning_epochs": 96 if cell.task.endswith("bace") else 200}})
        for cell in grid(2)
    ]
    save(tmp_path / "other", other)
    text = render(build([tmp_path / "other"]))
    assert "- cp: 8 trials (1,600 pretraining steps, at most 96 fine-tuning epochs) on bace; 8 trials (" in text
    assert "at most 200 fine-tuning epochs) on esol, chosen on validation." in text


def test_protocols_are_never_mixed(tmp_path: Path) -> None:
    save(tmp_path, [*grid(5), *grid(2, protocol="smoke", marks=False)])
    report = build([tmp_path])
    assert [(board.protocol, board.cells) for board in report.boards] == [("small", 40), ("smoke", 16)]
    smoke = render(report).split("## Protocol smoke")[1]
    assert "this protocol supports no significance" in smoke
    assert not {"▲", "▼"} & set(smoke)
    assert all(c.p is None and c.p_holm is None for task in report.boards[1].tasks for c in task.comparisons)


def test_small_errors_keep_their_digits(tmp_path: Path) -> None:
    save(tmp_path, [record("finetune", "demo:q", s, 0.0102 + s * 1e-4, metric="mae") for s in range(2)])
    assert "0.0103 ± 0.0001" in render(build([tmp_path]))


def test_a_folder_of_failures_names_them(tmp_path: Path) -> None:
    save(tmp_path, [failure("cp", "demo:a", 0, "no space left")])
    text = render(build([tmp_path]))
    assert "0 of 1 cells missing, 1 failed." in text
    assert "no space left" in text


def test_other_readouts_are_kept_apart(folder: Path) -> None:
    entry = build([folder]).boards[0].tasks[0].entries[2]
    assert entry.summary is not None
    assert entry.readouts["learned head"].mean == pytest.approx(entry.summary.mean * 0.99)
    assert ["tapweight", "learned head"] in [row[:2] for row in lines(render(build([folder])), "tapweight")]


def test_costs_charge_what_finetuning_has_not(folder: Path) -> None:
    (board,) = build([folder]).boards
    ratios = [entry.cost.ratio for entry in board.tasks[0].entries if entry.cost]
    assert ratios == pytest.approx([1.0, (40 + 45) / 40, 101 / 40, 101 / 40])
    shared = board.tasks[0].entries[1].cost
    assert shared is not None
    assert shared.shared_seconds == {"continued": 45.0, "general": 900.0}
    assert "continued 45 s, general 900 s" in [row[-1] for row in lines(render(build([folder])), "cp")]
