"""A real browser: one for all tests, a fresh profile for each page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from leaderboard.content import Report
from leaderboard.page.build import build
from tests.leaderboard.fabricate import failure, large
from tests.leaderboard.page.reports import report_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)
METHODS = ("finetune", "cp", "mt-tartan", "tapweight", "rlw")
TASKS = ("moleculenet:bace", "moleculenet:esol", "glue:cola")

Opened = Callable[..., "Page"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a window."""
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        message = "no Chromium (chromium, chromium-browser or google-chrome) with the Python package playwright"
        if os.environ.get("BENCH_REQUIRE_BROWSER"):
            pytest.fail(message)
        pytest.skip(message)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opened]:
    """Open the page of a report at an address; fails on any console message, error or outside request."""
    contexts, said, asked = [], [], []

    def open_(report: Report, address: str = "", **options: Any) -> Page:
        index = build(report, tmp_path / f"out{len(contexts)}")[0]
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | options))
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"page error: {error}"))
        page.on("dialog", lambda dialog: said.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{index.as_uri()}{address}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []
    assert asked
    assert [url for url in asked if not url.startswith("file://")] == []


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Five methods, three tasks of two suites, six seeds; of cp on esol the last seed failed."""
    return report_of(tmp_path_factory.mktemp("report"), results())


def results() -> list[Any]:
    """What ``report`` is made of."""
    lost = ("cp", "moleculenet:esol", 5)
    cells = [cell for cell in large(METHODS, 6, TASKS, 12) if (cell.method, cell.task, cell.seed) != lost]
    for cell in cells:
        cell.command = f"python -m bench run --methods {cell.method} --tasks {cell.task} --seeds {cell.seed}"
        cell.provenance["finished"] = f"2026-01-01T00:00:{cell.seed:02d}+00:00"
    return [*cells, failure(*lost, "loss is not finite")]


def column(page: Page, title: str, group: str = "methods") -> list[tuple[str, str]]:
    """The rows of a group of the table from top to bottom: method, and the text of the number below ``title``."""
    return [
        (row[0], row[1])
        for row in page.evaluate(
            """([title, group]) => {
                const heads = [...document.querySelectorAll("#scores thead th")];
                const place = heads.findIndex((head) => head.querySelector(".title").textContent === title);
                return [...document.querySelectorAll(`#scores tbody.${group} tr`)]
                    .filter((row) => row.querySelector(".method"))
                    .map((row) => [row.querySelector(".method").textContent,
                        (row.cells[place].querySelector(".number > *") ?? row.cells[place]).textContent]);
            }""",
            [title, group],
        )
    ]


def marks(page: Page) -> dict[tuple[str, str], str]:
    """Which cells of the methods carry a mark: (method, task's name) -> better or worse."""
    found = page.evaluate(
        """() => {
            const heads = [...document.querySelectorAll("#scores thead th .title")].map((head) => head.textContent);
            return [...document.querySelectorAll("#scores tbody.methods tr")].flatMap((row) =>
                [...row.cells].flatMap((cell, place) => ["better", "worse"]
                    .filter((kind) => cell.querySelector(`.${kind}`))
                    .map((kind) => [row.querySelector(".method").textContent, heads[place], kind])));
        }"""
    )
    return {(method, task): kind for method, task, kind in found}
