"""What a search spends stands in its record."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.records import scan
from tests.bench import short


def test_the_budget_of_a_search_reaches_the_record(tmp_path: Path) -> None:
    (outcome,) = short.run(tmp_path, "search-random", (3,), ("search.trials=3", "search.epochs=1"))
    assert outcome.ok, outcome.traceback
    (record,) = scan(tmp_path).records
    assert record.budget == {"trials": 3, "pretraining_steps": 3 * 4, "finetuning_epochs": 3}
    assert record.trajectory is not None
    assert record.trajectory.steps == [1, 2, 3]
    # Each trial trains 4 steps of 16 and one epoch of 256; fine-tuning 2 epochs.
    trained = record.examples_per_second * (record.seconds["search"] + record.seconds["finetune"])
    assert trained == pytest.approx(3 * (4 * 16 + 256) + 2 * 256)


def test_other_records_have_no_budget(tmp_path: Path) -> None:
    assert short.run(tmp_path, "finetune", (3,))[0].ok
    (record,) = scan(tmp_path).records
    assert record.budget is None
    # As records did that were written before there was one.
    assert type(record).model_validate(record.model_dump(exclude={"budget"})) == record
