"""The table in a browser: sorting, filtering, views, seeds, the address."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from leaderboard.content import Report
from tests.leaderboard.fabricate import failure, grid, record
from tests.leaderboard.page.conftest import Opened, column, marks
from tests.leaderboard.page.reports import published, report_of

MOLECULES = "#suite=moleculenet"


def means(report: Report, task: str) -> dict[str, float]:
    table = next(one for one in report.boards[0].tasks if one.task == task)
    return {entry.row: entry.summary.mean for entry in table.entries if entry.summary}


def head(page, title: str):
    return page.get_by_role("button", name=title)


@pytest.mark.parametrize(("task", "higher"), [("bace", True), ("esol", False)])
def test_the_first_click_puts_the_best_on_top(opened: Opened, report: Report, task: str, higher: bool) -> None:
    page = opened(report, MOLECULES)
    found = means(report, f"moleculenet:{task}")
    planned = [method for method, _ in column(page, task)]
    best = sorted(found, key=lambda method: found[method], reverse=higher)
    assert planned != best
    title = page.locator("thead th", has_text=task)
    for expected, direction in (
        (best, "descending" if higher else "ascending"),
        (best[::-1], "ascending" if higher else "descending"),
        (planned, "none"),
    ):
        title.get_by_role("button").click()
        assert [method for method, _ in column(page, task)] == expected
        assert title.get_attribute("aria-sort") == direction
    assert page.evaluate("document.activeElement.dataset.key") == f"sort moleculenet:{task}"


def test_numbers_sort_as_numbers_and_nothing_comes_last(opened: Opened, tmp_path: Path) -> None:
    levels = {"nine": 9.0, "ten": 10.5, "hundred": 100.0, "none": None}
    cells = [
        record(name, task, seed, (level or 1.0) + seed, metric="rmse")
        for name, level in levels.items()
        for task in ("demo:a", "demo:b")
        for seed in range(2)
        if not (level is None and task == "demo:a")
    ]
    page = opened(report_of(tmp_path, cells))
    page.locator("thead th").nth(1).get_by_role("button").click()
    assert [method for method, _ in column(page, "a")] == ["nine", "ten", "hundred", "none"]
    page.locator("thead th").nth(1).get_by_role("button").click()
    assert [method for method, _ in column(page, "a")] == ["hundred", "ten", "nine", "none"]


def test_methods_sort_by_name(opened: Opened, report: Report) -> None:
    page = opened(report)
    page.locator("thead th").first.get_by_role("button").click()
    assert [method for method, _ in column(page, "cola")] == ["cp", "finetune", "mt-tartan", "rlw", "tapweight"]


def test_filter_and_suite(opened: Opened, report: Report) -> None:
    page = opened(report)
    status = page.get_by_role("status").first
    assert status.text_content() == "5 of 5 methods, 1 of 3 tasks"
    page.get_by_label("Filter methods").fill("TAP, cp")
    assert [method for method, _ in column(page, "cola")] == ["cp", "tapweight"]
    assert status.text_content() == "2 of 5 methods, 1 of 3 tasks"
    page.get_by_label("Suite").select_option("moleculenet")
    titles = page.locator("thead .title").all_text_contents()
    assert titles[0] == "Method"
    assert titles[-2:] == ["bace", "esol"]
    page.get_by_label("Suite").select_option("")
    assert page.locator("thead .title").all_text_contents() == ["Method", "cola", "bace", "esol"]
    page.get_by_label("Filter methods").fill("no such")
    assert column(page, "cola") == []
    assert status.text_content() == "0 of 5 methods, 3 of 3 tasks"


def test_views_show_what_they_say(opened: Opened, report: Report) -> None:
    page = opened(report, MOLECULES)
    raw = means(report, "moleculenet:esol")
    assert dict(column(page, "esol")) == {name: f"{value:.3f}" for name, value in raw.items()}
    page.locator("#views").get_by_text("Error removed").click()
    suite = next(one for one in report.boards[0].suites if one.suite == "moleculenet")
    place = suite.tasks.index("moleculenet:esol")
    for row in suite.rows:
        expected = 100 * (1 - raw[row.row] / raw["finetune"])
        shown = dict(column(page, "esol"))[row.row]
        assert float(shown.removesuffix(" %").replace("−", "-")) == pytest.approx(expected, abs=0.051)
        estimate = row.error_removed[place]
        assert estimate
        assert estimate.value == pytest.approx(expected / 100)
    page.locator("#views").get_by_text("Rank").click()
    ranks = dict(column(page, "esol"))
    assert [ranks[name] for name in sorted(raw, key=raw.__getitem__)] == ["1", "2", "3", "4", "5"]
    page.locator("#views").get_by_text("Cost").click()
    entry = report.boards[0].tasks[-1].entries[-1]
    assert entry.cost
    assert entry.cost.ratio is not None
    assert dict(column(page, "esol"))[entry.row] == f"{entry.cost.ratio:.2f} ×"
    assert marks(page) == {}


def test_choosing_seeds_changes_means_and_takes_the_marks_away(opened: Opened, report: Report) -> None:
    page = opened(report, MOLECULES)
    assert marks(page)
    assert page.locator("#scores strong").count()
    page.locator("#seeds > summary").click()
    for seed in (1, 3, 4, 5):
        page.locator("#seeds").get_by_label(str(seed), exact=True).uncheck()
    assert marks(page) == {}
    assert page.locator("#scores strong").count() == 0
    assert (
        page.locator("#warning").text_content().startswith("Seeds 0, 2 of 6 are shown: no bold, no significance marks")
    )
    assert page.locator("#suites").text_content() == ""
    task = next(one for one in report.boards[0].tasks if one.task == "moleculenet:bace")
    expected = {
        entry.row: np.mean([entry.summary.scores[0], entry.summary.scores[2]])
        for entry in task.entries
        if entry.summary
    }
    assert dict(column(page, "bace")) == {row: f"{value:.3f}" for row, value in expected.items()}
    assert "(2)" in page.locator("#scores tbody.methods td").first.text_content()
    page.locator("#views").get_by_text("Error removed").click()
    shown = dict(column(page, "bace"))["tapweight"]
    removed = 100 * (expected["tapweight"] - expected["finetune"]) / (1 - expected["finetune"])
    assert float(shown.removesuffix(" %")) == pytest.approx(removed, abs=0.051)
    page.get_by_role("button", name="All seeds").click()
    assert page.locator("#warning").is_hidden()
    assert marks(page)


def test_no_seed_shows_no_number(opened: Opened, report: Report) -> None:
    page = opened(report, "#seeds=none")
    assert page.locator("#warning").text_content().startswith("No seed is shown")
    assert (
        page.locator("#scores .number").all_text_contents()
        == page.locator("#scores .printed .number").all_text_contents()
    )


def test_controls_and_published_rows_can_be_hidden(opened: Opened, tmp_path: Path) -> None:
    report = report_of(tmp_path, grid(4))
    report.boards[0].published = [published("moleculenet:bace")]
    page = opened(report)
    assert [method for method, _ in column(page, "bace", "controls")] == ["tapweight-null"]
    assert column(page, "bace", "published") == [("TapWeight (paper)", "0.772")]
    assert "arXiv 0000.00000, Table 9, n = 3" in page.locator("tbody.published").text_content()
    assert "The table contradicts a claim: the average of the row is 77.25" in page.locator("#sections").text_content()
    page.get_by_label("Null controls").uncheck()
    page.get_by_label("Published numbers").uncheck()
    assert page.locator("tbody.controls, tbody.published").count() == 0
    page.go_back()
    assert page.locator("tbody.controls").count() == 0
    assert page.locator("tbody.published").count() == 1


def test_a_cell_without_a_score_says_why(opened: Opened, report: Report) -> None:
    page = opened(report, MOLECULES)
    cell = page.locator("#scores tr", has=page.get_by_text("cp", exact=True)).locator("td").last
    assert "fewer seeds than planned" in cell.text_content()
    assert "(5)" in cell.text_content()
    assert "loss is not finite" in page.locator("#sections").text_content()
    assert page.locator("#coverage").text_content() == "Protocol small: 0 of 90 cells missing, 1 failed."


def test_a_view_has_an_address_and_the_way_back(opened: Opened, report: Report) -> None:
    page = opened(report)
    page.get_by_label("Suite").select_option("moleculenet")
    page.get_by_label("Focus method").select_option("rlw")
    page.locator("#views").get_by_text("Rank").click()
    page.get_by_label("Filter methods").fill("ta")
    page.locator("thead th", has_text="esol").get_by_role("button").click()
    here = (column(page, "esol"), marks(page), page.url)
    other = opened(report, "#" + page.url.partition("#")[2])
    assert (column(other, "esol"), marks(other)) == here[:2]
    assert other.get_by_label("Filter methods").input_value() == "ta"
    assert other.get_by_label("Focus method").input_value() == "rlw"
    page.go_back()
    assert page.locator("[aria-sort=ascending], [aria-sort=descending]").count() == 0
    page.go_back()
    assert page.get_by_role("radio", name="Score").is_checked()
    page.go_forward()
    page.go_forward()
    assert (column(page, "esol"), marks(page), page.url) == here


def test_an_address_that_fits_nothing_shows_the_first_view(opened: Opened, report: Report) -> None:
    page = opened(report, "#suite=x&focus=%3Cb%3E&view=y&sort=z&direction=up&seeds=a&row=q&task=w&protocol=p")
    assert marks(page) == marks(opened(report))


def test_a_row_that_a_suite_does_not_have_shifts_nothing(opened: Opened, tmp_path: Path) -> None:
    cells = [*grid(3), *(failure("absent", "moleculenet:bace", seed) for seed in range(3))]
    report = report_of(tmp_path, cells)
    suite = report.boards[0].suites[0]
    suite.rows = [row for row in suite.rows if row.row != "absent"]
    page = opened(report, "#view=removed")
    found = {row.row: row.error_removed[0].value for row in suite.rows if row.error_removed[0]}
    shown = dict(column(page, "bace"))
    assert shown.pop("absent") == "failed"
    for name, text in shown.items():
        assert float(text.removesuffix(" %").replace("−", "-")) == pytest.approx(100 * found[name], abs=0.051)
    assert "absent" not in page.locator("#suites table").first.text_content()
