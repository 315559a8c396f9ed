"""How far a run is, from its folder and Slurm's queue alone: right also after the launcher died."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench import plan as planning
from bench.commands.finish import estimate
from bench.commands.folders import no_run
from bench.commands.watching import View
from bench.past import Past
from bench.records import Failure, Scan, scan

STATES = ("done", "failed", "running", "queued", "missing")
ALWAYS = ("done", "failed", "missing")
MANY = 40  # lines of one kind
AGAIN = "the same `run` submits them again"


def status_of(out: Path) -> str:
    """Return counts per method and task, what runs with its step, what failed and why, and when it will be through.

    Raises
    ------
    RequestError: if the folder is none of a run.
    """
    view = View.of(out)
    found = scan(out)  # after it: a cell that ends meanwhile is seen here
    cells = Cells.of(view, found)
    damaged = [*found.damaged, *cells.damaged, *view.damaged]
    if not cells.known and not damaged and not view.contents:
        raise no_run(out)
    total = Counter(cells.states.values())
    shown = [state for state in STATES if state in ALWAYS or total[state]]
    counts = Counter((*cells.pair(identity), state) for identity, state in cells.states.items())
    rows = [[*pair, *(counts[*pair, state] for state in shown)] for pair in dict.fromkeys(map(cells.pair, cells.known))]
    parts = [
        [", ".join(f"{total[state]} {state}" for state in shown) + f" of {len(cells.known)} cells in {out}"],
        [tabulate(rows, headers=["method", "task", *shown])],
        _queue(view, cells),
        _running(view, cells),
        _shared(view, cells),
        _failed(view, cells, found),
        _lost(view, cells),
        [_finish(view, cells, found)],
        [f"damaged: {path}" for path in damaged],
    ]
    return "\n\n".join("\n".join(part) for part in parts if any(part))


@dataclass
class Cells:
    """The cells of a run folder by identity, and the state of each."""

    known: dict[str, Mapping[str, Any]]
    states: dict[str, str]
    damaged: list[Path]

    @classmethod
    def of(cls, view: View, found: Scan) -> Cells:
        """Collect them from the plan, the records and failures, and the submissions, whatever is there of these."""
        damaged, planned = list[Path](), list[dict[str, Any]]()
        try:
            planned = (planning.read(view.out) or {"cells": []})["cells"]
        except (OSError, ValueError):
            damaged.append(view.out / planning.FILE)
        known: dict[str, Mapping[str, Any]] = {cell["identity"]: cell for cell in planned}
        names = {tuple(cell[name] for name in planning.NAMES) for cell in planned}
        others = [cell.model_dump(include={*planning.NAMES, "identity"}) for cell in [*found.records, *found.failures]]
        for entry in [*others, *_submitted(view)]:
            if tuple(entry[name] for name in planning.NAMES) not in names:  # else the plan has it, with newer settings
                known.setdefault(entry["identity"], entry)
        states = dict.fromkeys(known, "missing")
        states |= {failure.identity: "failed" for failure in found.failures if failure.identity in known}
        for identity in known:
            if (state := view.state(f"cell-{identity}")) in ("running", "queued", "failed"):
                states[identity] = state
        states |= {record.identity: "done" for record in found.records if record.identity in known}
        return cls(known, states, damaged)

    def pair(self, identity: str) -> tuple[str, str]:
        """Return the method and the task of a cell."""
        return self.known[identity]["method"], self.known[identity]["task"]

    def title(self, identity: str) -> str:
        """Return what a person calls a cell."""
        return "{method} {task} seed {seed}".format(**self.known[identity])

    def of_state(self, *states: str) -> list[str]:
        """Return the cells that are in one of ``states``."""
        return [identity for identity, state in self.states.items() if state in states]


def _submitted(view: View) -> Iterable[dict[str, Any]]:
    for job in view.jobs.values():
        if job.id.startswith("cell-"):
            try:
                protocol = {"protocol": job.payload["protocol"]["name"], "identity": job.payload["identity"]}
                entry = {**job.payload["cell"], **protocol}
            except (LookupError, TypeError):  # not of this harness
                continue
            if {*planning.NAMES} <= entry.keys():
                yield entry


def _queue(view: View, cells: Cells) -> list[str]:
    if view.queue is None:
        maybe = sum(view.state(f"cell-{identity}") == "unknown" for identity in cells.of_state("missing"))
        return [f"Slurm's queue could not be asked here: {maybe} of the missing cells may wait in it"]
    if not view.queue:
        return []
    reasons = Counter(task.reason for task in view.queue if task.state == "PENDING")
    ending = sum(task.state == "COMPLETING" for task in view.queue)
    words = [f"{len(view.queue) - reasons.total() - ending} running"]
    words += [f"{ending} ending"] if ending else []
    why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    words += [f"{reasons.total()} waiting ({why})"] if reasons else []
    return [f"array tasks in the queue: {', '.join(words)}"]


def _running(view: View, cells: Cells) -> list[str]:
    titles = {f"cell-{identity}": cells.title(identity) for identity in cells.known}
    done = {f"cell-{identity}" for identity in cells.of_state("done")}
    lines = [
        f"  {one.line(titles.get(job_id) or view.title(job_id))}"
        for job_id, one in view.running.items()
        if job_id not in done
    ]
    return ["running:", *_few(lines)] if lines else []


def _shared(view: View, cells: Cells) -> list[str]:
    """Say how far the shared stages are that unfinished cells need, and which cells wait for one in vain."""
    states = {job_id: view.state(job_id) for job_id in view.shared}
    stopped = [job_id for job_id, state in states.items() if state in ("failed", "lost")]
    after = {name for job_id in stopped for name in view.needing(job_id)}
    lines = []
    for job_id in stopped:
        blocked = _blocked(view, cells, [job_id])
        # The one before it tells why; and what failed once is of no interest when all that needed it has ended.
        if job_id in after or (not blocked and view.needing(job_id)):
            continue
        end = view.end(job_id)
        why = f"failed: {end.reason}" if end else "left the queue before it ended"
        vain = f"; {len(blocked)} cells wait for it in vain, until {AGAIN}" if blocked else ""
        lines.append(f"  {view.title(job_id)} {why}{vain}")
    if not lines and not {"running", "queued"} & set(states.values()):
        return []
    counts = Counter(state for state in states.values() if state)
    return ["shared stages: " + ", ".join(f"{count} {state}" for state, count in counts.items()), *_few(lines)]


def _blocked(view: View, cells: Cells, shared: Iterable[str]) -> set[str]:
    names = {name for job_id in shared for name in view.needing(job_id)}
    return {identity for identity in cells.of_state("missing", "queued") if f"cell-{identity}" in names}


def _failed(view: View, cells: Cells, found: Scan) -> list[str]:
    failures: dict[str, Failure] = {failure.identity: failure for failure in found.failures}
    alike: dict[str, list[str]] = {}
    for identity in cells.of_state("failed"):
        failure, end = failures.get(identity), view.end(f"cell-{identity}")
        reason = failure.reason if failure else end.reason if end else "nobody noted why"
        attempt = f" (attempt {failure.attempts})" if failure else ""
        alike.setdefault(reason, []).append(f"{cells.title(identity)}{attempt}")
    lines = []
    for reason, titles in alike.items():
        more = f" and {len(titles) - 1} more cells" if len(titles) > 1 else ""
        lines.append(f"  {titles[0]}{more}: {reason}")
    return ["failed:", *_few(lines)] if lines else []


def _lost(view: View, cells: Cells) -> list[str]:
    """Say what left the queue without an end, beside what a shared stage explains."""
    lost = [job_id for job_id in view.shared if view.state(job_id) == "lost"]
    stopped = [job_id for job_id in view.shared if view.state(job_id) in ("lost", "failed")]
    missing = {f"cell-{identity}" for identity in cells.of_state("missing")}
    gone = {job_id for job_id in missing if view.state(job_id) == "lost"}
    gone -= {f"cell-{identity}" for identity in _blocked(view, cells, stopped)}
    lines = [f"  {words}" for words in view.last_words(gone | set(lost))]
    if gone:
        return [f"{len(gone)} cells left the queue before they ended (cancelled, or lost); {AGAIN}", *lines]
    return ["last words of array tasks:", *lines] if lines else []


def _finish(view: View, cells: Cells, found: Scan) -> str:
    here = any(one.holder is None for one in view.running.values())  # a run on some machine comes to the missing ones
    waiting = [cells.pair(identity) for identity in cells.of_state("queued", *(["missing"] if here else []))]
    going = [(cells.pair(identity), view.running[f"cell-{identity}"]) for identity in cells.of_state("running")]
    return estimate(view, Past(found.records), waiting, going)


def _few(lines: list[str]) -> list[str]:
    return [*lines[:MANY], f"  ... and {len(lines) - MANY} more"] if len(lines) > MANY else lines
