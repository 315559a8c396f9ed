"""Records hold what somebody else wrote: it is shown as text, and nothing of it runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from leaderboard.content import Report
from leaderboard.page.build import build
from tests.leaderboard.fabricate import failure, record
from tests.leaderboard.page.conftest import Opened
from tests.leaderboard.page.reports import report_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAMES = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "\"'><svg onload=alert(1)>",
    "\u202eright to left",
    "\u2028\u2029\x00\x1b[31m",
    "{{ 7 * 7 }} ${7 * 7} %s",
    "constructor",
    "__proto__",
    "long" * 75,
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Every name as a method, a reason, a package and a file."""
    safe = [
        record(f"m{place}", task, seed, 0.5 + 0.1 * seed + 0.01 * place, provenance={"packages": {}})
        for place in range(len(NAMES))
        for task in ("demo:a", "demo:b")
        for seed in range(4)
    ]
    report = report_of(tmp_path_factory.mktemp("hostile"), [*safe, failure("m0", "demo:c", 0, NAMES[0])])
    text = report.model_dump_json()
    swapped = Report.model_validate_json(text)
    board = swapped.boards[0]
    names = dict(zip([f"m{place}" for place in range(len(NAMES))], NAMES, strict=True))
    board.focus = names[board.focus or ""]
    for row in board.rows:
        row.label = row.method = names[row.label]
        row.backbones = [row.label]
    for task in board.tasks:
        for entry in task.entries:
            entry.row = names[entry.row]
            for run in entry.runs:
                run.command = run.file = run.finished = NAMES[1]
        for comparison in task.comparisons:
            comparison.focus, comparison.other = names[comparison.focus], names[comparison.other]
        if task.pairwise:
            task.pairwise.rows = [names[row] for row in task.pairwise.rows]
    for item in [*board.missing, *board.failed]:
        item.row = names[item.row]
    for suite in board.suites:
        for line in suite.rows:
            line.row = names[line.row]
        for one in suite.comparisons:
            one.focus, one.other = names[one.focus], names[one.other]
        if suite.ranking:
            suite.ranking.rows = [names[row] for row in suite.ranking.rows]
    board.tasks[1].task = f"{NAMES[0]}:{NAMES[1]}"
    board.software = dict.fromkeys(NAMES, NAMES)
    board.origins = [dict.fromkeys(NAMES, NAMES[0])]
    swapped.damaged = swapped.set_aside = swapped.folders = NAMES
    return swapped


def test_names_are_text(opened: Opened, hostile: Report) -> None:
    page = opened(hostile, "#suite=demo")
    shown = page.locator("#scores tbody.methods .method").all_text_contents()
    assert shown == NAMES
    assert page.locator("#board img, #board svg, body > script:not([type])").count() == 1  # our own script
    before = page.url
    for kind in range(len(NAMES)):
        page.locator("button.cell").nth(kind).click()
        dialog = page.get_by_role("dialog")
        assert NAMES[kind] in dialog.locator("h2").text_content()
        assert dialog.locator("img, script").count() == 0
        page.keyboard.press("Escape")
        page.locator("#detail").wait_for(state="hidden")
        page.wait_for_url(before)  # going back takes its time, and would undo the next choice
    for focus in range(len(NAMES)):
        page.get_by_label("Focus method").select_option(index=focus)
        assert page.locator("tr.focus .method").text_content() == NAMES[focus]


def test_long_names_stay_within_the_page(opened: Opened, hostile: Report) -> None:
    for width in (360, 1280):
        page = opened(hostile, "#suite=demo", viewport={"width": width, "height": 800})
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")
        page.locator("button.cell").nth(len(NAMES) - 1).click()
        assert page.evaluate("document.querySelector('dialog').scrollWidth <= innerWidth")


def test_the_policy_stops_what_would_get_through(browser: Browser, hostile: Report, tmp_path: Path) -> None:
    """Markup that came into the page could run nothing and ask for nothing."""
    page = browser.new_page()
    blocked: list[str | None] = []
    page.goto(build(hostile, tmp_path)[0].as_uri())
    page.on("requestfailed", lambda request: blocked.append(request.failure))
    stopped = page.evaluate(
        """async () => {
            const stopped = [];
            addEventListener("securitypolicyviolation", (event) => stopped.push(event.effectiveDirective));
            document.body.insertAdjacentHTML("beforeend", `<p id="probe" onclick="window.ran = 1">x</p>
                <img src="http://127.0.0.1:9/a"><link rel="stylesheet" href="http://127.0.0.1:9/b">`);
            document.getElementById("probe").click();
            document.body.append(Object.assign(document.createElement("script"), { textContent: "window.ran = 1" }));
            await fetch("http://127.0.0.1:9/c").catch(() => null);
            await new Promise((done) => setTimeout(done, 100));
            return stopped;
        }"""
    )
    assert page.evaluate("window.ran") is None
    assert sorted(stopped) == ["connect-src", "img-src", "script-src-attr", "script-src-elem", "style-src-elem"]
    assert set(blocked) <= {"csp"}
    page.close()
