"""One cell in full."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leaderboard.content import Interval, Report
from tests.leaderboard.fabricate import grid, large, record
from tests.leaderboard.page.conftest import METHODS, TASKS, Opened
from tests.leaderboard.page.reports import report_of

CELL = "#row=tapweight&task=moleculenet%3Abace"


def test_a_click_opens_everything_about_the_cell(opened: Opened, report: Report) -> None:
    page = opened(report, "#suite=moleculenet")
    page.locator("tr", has=page.get_by_text("tapweight", exact=True)).locator("button.cell").first.click()
    dialog = page.get_by_role("dialog", name="tapweight on bace")
    text = dialog.text_content()
    task = next(one for one in report.boards[0].tasks if one.task == "moleculenet:bace")
    entry = next(one for one in task.entries if one.row == "tapweight")
    assert entry.summary
    rows = dialog.get_by_role("table", name="Every seed").locator("tbody tr")
    for run, row in zip(entry.runs, rows.all(), strict=True):
        cells = row.locator("th, td").all_text_contents()
        numbers = [f"{run.score:.3f}", f"{run.validation:.3f}", str(run.chosen_step), f"{run.seconds:.0f} s"]
        assert cells[:5] == [str(run.seed), *numbers]
    assert f"{entry.summary.mean:.3f} ± {entry.summary.sd:.3f} 6 of 6 seeds" in text
    run = entry.runs[0]
    for part in (run.command, run.file, run.identity, run.finished, "2.13.0", "0" * 12, task.split_checksum):
        assert part in text
    dialog.get_by_label("Seed", exact=True).select_option("4")
    text = dialog.text_content()
    assert entry.runs[4].command in text
    assert entry.runs[4].identity in text
    assert run.identity not in text


def test_the_charts_hold_the_numbers(opened: Opened, report: Report) -> None:
    page = opened(report, CELL)
    dialog = page.get_by_role("dialog")
    assert dialog.locator(".dot.own").count() == 6
    assert dialog.locator(".dot.validation").count() == 6
    weights = next(curve for curve in report.boards[0].curves if curve.task == "moleculenet:bace").weights[-1]
    assert weights.row == "tapweight"
    chart = dialog.get_by_role("img", name="Objective weights of tapweight")
    for name, value in zip(weights.objectives, weights.mean[-1], strict=True):
        assert f"{name} {value:.2f}" in chart.get_attribute("aria-label")
        assert name in chart.text_content()
    assert chart.locator("path.line").count() == 4
    assert chart.locator("path.band").count() == 4
    assert dialog.get_by_role("img", name="Validation ROC-AUC by epoch").count() == 1


def test_a_control_stands_beside_its_method(opened: Opened, tmp_path: Path) -> None:
    page = opened(report_of(tmp_path, grid(6)), CELL)
    dialog = page.get_by_role("dialog")
    assert dialog.locator("figure", has_text="tapweight-null (null control), n = 6").count() == 1
    assert "Final weights of tapweight and of its null control tapweight-null" in dialog.text_content()
    ends = dialog.locator("figure .axis").evaluate_all("(lines) => lines.map((line) => line.getAttribute('d'))")
    assert len(set(ends)) == 1
    page = opened(report_of(tmp_path, []), "#row=tapweight-null&task=moleculenet%3Abace")
    assert "A null control: it stands outside bold, marks and families." in page.get_by_role("dialog").text_content()


def test_comparisons_of_the_focus_and_of_another(opened: Opened, tmp_path: Path) -> None:
    report = report_of(tmp_path, large(METHODS, 6, TASKS, 5))
    task = next(one for one in report.boards[0].tasks if one.task == "moleculenet:bace")
    found = next(one for one in task.comparisons if one.other == "cp")
    found.interval = Interval(low=0.0123, high=0.0456)
    page = opened(report, CELL)
    row = page.get_by_role("dialog").get_by_role("row", name="cp ").text_content()
    for part in (f"{found.effect:+.3f}".replace("-", "−"), "+0.012 to +0.046", f"{found.probability_better:.2f}"):
        assert part in row
    page = opened(report, f"{CELL}&focus=cp")
    dialog = page.get_by_role("dialog")
    row = dialog.get_by_role("row", name="tapweight ").text_content()
    assert f"{-found.effect:+.3f}".replace("-", "−") in row
    assert "▲ Better than the focus method cp." in dialog.text_content()
    assert "in a report written with --focus cp" in dialog.text_content()


def test_missing_seeds_and_skipped_pairs_say_why(opened: Opened, tmp_path: Path) -> None:
    cells = large(METHODS, 4, TASKS, 5)
    report = report_of(tmp_path, [c for c in cells if (c.method, c.task) != ("cp", TASKS[0])])
    task = next(one for one in report.boards[0].tasks if one.task == TASKS[0])
    next(one for one in task.entries if one.row == "cp").skipped = "molecules have no tokens"
    page = opened(report, "#suite=moleculenet")
    page.get_by_role("button", name="skipped").click()
    assert "Skipped: molecules have no tokens" in page.get_by_role("dialog").text_content()


def test_a_failure_says_why(opened: Opened, report: Report) -> None:
    page = opened(report, "#row=cp&task=moleculenet%3Aesol")
    assert "Seeds 5 failed: loss is not finite" in page.get_by_role("dialog").text_content()


@pytest.mark.parametrize("way", ["Escape", "Close", "back", "outside"])
def test_closing_gives_the_focus_and_the_address_back(opened: Opened, report: Report, way: str) -> None:
    page = opened(report, "#suite=moleculenet")
    before = page.url
    cell = page.locator("button.cell").nth(3)
    key = cell.get_attribute("data-key")
    cell.click()
    assert page.get_by_role("dialog").is_visible()
    assert page.url != before
    if way == "Close":
        page.get_by_role("button", name="Close").click()
    elif way == "back":
        page.go_back()
    elif way == "outside":
        page.mouse.click(10, 10)
    else:
        page.keyboard.press(way)
    page.wait_for_url(before)
    page.locator(f"[data-key='{key}']:focus").wait_for()
    assert not page.locator("#detail").is_visible()


def test_the_focus_stays_inside(opened: Opened, report: Report) -> None:
    page = opened(report, CELL)
    for _ in range(12):
        page.keyboard.press("Tab")
        inside = "!document.activeElement.closest('main, header.top')"
        assert page.evaluate(inside)


def test_the_command_is_copied(opened: Opened, report: Report) -> None:
    page = opened(report, CELL, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the command").click()
    page.get_by_text("Copied.").wait_for()
    command = page.locator("pre.command").text_content()
    assert page.evaluate("navigator.clipboard.readText()") == command


def test_it_opens_without_runs_and_origins(opened: Opened, tmp_path: Path) -> None:
    report = report_of(tmp_path, grid(2))
    board = report.boards[0]
    board.origins, board.suites, board.published = [], [], []
    for task in board.tasks:
        task.pairwise = None
        for entry in task.entries:
            entry.runs = []
    page = opened(report, CELL)
    assert "The record does not say which command ran it." in page.get_by_role("dialog").text_content()


def test_a_run_without_a_validation_score_leaves_its_place_empty(opened: Opened, tmp_path: Path) -> None:
    report = report_of(tmp_path, grid(2))
    for entry in report.boards[0].tasks[0].entries:
        entry.runs[0].validation = None
    page = opened(report, CELL)
    dialog = page.get_by_role("dialog")
    assert (
        dialog.get_by_role("table", name="Every seed").locator("tbody tr").first.locator("td").nth(1).text_content()
        == "–"
    )
    assert dialog.locator(".dot.own").count() == 2
    assert dialog.locator(".dot.validation").count() <= 1


def test_gains_of_paired_scores_are_those_at_the_common_seeds(opened: Opened, tmp_path: Path) -> None:
    """A seed that one method lacks says something about its split, and nothing about the methods."""
    levels = {seed: 0.9 - 0.05 * seed for seed in range(8)}
    cells = [
        record(method, "demo:a", seed, level + gain, paired=True, split_checksum=str(seed))
        for method, gain in (("finetune", 0.0), ("tapweight", 0.01))
        for seed, level in levels.items()
        if method == "tapweight" or seed > 1
    ]
    report = report_of(tmp_path, cells)
    for focus, gain in (("tapweight", "+0.010"), ("finetune", "−0.010")):
        page = opened(report, f"#focus={focus}")
        page.locator("tr", has=page.get_by_text(focus, exact=True)).locator("button.cell").first.click()
        part = page.get_by_role("dialog").locator("section", has_text="Against the focus")
        assert part.locator("tbody td").first.text_content() == gain
    page.get_by_role("dialog").get_by_label("Seed", exact=True).select_option("7")
    assert page.get_by_role("dialog").locator("dd", has_text=re.compile("^7$")).count() == 1  # the split of that seed
