"""What a suite costs where stages are shared."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderboard.content import Cost
from leaderboard.report import build
from leaderboard.summary import suite_cost
from leaderboard.tables.markdown import render
from tests.leaderboard.fabricate import record, save


def cost(seconds: float, backbone: str = "image", **shared: float) -> Cost:
    return Cost(
        seconds=seconds,
        backbone=backbone,
        shared_seconds=shared,
        peak_memory_bytes=1,
        examples_per_second=1.0,
        ratio=None,
    )


def test_shared_stages_are_paid_once_in_a_suite() -> None:
    base, own = cost(10.0, general=900.0), cost(20.0, general=900.0, continued=30.0)
    assert suite_cost([own, own], [base, base]) == pytest.approx((20 + 20 + 30) / (10 + 10))
    assert suite_cost([base, base], [base, base]) == 1
    assert suite_cost([own, None], [base, base]) is None
    assert suite_cost([own, own], [base, None]) is None


def test_artifacts_that_took_other_seconds_or_have_another_backbone_are_each_paid() -> None:
    base = cost(10.0)
    longer, text = cost(20.0, continued=45.0), cost(20.0, "text", continued=30.0)
    own = cost(20.0, continued=30.0)
    rounded = cost(20.0, continued=30.0 * (1 + 1e-15))  # the mean of equal seconds
    assert suite_cost([own, rounded], [base, base]) == pytest.approx((40 + 30) / 20)
    assert suite_cost([own, longer], [base, base]) == pytest.approx((40 + 30 + 45) / 20)
    assert suite_cost([own, text], [base, base]) == pytest.approx((40 + 30 + 30) / 20)


def test_of_each_seed_its_own_artifact_is_paid_once_whichever_seeds_a_task_has() -> None:
    base, own, fewer = cost(10.0), cost(20.0, continued=33.0), cost(20.0, continued=31.0)
    own.shared_runs, fewer.shared_runs = {"continued": [30.0, 32.0, 37.0]}, {"continued": [30.0, 32.0]}
    assert suite_cost([own, fewer], [base, base]) == pytest.approx((40 + 32) / 20)


def test_the_tables_divide_by_the_tasks_that_use_an_artifact(tmp_path: Path) -> None:
    for task, backbone, seconds in (("demo:a", "image", 45.0), ("demo:b", "text", 90.0), ("demo:c", "text", 90.0)):
        for method, shared in (("finetune", {}), ("cp", {"continued": seconds})):
            more = {"seconds": {"finetune": 10.0}, "shared_seconds": {"start": 100.0, **shared}}
            save(tmp_path, [record(method, task, seed, 0.8, backbone=backbone, **more) for seed in range(2)])
    report = build([tmp_path])
    (suite,) = report.boards[0].suites
    assert {row.row: row.cost_ratio for row in suite.rows} == {"finetune": 1.0, "cp": pytest.approx((30 + 135) / 30)}
    lines = [line.replace(" ", "") for line in render(report).splitlines() if line.startswith("| cp")]
    assert "|cp|5.50|10.00/5.50|10.00/5.50|5.50|" in lines
    assert any("continued45s+90s" in line for line in lines)
