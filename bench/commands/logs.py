"""What one job printed, and why it ended as far as anybody knows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bench.commands import tasklogs
from bench.commands.folders import no_run
from bench.commands.status import Cells
from bench.commands.watching import View
from bench.errors import RequestError, nearest
from bench.records import Failure, scan
from slurm import claims

LEAST_LETTERS = 4  # of an identity's beginning
MANY = 10  # cells that a message lists


def logs_of(out: Path, name: str, lines: int) -> str:
    """Return the last lines of a job's log, with what its failure and its array task say of its end.

    Parameters
    ----------
    name: METHOD/TASK/SEED, such as cp/bace/0, METHOD/TASK where one seed fits, the beginning of an identity, or a
        shared stage.

    Raises
    ------
    RequestError: if the folder is none of a run, the name fits no job or several, or ``lines`` is below 1.
    """
    if lines < 1:
        raise RequestError(f"--lines: expected at least 1, got {lines}")
    view = View.of(out)
    found = scan(out)
    cells = Cells.of(view, found)
    others = {*view.shared, *(path.stem for path in (out / "logs").glob("*.log") if not path.stem.startswith("cell-"))}
    if not cells.known and not others:
        raise no_run(out)
    job_id = _find(name, cells, others)
    identity = job_id.removeprefix("cell-")
    state = cells.states.get(identity) or view.state(job_id) or "of a run on a machine"
    title = cells.title(identity) if identity in cells.known else view.title(job_id)
    failure = next((one for one in found.failures if one.identity == identity and state == "failed"), None)
    parts = [[f"{title} ({identity}): {state}"], _log(out, job_id, lines), _why(view, job_id, failure, lines)]
    if state != "done":
        parts.append(_task(view, job_id, title))
    return "\n\n".join("\n".join(part) for part in parts if part)


def _find(name: str, cells: Cells, others: Iterable[str]) -> str:
    """Return the id of the job that ``name`` names; raises RequestError."""
    labels: dict[str, list[str]] = {}
    for identity, cell in cells.known.items():
        named = [identity, f"cell-{identity}"]
        for task in (cell["task"], cell["task"].partition(":")[2]):  # a bare name will do where one suite has it
            pair = f"{cell['method']}/{task}"
            named += [pair, f"{pair}/{cell['seed']}", f"{pair}/seed-{cell['seed']}"]
        for label in named:
            labels.setdefault(label, []).append(f"cell-{identity}")
    for job_id in others:
        for label in (job_id, job_id.rpartition("-")[0]):
            labels.setdefault(label, []).append(job_id)
    fitting = labels.get(name, [])
    if not fitting and len(name) >= LEAST_LETTERS:
        names = [*others, *cells.known, *(f"cell-{identity}" for identity in cells.known)]
        fitting = list(dict.fromkeys(one for each in names if each.startswith(name) for one in labels[each]))
    if not fitting:
        full = [label for label in labels if ":" in label]
        seeds = [label for label in full if label.count("/") == 2 and "/seed-" not in label]
        known = seeds if name.count("/") == 2 else [*others, *(label for label in full if label.count("/") == 1)]
        raise RequestError(f"CELL: {name!r} is not known; {nearest(name, known)}")
    if len(fitting) > 1:
        listed = ", ".join(_described(job_id, cells) for job_id in fitting[:MANY])
        more = f" and {len(fitting) - MANY} more" if len(fitting) > MANY else ""
        raise RequestError(f"CELL: {name!r} fits {len(fitting)} jobs, expected one of {listed}{more}")
    return fitting[0]


def _described(job_id: str, cells: Cells) -> str:
    cell = cells.known.get(job_id.removeprefix("cell-"))
    return "{identity} ({method}/{task}/{seed}, {backbone}, {protocol})".format(**cell) if cell else job_id


def _log(out: Path, job_id: str, lines: int) -> list[str]:
    path = out / "logs" / f"{job_id}.log"
    if not path.is_file():
        return ["no log: it has not begun, its log was cleaned, or it ran with --jobs 1, which prints to the terminal"]
    return [f"{path}:", *(tasklogs.tail(path, lines) or ["(empty)"])]


def _why(view: View, job_id: str, failure: Failure | None, lines: int) -> list[str]:
    """Return the reason and the traceback of the last attempt, if it failed."""
    end = view.end(job_id)
    if failure:
        reason, trace = failure.reason, failure.traceback
    elif end and not end.ok and view.state(job_id) == "failed":
        reason, trace = end.reason, end.traceback
    else:
        return []
    return [f"failed: {reason}", *trace.splitlines()[-lines:]]


def _task(view: View, job_id: str, title: str) -> list[str]:
    """Return what the array task said of the job; if none has it, what those said that could have run it."""
    last = max(((path.stat().st_mtime, path) for path in (view.out / "claims").glob(f"{job_id}.*.json")), default=None)
    holder = claims.read(last[1]) if last else None
    path = tasklogs.of_task(view.out, holder.owner) if holder else None
    if path:
        words = tasklogs.reasons(path, title)
        return [f"{path}:", *(f"  {line}" for line in words)] if words else []
    if view.state(job_id) == "lost":
        return [f"{path}:\n  {words[-1]}" for path in view.arrays_of(job_id) if (words := tasklogs.reasons(path))][:3]
    return []
