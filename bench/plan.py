"""The plan: which cells a request names, which have records, which shared stages come first."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from bench import chain
from bench.chain import Chain
from bench.errors import RequestError, nearest
from bench.files import write_json
from bench.past import Past, kind
from bench.protocol import Protocol
from bench.records import Record, Scan
from bench.work import title
from methods import METHODS
from slurm.executor import Job
from tasks import BACKBONES
from tasks.info import TaskInfo

Pair = tuple[str, TaskInfo, str]  # method, task, backbone

FILE = "plan.json"
LARGEST_SEED, MOST_SEEDS = 2**32 - 1, 10_000
NAMES = ("protocol", "method", "task", "backbone", "seed")  # of a cell, whatever its settings
CELL = dict.fromkeys(NAMES, str) | {"seed": int, "identity": str, "control_of": str | None}
SKIPPED = dict.fromkeys(("method", "task", "reason"), str)
# Of the file, with what each holds.
LISTS: dict[str, Any] = {"cells": CELL, "methods": str, "tasks": str, "seeds": int, "skipped": SKIPPED}


@dataclass
class Plan:
    """Cells in the order of the request, sorted by what must happen to them."""

    todo: list[Chain] = field(default_factory=list)
    done: list[Chain] = field(default_factory=list)
    passed_over: list[Chain] = field(default_factory=list)  # without a record, but --retry failed leaves them out
    skipped: list[dict[str, str]] = field(default_factory=list)  # method, task, reason

    @property
    def cells(self) -> list[Chain]:
        """All cells of the request."""
        return [*self.todo, *self.done, *self.passed_over]


def parse_seeds(text: str) -> list[int]:
    """Return the seeds of ``0-4``, ``0,2,5`` or a mixture; raises RequestError if that is no range or too much."""
    seeds: list[int] = []
    got = f"got {reprlib.repr(text)}"
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        ends = (first, last if dash else first)
        if not all(end.isdecimal() for end in ends):
            raise RequestError(f"--seeds: expected seeds such as 0-4 or 0,2,5, {got}")
        if any(len(end) > len(str(LARGEST_SEED)) or int(end) > LARGEST_SEED for end in ends):
            raise RequestError(f"--seeds: expected seeds up to {LARGEST_SEED}, {got}")
        found = range(int(ends[0]), int(ends[1]) + 1)
        if not found:
            raise RequestError(f"--seeds: expected seeds such as 0-4 or 0,2,5, {got}")
        if len(seeds) + len(found) > MOST_SEEDS:
            raise RequestError(f"--seeds: expected at most {MOST_SEEDS} seeds, {got}")
        seeds += found
    return list(dict.fromkeys(seeds))


def parse_methods(text: str) -> list[str]:
    """Return the methods of a comma-separated list of names and groups; "all" means every method.

    Raises
    ------
    RequestError: naming the nearest known ones.
    """
    groups: dict[str, list[str]] = {"all": METHODS.names()}
    for name in METHODS.names():
        if group := METHODS.get(name).group:
            groups.setdefault(group, []).append(name)
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise RequestError(f"--methods: expected at least one method, got {text!r}; {nearest('', METHODS.names())}")
    known = [*METHODS.names(), *groups]
    for name in names:
        if name not in known:
            raise RequestError(f"--methods: {name!r} is not known; {nearest(name, known)}")
    return list(dict.fromkeys(one for name in names for one in groups.get(name, [name])))


def parse_backbones(text: str | None) -> list[str]:
    """Return the backbones of a comma-separated list; of None one empty name, for what each method prefers.

    Raises
    ------
    RequestError: naming the nearest known ones.
    """
    if text is None:
        return [""]
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names or [text]:
        if name not in BACKBONES.names():
            raise RequestError(f"--backbone: {name!r} is not known; {nearest(name, BACKBONES.names())}")
    return list(dict.fromkeys(names))


def pairs(
    methods: Sequence[str], tasks: Sequence[TaskInfo], backbones: Sequence[str] = ("",)
) -> tuple[list[Pair], list[dict[str, str]]]:
    """Return the (method, task, backbone) that fit, and those that do not with the reason.

    Raises
    ------
    RequestError: if none fits.
    """
    fitting, skipped = [], []
    for name, task, wanted in product(methods, tasks, backbones):
        method = METHODS.get(name)
        backbone = chain.backbone_for(method, task, wanted)
        if method.missing:
            install = f"pip install 'bench-reweighting[{method.extra}]'"
            reason = f"{name} needs {', '.join(method.missing)}, not installed here; {install}"
            skipped.append({"method": name, "task": task.id, "reason": reason})
        elif backbone is None:
            asked = wanted or task.backbone
            lacks = f"{asked} that reads" if asked else "backbone that reads"
            reason = f"{name} has no {lacks} {task.inputs}s (it runs on {', '.join(chain.backbones_of(method))})"
            skipped.append({"method": name, "task": task.id, "reason": reason})
        else:
            fitting.append((name, task, backbone))
    if not fitting:
        raise RequestError("nothing to run: " + "; ".join(dict.fromkeys(entry["reason"] for entry in skipped)))
    return fitting, skipped


def make(
    fitting: Sequence[Pair],
    skipped: Sequence[dict[str, str]],
    seeds: Sequence[int],
    rules: Protocol,
    found: Scan,
    retry_failed: bool = False,
) -> Plan:
    """Sort the cells of a request by what ``found`` in the run folder says of them.

    Raises
    ------
    NotPreparedError: if data that names a cell is not prepared.
    """
    plan = Plan(skipped=list(skipped))
    have = {record.identity for record in found.records}
    failed = {failure.identity for failure in found.failures}
    for name, task, backbone in fitting:
        for seed in seeds:
            cell = chain.build(name, task.id, backbone, seed, rules)
            if cell.cell.identity in have:
                plan.done.append(cell)
            elif retry_failed and cell.cell.identity not in failed:
                plan.passed_over.append(cell)
            else:
                plan.todo.append(cell)
    return plan


def jobs(plan: Plan, rules: Protocol, out: Path, device: str, past: Sequence[Record] = ()) -> list[Job]:
    """Return the jobs of a plan: each missing shared stage once, then the cells that need it.

    How long they take and what memory they need is estimated from ``past`` records of the same kind of device.
    """
    common = {"protocol": rules.content(), "out": str(out), "device": device}
    estimate = Past(past, "cuda" if device.startswith("cuda") else "cpu")
    shared: dict[str, Job] = {}
    cells: list[Job] = []
    for planned in plan.todo:
        method, task = planned.cell.method, planned.cell.task
        needs: tuple[str, ...] = ()
        for position, link in enumerate(planned.links):
            if not link.stage.shared or link.done:
                continue
            job_id = f"{link.stage.name}-{link.digest}"
            if job_id not in shared:
                shared[job_id] = Job(
                    id=job_id,
                    title=f"{link.stage.name} (shared, seed {link.spec.seed})",
                    function="bench.cell:run_shared",
                    payload=common | {"cell": planned.request(), "position": position},
                    needs=needs,
                    alone=position == 0,
                    kind=f"shared-{link.stage.name}",
                    seconds=estimate.shared_seconds(method, task, link.stage.name),
                )
            needs = (job_id,)
        seconds, memory = estimate.seconds(method, task), estimate.memory_bytes(method, task)
        cells.append(
            Job(
                id=f"cell-{planned.cell.identity}",
                title=title(planned.cell),
                function="bench.cell:run_cell",
                payload=common | {"cell": planned.request(), "identity": planned.cell.identity},
                needs=needs,
                kind=kind(seconds, memory),
                seconds=seconds,
                memory_bytes=memory,
                on_failure="bench.cell:record_death",
            )
        )
    return [*shared.values(), *cells]


def hours(plan: Plan, past: Sequence[Record]) -> float | None:
    """Estimate the compute hours of the cells to run from past records, None where there are none to go by."""
    estimate = Past(past)
    total = 0.0
    for planned in plan.todo:
        seconds = estimate.seconds(planned.cell.method, planned.cell.task)
        if seconds is None:
            return None
        total += seconds
    return total / 3600


def read(out: Path) -> dict[str, list[Any]] | None:
    """Return the ``plan.json`` of a run folder, or None if there is none.

    Raises
    ------
    ValueError: if it is damaged.
    """
    try:
        content = json.loads((out / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (IsADirectoryError, RecursionError) as error:
        raise ValueError("no plan") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(name), list) for name in LISTS):
        raise ValueError("no plan")
    for name, shape in LISTS.items():
        if not all(_is(entry, shape) for entry in content[name]):
            raise ValueError(f"{name} of another shape")
    return content


def _is(entry: Any, shape: Any) -> bool:
    """Whether ``entry`` is of a type, or a mapping with values of the types that ``shape`` holds."""
    if isinstance(shape, dict):
        return isinstance(entry, dict) and all(_is(entry.get(name), part) for name, part in shape.items())
    return isinstance(entry, shape)


def save(plan: Plan, out: Path, request: Mapping[str, Any]) -> None:
    """Write ``plan.json``: the union of all requests on the folder, the newest identity of each cell.

    Raises
    ------
    ValueError: if there is a plan that is damaged, see :func:`read`.
    """
    earlier = read(out) or {name: [] for name in LISTS}
    cells = {tuple(cell[name] for name in NAMES): cell for cell in earlier["cells"]}
    for planned in plan.cells:
        cell = planned.cell.model_dump(include={*NAMES, "identity"}) | {"control_of": planned.method.control_of}
        cells[tuple(cell[name] for name in NAMES)] = cell
    content: dict[str, Any] = {"cells": list(cells.values())}
    for name in ("methods", "tasks", "seeds"):
        content[name] = list(dict.fromkeys([*earlier[name], *request[name]]))
    skipped = {(entry["method"], entry["task"]): entry for entry in [*earlier["skipped"], *plan.skipped]}
    write_json(out / FILE, content | {"skipped": list(skipped.values())})
