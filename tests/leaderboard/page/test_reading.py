"""Ways of reading: keyboard, screen reader, phone, dark, print; and how long it takes to open."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import pytest

from leaderboard.content import Picture, Report
from leaderboard.page.build import build
from tests.leaderboard.fabricate import grid, large
from tests.leaderboard.page.conftest import Opened, column
from tests.leaderboard.page.reports import report_of

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def focused(page) -> str:
    return page.evaluate("document.activeElement.dataset.key ?? document.activeElement.id")


def test_the_keyboard_alone_is_enough(opened: Opened, report: Report) -> None:
    page = opened(report, "#suite=moleculenet")
    before = page.url
    page.keyboard.press("Tab")
    assert focused(page) == "theme"
    for _ in range(30):
        page.keyboard.press("Tab")
        if focused(page).startswith("cell"):
            break
    assert focused(page) == "cell 0 moleculenet:bace"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert focused(page) == "cell 1 moleculenet:esol"
    page.keyboard.press("ArrowRight")
    assert focused(page) == "cell 1 moleculenet:esol"
    page.keyboard.press("Control+End")
    assert focused(page) == "cell 4 moleculenet:esol"
    page.keyboard.press("Home")
    assert focused(page) == "cell 4 moleculenet:bace"
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").is_visible()
    page.keyboard.press("Escape")
    page.wait_for_url(before)
    assert focused(page) == "cell 4 moleculenet:bace"
    page.keyboard.press("Shift+Tab")
    assert focused(page) == "sort moleculenet:esol"
    page.keyboard.press("Space")
    assert page.locator("#scores thead th").last.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Tab")
    assert focused(page).startswith("cell"), "the table is one stop"
    page.keyboard.press("Tab")
    assert not focused(page).startswith("cell")


def test_what_a_screen_reader_is_told(opened: Opened, report: Report) -> None:
    page = opened(report, "#suite=moleculenet")
    assert page.locator("html").get_attribute("lang") == "en"
    table = page.get_by_role("table").first
    assert table.locator("caption").text_content().startswith("moleculenet. Test score: mean ± standard deviation")
    assert table.locator("thead th:not([scope=col])").count() == 0
    assert table.locator("tbody.methods tr > th[scope=row]").count() == 5
    assert page.locator("[role=status]").first.text_content()
    marked = page.locator("button.cell:has(.worse)").first
    assert "worse than the focus method" in marked.text_content()
    for label in ("Suite", "Focus method", "Filter methods", "Score", "Published numbers"):
        assert page.get_by_label(label, exact=True).count() == 1
    unnamed = """() => [...document.querySelectorAll("button, select, input, summary, svg, img")].filter((one) =>
        !(one.labels?.length || one.textContent.trim() || one.getAttribute("aria-label") || one.alt)).length"""
    assert page.evaluate(unnamed) == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("address", ["", "#suite=", "#view=removed", "#row=tapweight&task=moleculenet%3Abace"])
def test_nothing_is_wider_than_a_phone(opened: Opened, report: Report, address: str) -> None:
    page = opened(report, address, **PHONE)
    assert page.evaluate("[document.scrollingElement.scrollWidth <= innerWidth, innerWidth]") == [True, 360]
    assert page.evaluate("document.querySelector('dialog').scrollWidth <= innerWidth")


def test_the_methods_stay_in_sight_on_a_phone(opened: Opened, report: Report) -> None:
    page = opened(report, "#suite=", **PHONE)
    scrolled = page.evaluate(
        """() => {
            const box = document.querySelector(".wide");
            box.scrollLeft = 1000;
            const name = box.querySelector("tbody th").getBoundingClientRect();
            return [box.scrollLeft > 0, Math.abs(name.left - box.getBoundingClientRect().left) < 3];
        }"""
    )
    assert scrolled == [True, True]


def test_dark_follows_the_system_until_the_reader_says_otherwise(opened: Opened, report: Report) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = opened(report, color_scheme="light")
    dark = opened(report, color_scheme="dark")
    bright, dim = light.evaluate(ground), dark.evaluate(ground)
    assert bright != dim
    light.get_by_role("button", name="Dark mode").click()
    assert light.evaluate(ground) == dim
    light.reload()
    assert light.evaluate(ground) == dim
    light.get_by_role("button", name="Light mode").click()
    assert light.evaluate(ground) == bright


def test_print_shows_the_table_without_controls(opened: Opened, report: Report) -> None:
    page = opened(report)
    page.emulate_media(media="print")
    assert page.locator("#controls").is_hidden()
    assert page.locator("#scores").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.wide')).overflow") == "visible"


def test_pictures_show_with_their_descriptions(opened: Opened, tmp_path: Path) -> None:
    report = report_of(tmp_path, grid(2))
    folder = tmp_path / "out0"
    folder.mkdir()
    (folder / "a #1.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><rect width="9" height="9"/></svg>'
    )
    report.boards[0].pictures = [
        Picture(kind="seeds", subject="moleculenet:bace", file="a #1", title="Seeds", description="Dots.")
    ]
    page = opened(report)
    page.locator("summary", has_text="Seeds").last.click()
    image = page.get_by_role("img", name="Dots.")
    image.wait_for()
    assert image.evaluate("(one) => one.decode().then(() => one.naturalWidth)") == 40


@pytest.mark.parametrize("seeds", [1])
@pytest.mark.parametrize("methods", [("finetune",), ("finetune", "tapweight")])
def test_one_method_and_one_seed(opened: Opened, tmp_path: Path, methods: tuple[str, ...], seeds: int) -> None:
    page = opened(report_of(tmp_path, large(methods, seeds, ("moleculenet:bace",), 3)))
    assert [name for name, _ in column(page, "bace")] == list(methods)
    assert "±" not in page.locator("#scores tbody.methods").text_content()
    page.locator("button.cell").last.click()
    assert page.get_by_role("dialog").is_visible()


def test_an_empty_board(opened: Opened) -> None:
    page = opened(Report(folders=["runs"], boards=[], skipped=[], damaged=["records/a.json"], set_aside=[]))
    assert "No records yet." in page.locator("main").text_content()
    assert "records/a.json" in page.locator("main").text_content()
    assert page.locator("#controls").is_hidden()


def test_protocols_are_kept_apart(opened: Opened, tmp_path: Path) -> None:
    page = opened(report_of(tmp_path, [*grid(4), *grid(2, protocol="smoke", marks=False)]))
    assert "Protocol small: all 32 cells" in page.locator("#coverage").text_content()
    page.get_by_label("Protocol").select_option("smoke")
    assert "Protocol smoke: all 16 cells" in page.locator("#coverage").text_content()
    assert "(2)" in page.locator("#scores td").first.text_content()
    page.go_back()
    assert "Protocol small" in page.locator("#coverage").text_content()


def test_it_opens_quickly_with_2310_records(opened: Opened, tmp_path: Path) -> None:
    report = report_of(tmp_path, large())
    page = opened(report)
    times = []
    for _ in range(5):
        page.reload()
        times.append(page.evaluate("performance.getEntriesByName('rendered')[0].startTime"))
    start = time.perf_counter()
    files = build(report, tmp_path / "again")
    written = time.perf_counter() - start
    size = sum(path.stat().st_size for path in files)
    drawn = f"drawn after {median(times):.0f} ms (median of 5)"
    print(f"\n2,310 records: {drawn}, {size / 1e6:.2f} MB, written in {written:.2f} s")
    assert page.locator("#scores tbody.methods tr").count() == 11
    assert median(times) < 5_000
