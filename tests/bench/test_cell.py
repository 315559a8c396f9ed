"""One cell: what its record says, how it fails, what names it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from bench import memory
from bench.records import Record, scan
from methods.stages.finetune import FineTune
from methods.stages.trilevel import TriLevel
from slurm.executor import attempt
from tasks.image.problem import ImageProblem
from tests.bench import short

MIB = 2**20


@pytest.fixture(scope="module")
def record(bench_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The record of a tapweight cell."""
    out = tmp_path_factory.mktemp("cell")
    (outcome,) = short.run(out, "tapweight")
    assert outcome.ok, outcome.traceback
    (found,) = scan(out).records
    return found


def test_names_and_scores(record: Record) -> None:
    planned = short.built("tapweight")
    assert record.model_dump(include=set(type(planned.cell).model_fields)) == planned.cell.model_dump()
    assert (record.metric, record.higher_is_better, record.marks) == ("roc_auc", True, False)
    assert (record.primary, record.control_of) == ("best", None)
    assert record.scores.keys() == {"best", "last", "omega"}
    values = [by[split]["roc_auc"] for by in record.scores.values() for split in ("val", "test")]
    assert all(0 <= value <= 1 for value in values)
    assert record.score() == record.scores["best"]["test"]["roc_auc"]
    # Of two epochs: the chosen one is the best on validation, and the later one is the last.
    best, last = (record.scores[name]["val"]["roc_auc"] for name in ("best", "last"))
    assert record.chosen_step in (1, 2)
    assert best > last if record.chosen_step == 1 else best == last


def test_the_trajectory(record: Record) -> None:
    path = record.trajectory
    assert path is not None
    assert path.steps == [2]  # point "pre", every two of four steps
    assert len(path.objectives) == 6
    for rows in (path.weights, path.alignment, path.losses):
        assert [len(row) for row in rows] == [6]
    assert all(math.isclose(sum(row), 1) and min(row) > 0 for row in path.weights)


def test_the_learning_curve_is_what_the_epoch_was_chosen_from(record: Record) -> None:
    curve = record.learning_curve
    assert curve is not None
    assert curve.unit == "epoch"
    assert curve.done == list(range(1, len(curve.done) + 1))
    chosen = curve.validation[curve.done.index(record.chosen_step)]
    assert chosen == record.scores["best"]["val"][record.metric]
    assert chosen == (max if record.higher_is_better else min)(curve.validation)


def test_costs(record: Record) -> None:
    assert record.seconds.keys() == {"tri-level", "finetune", "score"}
    assert record.shared_seconds.keys() == {"start"}
    assert all(value > 0 for value in [*record.seconds.values(), *record.shared_seconds.values()])
    assert 50 * MIB < record.peak_memory_bytes < 100_000 * MIB
    # 4 steps of 16 in tri-level, 2 times 16 steps of 16 in fine-tuning; the shared start is not counted.
    trained = record.examples_per_second * (record.seconds["tri-level"] + record.seconds["finetune"])
    assert trained == pytest.approx(4 * 16 + 2 * 16 * 16)


def test_provenance_settings_and_data(record: Record) -> None:
    origin = record.provenance
    assert {"torch", "numpy", "scikit-learn", "rdkit", "bench-reweighting"} <= origin["packages"].keys()
    assert {"commit", "dirty", "python", "device", "finished"} <= origin.keys()
    assert "CPU" in origin["device"]
    assert record.settings["continued"]["steps"] == 4
    assert {"image", "text", "graph"} & set(record.settings) == {"image"}
    assert record.settings["method"]["unroll_one"] == 2
    table, corpus = record.data["table"], record.data["corpus"]
    assert table["rows"] == 320
    assert corpus["checksum"]
    assert len(record.split_checksum) == 16


def test_it_scores_on_test_once_per_read_out_when_training_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    score, finetune = ImageProblem.score, FineTune.run

    def scored(self: Any, encoder: Any, head: Any, split: Any = "val", key: Any = None) -> Any:
        order.append(split)
        return score(self, encoder, head, split, key)

    def trained(*arguments: Any) -> Any:
        result = finetune(*arguments)
        order.append("trained")
        return result

    monkeypatch.setattr(ImageProblem, "score", scored)
    monkeypatch.setattr(FineTune, "run", trained)
    (outcome,) = short.run(tmp_path, "finetune", (8,))
    assert outcome.ok, outcome.traceback
    assert order == ["val", "val", "trained", "val", "test", "val", "test"]


def test_a_failure_counts_attempts_and_goes_away_with_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = FineTune.run

    def broken(self: FineTune, problem: Any, *rest: Any) -> Any:
        if problem.spec.seed == 1:
            raise ValueError("no\n  good")
        return real(self, problem, *rest)

    monkeypatch.setattr(FineTune, "run", broken)
    for count in (1, 2):
        outcomes = short.run(tmp_path, "finetune", (1, 2))
        assert [end.ok for end in outcomes] == [False, True][: len(outcomes)]  # seed 2 has its record after the first
        (failure,) = scan(tmp_path).failures
        assert (failure.method, failure.seed, failure.attempts) == ("finetune", 1, count)
        assert failure.reason == "ValueError: no good"
        assert failure.traceback.startswith("Traceback")
        assert "in broken" in failure.traceback
        assert [each.seed for each in scan(tmp_path).records] == [2]
    monkeypatch.undo()
    (outcome,) = short.run(tmp_path, "finetune", (1, 2))
    assert outcome.ok
    assert not scan(tmp_path).failures
    assert not list((tmp_path / "failures").rglob("*.json"))
    assert [each.seed for each in scan(tmp_path).records] == [1, 2]


def test_the_peak_is_that_of_all_attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tri-level is done in the first attempt, with more memory than the second one needs."""
    peaks = iter([7000 * MIB])
    monkeypatch.setattr(memory, "peak", lambda _: next(peaks, 300 * MIB))

    def killed(*_: Any) -> Any:
        raise RuntimeError("killed")

    with monkeypatch.context() as during:
        during.setattr(FineTune, "run", killed)
        assert not short.run(tmp_path, "tapweight")[0].ok
    monkeypatch.setattr(TriLevel, "run", lambda *_: pytest.fail("trained again"))
    (outcome,) = short.run(tmp_path, "tapweight")
    assert outcome.ok, outcome.traceback
    assert scan(tmp_path).records[0].peak_memory_bytes == 7000 * MIB


@pytest.mark.parametrize("claimed", [{}, {"deaths": 0}], ids=["local", "array task"])
@pytest.mark.parametrize("when", ["before", "while it trains"])
def test_a_record_that_another_run_wrote_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, claimed: dict[str, int], when: str
) -> None:
    real, trained = FineTune.run, list[str]()

    def run(self: FineTune, *rest: Any) -> Any:
        trained.append("here")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(other)
        return real(self, *rest)

    job = short.jobs(tmp_path, "finetune")[-1]
    assert short.run(tmp_path, "finetune")[0].ok
    path = scan(tmp_path).files[scan(tmp_path).records[0].identity]
    other = path.read_text().replace('"device": "', '"device": "other ')
    path.write_text(other if when == "before" else "{}")  # damaged: no record
    monkeypatch.setattr(FineTune, "run", run)
    outcome = attempt(replace(job, payload={**job.payload, **claimed}), 1)
    assert outcome.ok, outcome.traceback
    assert trained == ([] if when == "before" else ["here"])
    assert path.read_text() == other
    assert not list((tmp_path / "checkpoints").iterdir())


def test_two_local_runs_compute_a_cell_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, trained, ended = FineTune.run, list[str](), list[bool]()
    job = short.jobs(tmp_path, "finetune")[-1]
    other = Thread(target=lambda: ended.append(attempt(job, 1).ok))

    def run(self: FineTune, *rest: Any) -> Any:
        trained.append("here")
        if not other.ident:
            other.start()
            other.join(0.5)
        return real(self, *rest)

    monkeypatch.setattr(FineTune, "run", run)
    assert attempt(job, 1).ok
    other.join()
    assert (ended, trained) == ([True], ["here"])
    assert len(scan(tmp_path).records) == 1


def test_memory_is_measured_from_the_reset() -> None:
    if not memory._CLEAR.exists():
        pytest.skip("this system cannot forget a peak")
    block = bytearray(b"1") * (300 * MIB)
    high = memory.peak("cpu")
    assert high > 300 * MIB
    del block
    assert memory.peak("cpu") > high - 20 * MIB  # the system counts in steps
    memory.reset("cpu")
    assert memory.peak("cpu") < high - 200 * MIB


def test_settings_that_changed_since_the_plan_fail_the_cell(tmp_path: Path) -> None:
    job = short.jobs(tmp_path, "finetune")[-1]
    payload: dict[str, Any] = {**job.payload, "identity": "0" * 16}
    outcome = attempt(type(job)(job.id, job.title, job.function, payload), 1)
    assert not outcome.ok
    assert "settings or data changed since the plan" in outcome.reason
    assert not scan(tmp_path).records


def test_identity(bench_home: Path) -> None:
    base = short.built("tapweight").cell.identity
    assert short.built("tapweight").cell.identity == base
    others = [
        short.built("tapweight", seed=1),
        short.built("tapweight-null"),
        short.built("cp"),
        short.built("tapweight", task="demo:logp"),
        short.built("tapweight", assignments=("tapweight.rate=0.3",)),
        short.built("tapweight", assignments=("finetune.patience=1",)),
        short.built("tapweight", assignments=("start.steps=2",)),
        short.built("tapweight", assignments=("image.flip=0.25",)),
    ]
    identities = [each.cell.identity for each in others]
    assert len({base, *identities}) == 1 + len(others)
    # A setting of another method does not matter.
    assert short.built("cp", assignments=("tapweight.rate=0.3",)).cell == short.built("cp").cell


def test_identity_names_no_folder_device_or_number_of_jobs(tmp_path: Path) -> None:
    first, second = short.jobs(tmp_path / "a", "cp")[-1], short.jobs(tmp_path / "b", "cp")[-1]
    assert first.id == second.id
    assert first.payload["out"] != second.payload["out"]
    assert first.payload["identity"] == second.payload["identity"] == short.built("cp").cell.identity
