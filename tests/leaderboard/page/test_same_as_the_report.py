"""What the page works out by itself is what the report works out."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderboard.statistics.floors import shown
from leaderboard.statistics.ranks import average_ranks
from tests.leaderboard.fabricate import grid, record
from tests.leaderboard.page.conftest import Opened, column
from tests.leaderboard.page.reports import report_of


def test_p_values_and_ranks(opened: Opened, tmp_path: Path) -> None:
    page = opened(report_of(tmp_path, grid(2)))
    for p in (0.0504, 0.0496, 0.04998, 0.05, 0.0506, 0.1, 1.0, 0.00793, 1.08e-5):
        assert page.evaluate(f"shownP({p!r})") == shown(p)
    for values in ([0.3, 0.1 + 0.2, 0.4], [-1.0, -1.0 - 1e-9, 0.0], [0.0, 0.0, 1.0]):
        assert page.evaluate(f"ranks({values!r}, true)") == average_ranks([[value] for value in values]).tolist()


def test_ranks_of_paired_tasks_rest_on_the_shared_seeds(opened: Opened, tmp_path: Path) -> None:
    """And the error removed of some seeds on those that fine-tuning has too."""
    cells = [
        record(method, "demo:a", seed, 0.7 + 0.02 * seed + gain, paired=True, split_checksum=f"{seed}")
        for method, gain, seeds in (("finetune", 0.0, 10), ("cp", 0.005, 6), ("tapweight", 0.003, 10))
        for seed in range(seeds)
    ]
    page = opened(report_of(tmp_path, cells), "#view=rank")
    assert dict(column(page, "a")) == {"finetune": "3", "cp": "1", "tapweight": "2"}
    assert dict(column(page, "Average rank")) == {"finetune": "3.00", "cp": "1.00", "tapweight": "2.00"}
    assert "the seed draws the split: ranks and the best mean" in page.locator("#notes").text_content()
    assert "the seeds that all ranked methods have: 0-5." in page.locator("#suites").text_content()
    page.locator("#views").get_by_text("Error removed").click()
    page.locator("#seeds > summary").click()
    for seed in (0, 1, 2, 3):
        page.locator("#seeds").get_by_label(str(seed), exact=True).uncheck()
    removed = float(dict(column(page, "a"))["cp"].removesuffix(" %"))
    assert removed == pytest.approx(100 * 0.005 / (1 - 0.79), abs=0.051)  # of seeds 4 and 5


def test_a_score_without_a_share_of_the_error_is_not_called_missing(opened: Opened, tmp_path: Path) -> None:
    cells = [
        record(method, "demo:a", seed, 0.8, paired=True, split_checksum=f"{seed}")
        for method, seeds in (("finetune", (0, 1)), ("cp", (2, 3)), ("tapweight", (0, 1)))
        for seed in seeds
    ]
    page = opened(report_of(tmp_path, cells), "#view=removed")
    assert dict(column(page, "a"))["cp"] == "–"
    assert "cp has no aggregate: no paired seed that fine-tuning shares" in page.locator("#suites").text_content()


def test_few_seeds_have_no_intervals_and_a_record_may_lack_its_command(opened: Opened, tmp_path: Path) -> None:
    report = report_of(tmp_path, grid(3))
    page = opened(report, "#view=removed&row=tapweight&task=moleculenet:bace")
    assert "The record does not say which command ran it." in page.get_by_role("dialog").text_content()
    assert "No bootstrap interval where a side has fewer than 4 seeds." in page.locator("#notes").text_content()
    assert " to " not in page.locator("#scores").text_content()
    assert "null" not in page.locator("#suites").text_content()
