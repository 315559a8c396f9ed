"""What a job does: train one shared stage, or run one cell to its record."""

from __future__ import annotations

import contextlib
import json
import shlex
import time
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import artifacts, memory, provenance, records
from bench.chain import backbone_for
from bench.errors import BenchError, RequestError
from bench.files import home
from bench.out_of_memory import in_parts_that_fit
from bench.protocol import parse
from bench.records import Cell, Failure, LearningCurve, Record, Trajectory
from bench.work import Work, title
from methods import METHODS
from slurm.exclusive import exclusive
from tasks import BACKBONES
from tasks.catalogue import get

if TYPE_CHECKING:
    from bench.checkpoint import CheckpointedRun
    from methods.stage import Model, StageResult, Weights
    from tasks.problem import Problem, TestKey


def run_shared(payload: Mapping[str, Any]) -> None:
    """Train the shared stage number ``payload["position"]`` of a cell, unless its artifact is there or being made."""
    work, position = Work.of(payload), int(payload["position"])
    link = work.chain.links[position]
    with exclusive(home() / "claims", work.stored(position).name, lambda: link.done) as mine:
        if mine:
            problem, _ = work.problem(link)
            memory.reset(work.device)
            before = artifacts.load(work.stored(position - 1))[0].weights if position else {}
            _train(work, position, problem, before)
    work.progress_file(f"{link.stage.name}-{link.digest}").unlink(missing_ok=True)
    work.threads_file(link).unlink(missing_ok=True)


def run_cell(payload: Mapping[str, Any]) -> None:
    """Run one cell; write its record, or its failure and raise. Another run may have written the record by then."""
    try:
        work = Work.of(payload)
        if work.chain.cell.identity != payload["identity"]:
            raise RequestError(f"{title(work.chain.cell)}: settings or data changed since the plan; run again")
        with _turn(work, local="deaths" not in payload) as mine:
            record = measure(work, payload["protocol"]) if mine else None
            if record and not _has_record(work):
                records.write(work.out, record)
    except Exception as error:
        message = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
        trace = traceback.format_exc()
        with contextlib.suppress(BenchError):  # of data that is gone: it is the reason, or must not hide it
            record_death(payload, message, trace)
        raise
    with contextlib.suppress(OSError):  # the record is there: the cell has succeeded
        work.tidy()


def _turn(work: Work, local: bool) -> contextlib.AbstractContextManager[bool]:
    """Yield whether the cell is to be run, which one of several local runs does; array tasks hold a claim on it."""
    if not local:
        return contextlib.nullcontext(not _has_record(work))
    return exclusive(work.out / "claims" / "local", f"cell-{work.chain.cell.identity}", lambda: _has_record(work))


def _has_record(work: Work) -> bool:
    cell = work.chain.cell
    try:
        return records.read(cell.path(work.out)).identity == cell.identity
    except (OSError, records.DamagedError):
        return False


def measure(work: Work, protocol: Mapping[str, Any]) -> Record:
    """Run the stages of a cell and score its read-outs, once, on validation and test.

    ``protocol`` is its content as JSON values.
    """
    memory.reset(work.device)
    planned = work.chain
    problem, key = work.problem(planned.links[-1])
    seconds: dict[str, float] = {}
    shared_seconds: dict[str, float] = {}
    examples, peak, parts, models, log = 0, 0, 1, dict[str, "Model"](), dict[str, Any]()
    result: StageResult | None = None
    for position, link in enumerate(planned.links):
        result, facts = _result(work, position, problem, result)
        (shared_seconds if link.stage.shared else seconds)[link.stage.name] = float(facts["seconds"])
        examples += 0 if link.stage.shared else int(facts["examples"])
        peak = max(peak, 0 if link.stage.shared else int(facts["peak_memory_bytes"]))
        parts = max(parts, int(facts.get("micro_batches", 1)))
        models |= result.models
        log |= result.log
    if "best" not in models:
        raise RequestError(f"method {planned.method.name}: expected a stage with the read-out 'best', got none")
    training, begin = sum(seconds.values()), time.perf_counter()
    scores, _ = in_parts_that_fit(  # of no effect on them
        problem,
        lambda problem: {name: _scores(problem, model, key) for name, model in models.items()},
        "scoring",
        parts,
    )
    modality = BACKBONES.get(planned.cell.backbone).modality
    others = {BACKBONES.get(name).modality for name in BACKBONES.names()} - {modality}  # sections that are not read
    return Record(
        **planned.cell.model_dump(),
        metric=planned.task.metric,
        higher_is_better=planned.task.higher_is_better,
        marks=protocol["marks"],
        paired=planned.task.paired,
        start=planned.start.origin,
        control_of=planned.method.control_of,
        published=modality in planned.method.published,
        scores=scores,
        primary="best",
        chosen_step=int(log.get("chosen_step", 0)),
        trajectory=Trajectory(**log["trajectory"]) if planned.method.learns else None,
        learning_curve=LearningCurve(**log["learning_curve"]) if "learning_curve" in log else None,
        budget=log.get("budget"),
        seconds=seconds | {"score": time.perf_counter() - begin},
        shared_seconds=shared_seconds,
        micro_batches=parts,
        peak_memory_bytes=max(peak, memory.peak(work.device)),
        examples_per_second=examples / training if training > 0 else 0.0,
        settings=planned.resolved.settings.model_dump(mode="json", exclude=others),
        data=problem.facts(),
        command=_command(planned.cell, protocol),
        provenance=provenance.code() | {"device": provenance.device(work.device), "finished": _now()},
    )


def record_death(payload: Mapping[str, Any], reason: str, tail: str) -> None:
    """Write the failure of the cell of a job that has none yet, unless the cell has a record.

    Parameters
    ----------
    tail: its traceback, or the end of what the job printed where it died before it could say why.
    """
    planned, out = payload["cell"], Path(payload["out"])
    rules, task = parse(payload["protocol"], payload["protocol"]["name"]), get(planned["task"])
    settings = rules.resolve(METHODS.get(planned["method"]), task, planned["backbone"]).settings
    # As planned: what changed since may be why it failed.
    cell = Cell(
        **planned,
        identity=payload["identity"],
        protocol=rules.name,
        split_checksum=BACKBONES.get(planned["backbone"]).describe(task, settings, planned["seed"]).split_checksum,
    )
    if not cell.path(out).exists():
        fail(out, cell, reason, tail)


def fail(out: Path, cell: Cell, reason: str, trace: str) -> None:
    """Write the failure of a cell, counting attempts. A disk that refuses it must not hide the reason."""
    attempts = 1
    with contextlib.suppress(OSError, RequestError):
        attempts += records.read_failure(cell.path(out, "failures")).attempts
    failure = Failure(
        **cell.model_dump(include=set(Cell.model_fields)),
        reason=" ".join(reason.split()),
        traceback=trace,
        attempts=attempts,
        finished=_now(),
    )
    with contextlib.suppress(OSError):
        records.write(out, failure)


def _result(
    work: Work, position: int, problem: Problem, before: StageResult | None
) -> tuple[StageResult, dict[str, Any]]:
    """Read a stage's output where it is stored (shared, or finished by an earlier attempt), else run it."""
    stage, path = work.chain.links[position].stage, work.stored(position)
    if stage.shared or artifacts.exists(path):
        return artifacts.load(path)
    return _train(work, position, problem, before.weights if before else {})


def _train(work: Work, position: int, problem: Problem, before: Weights) -> tuple[StageResult, dict[str, Any]]:
    """Run a stage and store its output; if memory runs out, in parts from the last checkpoint on."""
    stage = work.chain.links[position].stage

    def run(problem: Problem) -> tuple[StageResult, CheckpointedRun]:
        context = work.context(position)
        return stage.run(problem, before, context), context

    kept = work.parts_file(position)
    (result, context), parts = in_parts_that_fit(problem, run, f"stage {stage.name}", work.parts, kept)
    # The peak goes beside the output: an attempt that only reads it would not know of it.
    facts = context.facts() | {"peak_memory_bytes": memory.peak(work.device), "micro_batches": parts}
    artifacts.save(work.stored(position), result, facts)
    context.discard()
    kept.unlink(missing_ok=True)
    return result, facts


def _scores(problem: Problem, model: Model, key: TestKey) -> dict[str, dict[str, float]]:
    encoder, head = problem.encoder(), problem.downstream_head()
    encoder.load_state_dict(dict(model.encoder))
    head.load_state_dict(dict(model.head))
    return {"val": problem.score(encoder, head, "val"), "test": problem.score(encoder, head, "test", key)}


def _command(cell: Cell, protocol: Mapping[str, Any]) -> str:
    words = ["python", "-m", "bench", "run", "--methods", cell.method, "--tasks", cell.task, "--seeds", str(cell.seed)]
    words += ["--protocol", protocol["name"]]
    if cell.backbone != backbone_for(METHODS.get(cell.method), get(cell.task)):
        words += ["--backbone", cell.backbone]
    for key, value in protocol["assignments"].items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    return shlex.join(words)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
