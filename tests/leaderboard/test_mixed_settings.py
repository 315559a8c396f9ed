"""Seeds of different settings under one name."""

from __future__ import annotations

from pathlib import Path

from leaderboard.page.view import view
from leaderboard.report import build
from leaderboard.settings import mixed_settings
from leaderboard.tables.markdown import render
from tests.leaderboard.fabricate import record, save


def test_the_report_names_the_cells_whose_seeds_differ_in_settings(tmp_path: Path) -> None:
    for method in ("finetune", "cp"):
        for task in ("demo:a", "demo:b"):
            for seed in range(5):
                rate = 0.1 if seed > 2 and (method, task) != ("cp", "demo:b") else 0.001
                settings = {"finetune": {"lr": rate, "epochs": 3 if rate == 0.001 else 5}, "seed_free": [1, 2]}
                save(tmp_path, [record(method, task, seed, 0.8, settings=settings)])
    report = build([tmp_path])
    line = (
        "cp and finetune on demo:a; finetune on demo:b: finetune.epochs is 5 at seeds 3-4, 3 at seeds 0-2; "
        "1 more setting differs."
    )
    assert report.boards[0].mixed_settings == [line]
    assert view(report)["boards"][0]["mixed_settings"] == [line]
    text = render(report)
    assert "Warning: seeds that were made with different settings are averaged under this name:" in text
    assert line in text


def test_methods_tasks_and_backbones_may_differ_and_equal_numbers_do_not() -> None:
    records = [
        record(method, task, seed, 0.8, backbone=backbone, settings={"lr": [method, task, backbone], "steps": steps})
        for method in ("finetune", "cp")
        for task in ("demo:a", "demo:b")
        for backbone in ("image", "graph")
        for seed, steps in enumerate((1, 1.0, 1))
    ]
    assert mixed_settings(records) == []


def test_a_setting_that_older_records_lack_is_no_difference() -> None:
    def mixed(*settings: dict[str, object]) -> list[str]:
        return mixed_settings([record("cp", "demo:a", seed, 0.8, settings=one) for seed, one in enumerate(settings)])

    old, new = {"finetune": {"lr": 0.1}}, {"finetune": {"lr": 0.1, "betas": [0.9, 0.999]}, "text": {"layers": 2}}
    assert mixed(old, new, new) == []
    (line,) = mixed(old, new, {**new, "finetune": {"lr": 0.2}})
    assert line.startswith("cp on demo:a: finetune.lr is 0.2 at seeds 2, 0.1 at seeds 0-1")
