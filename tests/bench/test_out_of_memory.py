"""Memory runs out: a cell goes on in parts, says so in its record, and never goes on for ever."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import chain
from bench import plan as planning
from bench.cell import record_death, run_cell
from bench.files import home
from bench.out_of_memory import MOST_PARTS, OutOfMemoryError, in_parts_that_fit, ran_out
from bench.protocol_files import load
from bench.records import Record, read, read_failure, scan, write
from bench.work import Work
from leaderboard.report import build
from leaderboard.tables.markdown import render
from slurm.executor import Job, Outcome, attempt
from slurm.inline import InProcess
from tasks.analytic.problem import AnalyticProblem, Direction
from tasks.catalogue import expand
from tasks.image.resnet import ResNet18
from tasks.text.encoder import TextEncoder
from tests.bench import short
from tests.leaderboard.fabricate import record
from tests.methods.tiny import Tiny

Passes = list[int]


def jobs(out: Path, method: str, task: str = "analytic:isotropic", *assignments: str) -> list[Job]:
    """The jobs of a cell, that of the shared start first if it is still to be made."""
    fitting, skipped = planning.pairs([method], expand(task))
    rules = load("smoke", [*short.ASSIGNMENTS, *assignments])
    return planning.jobs(planning.make(fitting, skipped, (0,), rules, scan(out)), rules, out, "cpu")


def run(out: Path, method: str, task: str = "analytic:isotropic", *assignments: str) -> Outcome:
    return list(InProcess(1).run(jobs(out, method, task, *assignments)))[-1]


def limit(monkeypatch: pytest.MonkeyPatch, kind: type[torch.nn.Module], rows: int, first: int = 0) -> Passes:
    """Let passes with a graph through more than ``rows`` rows run out of memory, but for the ``first`` of them.

    Returns the rows of all passes with a graph, those that ran out included.
    """
    seen: Passes = []
    whole: Callable[..., Tensor] = kind.forward

    def forward(self: Any, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            seen.append(len(x))
            if len(x) > rows and len(seen) > first:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
        return whole(self, x)

    monkeypatch.setattr(kind, "forward", forward)
    return seen


def only(out: Path) -> Record:
    (found,) = scan(out).records
    return found


def assert_close(one: Record, other: Record, tolerance: float) -> None:
    """The same but for rounding: the weights, what they followed from, and the scores."""
    assert one.identity == other.identity
    assert one.trajectory
    assert other.trajectory
    for name in ("weights", "alignment", "losses"):
        rows = [torch.tensor(getattr(record.trajectory, name), dtype=torch.float64) for record in (one, other)]
        torch.testing.assert_close(*rows, rtol=tolerance, atol=tolerance)
    for readout, by in one.scores.items():
        assert other.scores[readout]["val"] == pytest.approx(by["val"], rel=tolerance, abs=tolerance)


@pytest.mark.parametrize(
    ("method", "parts"),  # of 48 rows, or of 16 where there are no larger batches
    [("tapweight", 4), ("tapweight-blo", 4), ("meta-tartan", 2), ("autolambda", 2), ("search-random", 2)],
)
def test_a_cell_goes_on_in_parts_with_the_same_result_and_says_so(
    method: str, parts: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path / "whole", method).ok
    limit(monkeypatch, Direction, 12)
    outcome = run(tmp_path / "parts", method)
    assert outcome.ok, outcome.traceback
    whole, other = only(tmp_path / "whole"), only(tmp_path / "parts")
    assert (whole.micro_batches, other.micro_batches) == (1, parts)
    assert_close(whole, other, 1e-9)
    assert not list((tmp_path / "parts" / "checkpoints").iterdir())


def test_text_with_a_loss_that_compares_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short.rules()  # prepares the suite
    for folder in ("whole", "parts"):
        if folder == "parts":
            limit(monkeypatch, TextEncoder, 16)  # a batch has four views of 16 sentences
        outcome = run(tmp_path / folder, "tapweight", "demo:mood", "text.dropout=0")
        assert outcome.ok, outcome.traceback
    assert only(tmp_path / "parts").micro_batches == 4
    assert_close(only(tmp_path / "whole"), only(tmp_path / "parts"), 2e-3)  # in float32


def test_a_shared_stage_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    short.rules()
    own = ("start.steps=2", "start.batch=16", "start.optimiser.lr=0.0123")  # a start of this test alone
    with monkeypatch.context() as during:
        limit(during, ResNet18, 8)
        outcome = run(tmp_path / "a", "finetune", "demo:rings", *own)
        assert outcome.ok, outcome.traceback
    assert only(tmp_path / "a").micro_batches == 2
    outcome = run(tmp_path / "b", "finetune", "demo:rings", *own)
    assert outcome.ok, outcome.traceback
    assert only(tmp_path / "b").micro_batches == 2  # for the start that both share
    assert not list((home() / "artifacts").glob("*.parts"))


def test_the_report_says_so(tmp_path: Path) -> None:
    for seed, parts in enumerate((1, 2, 4)):
        write(tmp_path, record("cp", "moleculenet:bace", seed, 0.8, micro_batches=parts))
    write(tmp_path, record("finetune", "moleculenet:bace", 0, 0.8))
    assert (
        "- Out of memory, so the encoder went through each batch in up to 4 parts, which touches batch norm and the "
        "draws of dropout: cp on bace seeds 1-2."
    ) in render(build([tmp_path]))
    write(tmp_path / "none", record("finetune", "moleculenet:bace", 0, 0.8))
    assert "Out of memory" not in render(build([tmp_path / "none"]))


def test_records_from_before_had_whole_batches(tmp_path: Path) -> None:
    path = write(tmp_path, record("cp", "moleculenet:bace", 0, 0.8))
    content = json.loads(path.read_text())
    del content["micro_batches"]
    path.write_text(json.dumps(content))
    assert read(path).micro_batches == 1


def test_it_goes_on_from_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", "0")
    assert run(tmp_path / "whole", "tapweight").ok
    done: list[tuple[str, int]] = []
    context = Work.context

    def watched(self: Work, position: int) -> Any:
        found = context(self, position)
        name, report = self.chain.links[position].stage.name, found.progress

        def progress(step: int, total: int) -> None:
            done.append((name, step))
            report(step, total)

        found.progress = progress
        return found

    monkeypatch.setattr(Work, "context", watched)
    limit(monkeypatch, Direction, 12, first=7)  # three passes of tri-level, so four of fine-tuning
    outcome = run(tmp_path / "cell", "tapweight")
    assert outcome.ok, outcome.traceback
    assert done == [("tri-level", step) for step in (1, 2, 3, 4)] + [("finetune", step) for step in range(1, 7)]
    assert only(tmp_path / "cell").micro_batches == 2
    assert_close(only(tmp_path / "whole"), only(tmp_path / "cell"), 1e-9)


def test_an_attempt_cut_off_in_parts_begins_with_as_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> Any:
        raise RuntimeError("killed")

    with monkeypatch.context() as during:
        limit(during, Direction, 4)
        during.setattr(AnalyticProblem, "score", killed)  # at the end of the first epoch
        assert "killed" in run(tmp_path, "finetune").reason
    (kept,) = (tmp_path / "checkpoints").glob("*.parts")
    assert json.loads(kept.read_text()) == {"next": 4, "most": 4}
    seen = limit(monkeypatch, Direction, 16)
    assert run(tmp_path, "finetune").ok
    assert set(seen) == {4}
    assert only(tmp_path).micro_batches == 4


def test_memory_that_never_suffices_is_a_failure_that_says_what_to_lower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as during:
        seen = limit(during, Direction, 0)
        assert not run(tmp_path, "finetune").ok
    assert seen == [16, 8, 4, 2, 2, 2, 2]  # in 1, 2, 4 ... 64 parts, of two rows at least
    (failure,) = scan(tmp_path).failures
    assert failure.reason.startswith("stage finetune: out of memory, with each batch in 64 parts too; lower its batch")
    assert "20.00 GiB" in failure.reason
    assert failure.attempts == 1
    seen = limit(monkeypatch, Direction, 16)
    assert run(tmp_path, "finetune").ok  # where there is more memory
    assert set(seen) == {16}
    assert only(tmp_path).micro_batches == MOST_PARTS  # a checkpoint may hold steps that were taken in parts


@pytest.mark.parametrize(("device", "deaths", "parts"), [("cpu", 0, 1), ("cpu", 2, 4), ("cpu", 99, 64), ("cuda", 2, 1)])
def test_deaths_double_the_parts_where_the_batches_lie_in_the_memory_of_the_host(
    device: str, deaths: int, parts: int, tmp_path: Path
) -> None:
    payload = {**jobs(tmp_path, "finetune")[-1].payload, "device": device, "deaths": deaths}
    assert Work.of(payload).parts == parts


def test_a_cell_that_was_killed_goes_on_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(tmp_path / "whole", "finetune").ok
    seen = limit(monkeypatch, Direction, 16)
    job = jobs(tmp_path / "cell", "finetune")[-1]
    outcome = attempt(replace(job, payload={**job.payload, "deaths": 1}), 1)
    assert outcome.ok, outcome.traceback
    assert set(seen) == {8}
    assert only(tmp_path / "cell").micro_batches == 2


def test_an_encoder_that_cannot_be_divided_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[int] = []

    def run(problem: Any) -> None:
        tried.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory")

    problem: Any = Tiny()
    problem.encoder = TwoInputs
    with pytest.raises(
        OutOfMemoryError, match="stage x: out of memory, and this encoder cannot go through it in parts"
    ):
        in_parts_that_fit(problem, run, "stage x")
    assert len(tried) == 1
    assert in_parts_that_fit(problem, lambda _: "done", "stage x", parts=4) == ("done", 1)  # after deaths


class TwoInputs(torch.nn.Module):
    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        raise NotImplementedError


def test_memory_of_the_failed_attempt_is_free_before_the_next() -> None:
    alive: list[int] = []

    class Big:
        def __init__(self) -> None:
            alive.append(1)
            self.itself = self  # as modules and optimisers may refer to each other

        def __del__(self) -> None:
            alive.pop()

    def run(problem: Any) -> int:
        big = Big()
        if len(seen) < 2:
            seen.append(len(alive))
            raise MemoryError(str(id(big)))
        return len(alive)

    seen: list[int] = []
    assert in_parts_that_fit(Tiny(), run, "it") == (1, 4)
    assert seen == [1, 1]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("shapes do not match"), False),
        (ValueError("CUDA error: out of memory"), False),
    ],
)
def test_what_counts_as_the_end_of_memory(error: Exception, expected: bool) -> None:
    assert ran_out(error) is expected


def test_other_errors_pass(tmp_path: Path) -> None:
    def run(problem: Any) -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        in_parts_that_fit(Tiny(), run, "it", kept=tmp_path / "x.parts")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "[1]", '{"next": "x"}', '{"most": null}'])
def test_a_damaged_memory_of_parts_counts_as_none(tmp_path: Path, content: str) -> None:
    kept = tmp_path / "x.parts"
    kept.write_text(content)
    assert in_parts_that_fit(Tiny(), lambda _: 0, "it", kept=kept) == (0, 1)


def test_a_real_allocation_that_cannot_be_had_counts() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**58, dtype=torch.uint8)
    assert ran_out(caught.value)  # type: ignore[arg-type]


def test_a_job_that_died_leaves_the_failure_of_its_cell(tmp_path: Path) -> None:
    *starts, job = jobs(tmp_path, "finetune")
    list(InProcess(1).run(starts))
    cell = chain.build("finetune", "analytic:isotropic", "analytic", 0, load("smoke", short.ASSIGNMENTS)).cell
    for attempts in (1, 2):
        record_death({**job.payload, "deaths": 3}, "died 3 times,\nthe last time: SIGKILL", "last\nlines")
        failure = read_failure(cell.path(tmp_path, "failures"))
        assert failure.model_dump(include=set(type(cell).model_fields)) == cell.model_dump()
        assert (failure.reason, failure.traceback) == ("died 3 times, the last time: SIGKILL", "last\nlines")
        assert failure.attempts == attempts
    run_cell(job.payload)
    record_death(job.payload, "late", "")
    assert not scan(tmp_path).failures
    assert len(scan(tmp_path).records) == 1


def test_settings_that_changed_since_the_plan_leave_a_failure_of_the_planned_cell(tmp_path: Path) -> None:
    payload = {**jobs(tmp_path, "finetune")[-1].payload, "identity": "0" * 16}
    with pytest.raises(Exception, match="changed since the plan"):
        run_cell(payload)
    (failure,) = scan(tmp_path).failures
    assert failure.identity == "0" * 16
