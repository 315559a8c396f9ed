"""The main job: request -> plan -> jobs -> records -> leaderboard."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

from bench import plan as planning
from bench.cell import fail
from bench.checkpoint import interval
from bench.commands.prepare import check_jobs, prepare_pairs, say
from bench.commands.slurm import Cluster
from bench.errors import BenchError, NotPreparedError, RequestError, nearest
from bench.files import home
from bench.plan import Pair, Plan
from bench.protocol import Protocol
from bench.protocol_files import load
from bench.records import Cell, Scan, read_failure, scan
from bench.work import title
from methods import METHODS
from slurm.executor import Outcome, available_threads
from slurm.gpus import visible
from slurm.local import choose
from slurm.submission import covered, launching
from tasks.catalogue import expand


@dataclass(frozen=True)
class Request:
    """What the user asked for, checked."""

    methods: list[str]
    pairs: list[Pair]
    skipped: list[dict[str, str]]
    seeds: list[int]
    rules: Protocol
    out: Path
    mirror: str | None
    retry_failed: bool
    unread: list[str]  # keys of --set that no requested method reads

    @classmethod
    def parse(
        cls, methods: str, tasks: str, seeds: str, protocol: str, assignments: Sequence[str],
        out: Path | None, mirror: str | None, retry: str | None, backbone: str | None = None,
    ) -> Request:  # fmt: skip
        """Check every part; raises RequestError at the first that is wrong."""
        if retry not in (None, "failed"):
            raise RequestError(f"--retry: expected 'failed', got {retry!r}")
        names, wanted, rules = planning.parse_methods(methods), expand(tasks), load(protocol, assignments)
        fitting, skipped = planning.pairs(names, wanted, planning.parse_backbones(backbone))
        resolved = [rules.resolve(METHODS.get(name), task, backbone) for name, task, backbone in fitting]
        unread = sorted(set(rules.assignments) - {key for one in resolved for key in one.origins})
        folder, chosen = out or Path("runs") / rules.name, planning.parse_seeds(seeds)
        return cls(names, fitting, skipped, chosen, rules, folder, mirror, retry == "failed", unread)

    def check_stages(self) -> None:
        """Raise NotPreparedError if a stage lacks something beside the data, such as a starting checkpoint."""
        for name, task, backbone in self.pairs:
            method = METHODS.get(name)
            for stage in method.pipeline(self.rules.resolve(method, task, backbone).settings):
                stage.check()

    def check_focus(self, focus: str | None, found: Scan) -> None:
        """Raise RequestError if no row of the leaderboard can be that of ``focus``."""
        known = {*self.methods, *(record.method for record in found.records)}
        known = {name for name in known if name not in METHODS.names() or not METHODS.get(name).control_of}
        # A row is named "method", or "method (backbone)" where two backbones ran.
        name, _, backbone = (focus or "").partition(" (")
        ran = {*(backbone for _, _, backbone in self.pairs), *(record.backbone for record in found.records)}
        if focus is not None and (name not in known or (backbone and backbone not in {f"{one})" for one in ran})):
            raise RequestError(f"--focus: {focus!r} is not a method of this run; {nearest(focus, known)}")

    def plan(self, found: Scan) -> Plan:
        """Return the plan; raises NotPreparedError if the data was never prepared."""
        return planning.make(self.pairs, self.skipped, self.seeds, self.rules, found, self.retry_failed)


def show_plan(request: Request) -> None:
    """Print the plan of a request; raises as :func:`run`."""
    request.check_stages()
    found = scan(request.out)
    print(_summary(request, request.plan(found), found))


def run(request: Request, jobs: int | None, device: str, focus: str | None, cluster: Cluster | None = None) -> int:
    """Run what has no record, print the leaderboard, return the exit code; with ``cluster``, submit it and return 0.

    Raises
    ------
    RequestError: if a part of the request is wrong, or the folder holds records of another format.
    NotPreparedError: naming the data or the checkpoint that is missing.
    """
    check_jobs(jobs)
    _check_device(device, here=cluster is None)
    if cluster:
        cluster.check(request.out, device, jobs)
    found = scan(request.out)
    request.check_focus(focus, found)
    request.check_stages()
    _check_writable("--out", request.out)
    interval()
    with launching(request.out) if cluster else nullcontext():
        # In this order: a cell that ends in between is in the queue for us, and is not submitted twice.
        live = covered(request.out) if cluster else {}
        found = scan(request.out) if cluster else found
        plan = _planned(request, found)
        if cluster and plan.todo:
            cluster.submit(plan, request.rules, request.out, device, found, live)
            return 0
    failed = _execute(request, plan, found, jobs, device) if plan.todo else 0
    _print_leaderboard(request.out, focus)
    return 1 if failed else 0


def _planned(request: Request, found: Scan) -> Plan:
    """Mend the folder, prepare what the cells read, say and save the plan; raises as :func:`run`."""
    _mend(request.out, found)
    # A run never downloads: a local mirror will do, the network is for `prepare`.
    try:
        plan = request.plan(found)
        prepared = not plan.todo
    except NotPreparedError:
        _check_writable("BENCH_HOME", home())
        prepared = False
    if not prepared:
        mirror = request.mirror
        prepare_pairs(request.pairs, request.rules, mirror=mirror, download=False, workers=available_threads())
        plan = request.plan(found)
    if any(link.stage.shared and not link.done for planned in plan.todo for link in planned.links):
        _check_writable("BENCH_HOME", home())
    say(_summary(request, plan, found))
    tasks = list(dict.fromkeys(task.id for _, task, _ in request.pairs))
    planning.save(plan, request.out, {"methods": request.methods, "tasks": tasks, "seeds": request.seeds})
    return plan


def _execute(request: Request, plan: Plan, found: Scan, jobs: int | None, device: str) -> int:
    """Run the cells to run; return how many have no record after it."""
    from bench.progress import Progress

    threads, device = available_threads(), _resolve(device)
    work = planning.jobs(plan, request.rules, request.out, device, found.records)
    count = jobs or (max(1, len(visible())) if device == "cuda" else threads)
    executor = choose(count, threads, request.out / "logs")  # not fewer for less work: it decides the threads of a job
    cells = {f"cell-{planned.cell.identity}": planned.cell for planned in plan.todo}
    attempts = {failure.identity: failure.attempts for failure in found.failures}
    try:
        with Progress(len(work)) as progress:
            for outcome in executor.run(work, started=lambda job: progress.started(job.title)):
                progress.finished(outcome.job.title, outcome.ok, outcome.seconds, outcome.reason)
                if outcome.job.id in cells and not outcome.ok:
                    cell = cells[outcome.job.id]
                    _keep_failure(request.out, cell, outcome, attempts.get(cell.identity, 0))
    finally:  # nothing runs any more, whatever ended it
        for path in (request.out / "progress").glob("*.json"):
            path.unlink(missing_ok=True)
    have = {record.identity for record in scan(request.out).records}
    failed = [cell for cell in cells.values() if cell.identity not in have]
    for cell in failed:
        say(f"failed: {title(cell)}; its traceback is in {cell.path(request.out, 'failures')}")
    return len(failed)


def _keep_failure(out: Path, cell: Cell, outcome: Outcome, before: int) -> None:
    """Write the failure of a cell that could not write its own, so that every attempt is counted once.

    A job writes its own failure. It cannot if it was killed, if it did not start because a stage before
    it failed, or if its settings could not be read: then the file still counts ``before`` attempts.
    """
    if cell.path(out, "records").exists():
        return
    try:
        counted = read_failure(cell.path(out, "failures")).attempts
    except (OSError, BenchError):
        counted = 0
    if counted <= before:
        fail(out, cell, outcome.reason, outcome.traceback)


def _summary(request: Request, plan: Plan, found: Scan) -> str:
    failed = {failure.identity for failure in found.failures}
    again = sum(planned.cell.identity in failed for planned in plan.todo)
    counts = [f"{len(plan.done)} done", f"{len(plan.todo)} to run" + (f" ({again} failed before)" if again else "")]
    if plan.passed_over:
        counts.append(f"{len(plan.passed_over)} left out by --retry failed")
    lines = [
        f"protocol {request.rules.name} ({request.rules.about}); records in {request.out}",
        f"cells: {len(plan.cells)} = {' + '.join(counts)}",
    ]
    if plan.todo:
        missing = {link.digest: link.stage.name for planned in plan.todo for link in planned.links
                   if link.stage.shared and not link.done}  # fmt: skip
        shared = Counter(missing.values())
        hours = planning.hours(plan, found.records)
        lines.append(f"shared stages to train: {', '.join(f'{n} {k}' for k, n in shared.items()) or 'none'}")
        lines.append(f"estimate: {'none, no past records here' if hours is None else f'{hours:.2f} compute hours'}")
    if request.unread:
        lines.append(f"--set of what none of these methods reads: {', '.join(request.unread)}")
    lines += [f"skipped: {entry['method']} on {entry['task']}: {entry['reason']}" for entry in plan.skipped]
    return "\n".join(lines)


def _print_leaderboard(out: Path, focus: str | None) -> None:
    from bench.commands.report import write_report

    print(write_report([out], focus))


def _check_writable(what: str, folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RequestError(f"{what}: expected a folder that can be written, got {folder} ({error.strerror})") from error


def _mend(out: Path, found: Scan) -> None:
    """Set damaged files aside, so that their cells run again and the plan is written anew."""
    for path in found.damaged:
        say(f"warning: {path} is damaged, so its cell has to run again; the file is kept as {_set_aside(path)}")
    try:
        planning.read(out)
    except ValueError:
        path = out / planning.FILE
        say(f"warning: {path} is damaged and written anew, without earlier requests; kept as {_set_aside(path)}")


def _set_aside(path: Path) -> Path:
    """Rename a file, or what is in its place, to the first name that is free."""
    names = chain([path.stem], (f"{path.stem}-{number}" for number in count(2)))
    kept = (path.with_name(f"{name}.damaged") for name in names)
    return path.replace(next(place for place in kept if not os.path.lexists(place)))


def _check_device(name: str, here: bool) -> None:
    known = ("auto", "cpu", "cuda")
    if name not in known:
        raise RequestError(f"--device: {name!r} is not known; {nearest(name, known)}")
    if here and name == "cuda" and not _sees_gpu():
        raise RequestError("--device: expected a device that is there, got 'cuda', but torch sees no GPU; use cpu")


def _resolve(device: str) -> str:
    return device if device != "auto" else "cuda" if _sees_gpu() else "cpu"


def _sees_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
