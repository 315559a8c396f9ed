"""The main job: request -> plan -> jobs -> records -> leaderboard."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import plan as planning
from bench.cell import fail
from bench.commands.prepare import prepare_pairs, say
from bench.errors import NotPreparedError, RequestError
from bench.plan import Pair, Plan
from bench.protocol import Protocol, load
from bench.records import Cell, Scan, scan
from bench.work import title
from methods import METHODS
from slurm.executor import Outcome, available_threads
from slurm.local import choose
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

    @classmethod
    def parse(
        cls, methods: str, tasks: str, seeds: str, protocol: str, assignments: Sequence[str],
        out: Path | None, mirror: str | None, retry: str | None,
    ) -> Request:  # fmt: skip
        """Check every part; raises RequestError at the first that is wrong."""
        if retry not in (None, "failed"):
            raise RequestError(f"--retry: expected 'failed', got {retry!r}")
        names, wanted, rules = planning.parse_methods(methods), expand(tasks), load(protocol, assignments)
        fitting, skipped = planning.pairs(names, wanted)
        for name, task, backbone in fitting:
            rules.resolve(METHODS.get(name), task, backbone)
        folder = out or Path("runs") / rules.name
        return cls(names, fitting, skipped, planning.parse_seeds(seeds), rules, folder, mirror, retry == "failed")

    def plan(self, found: Scan) -> Plan:
        """Return the plan; raises NotPreparedError if the data was never prepared."""
        return planning.make(self.pairs, self.skipped, self.seeds, self.rules, found, self.retry_failed)


def show_plan(request: Request) -> None:
    """Print the plan of a request."""
    found = scan(request.out)
    print(_summary(request, request.plan(found), found))


def run(request: Request, jobs: int | None, device: str, focus: str | None) -> int:
    """Run what has no record, print the leaderboard, return the exit code."""
    if device not in ("auto", "cpu", "cuda"):
        raise RequestError(f"--device: expected auto, cpu or cuda, got {device!r}")
    if jobs is not None and jobs < 1:
        raise RequestError(f"--jobs: expected at least 1, got {jobs}")
    found = scan(request.out)
    _check_writable(request.out)
    for path in found.damaged:
        say(f"warning: {path} is damaged and will be run again; the file is kept as {_set_aside(path)}")
    # A run never downloads: a local mirror will do, the network is for `prepare`.
    try:
        plan = request.plan(found)
        prepared = not plan.todo
    except NotPreparedError:
        prepared = False
    if not prepared:
        mirror = request.mirror
        prepare_pairs(request.pairs, request.rules, mirror=mirror, download=False, workers=available_threads())
        plan = request.plan(found)
    say(_summary(request, plan, found))
    tasks = list(dict.fromkeys(task.id for _, task, _ in request.pairs))
    planning.save(plan, request.out, {"methods": request.methods, "tasks": tasks, "seeds": request.seeds})
    failed = _execute(request, plan, jobs, _device(device)) if plan.todo else 0
    _print_leaderboard(request.out, focus)
    return 1 if failed or any(cell.cell.identity in _failed(request.out) for cell in plan.passed_over) else 0


def _execute(request: Request, plan: Plan, jobs: int | None, device: str) -> int:
    from bench.progress import Progress

    threads = available_threads()
    work = planning.jobs(plan, request.rules, request.out, device)
    count = jobs or (1 if device == "cuda" else threads)
    executor = choose(min(count, len(work)), threads, request.out / "logs")
    cells = {f"cell-{planned.cell.identity}": planned.cell for planned in plan.todo}
    with Progress(len(work)) as progress:
        for outcome in executor.run(work, started=lambda job: progress.started(job.title)):
            progress.finished(outcome.job.title, outcome.ok, outcome.seconds, outcome.reason)
            _keep_failure(request.out, outcome, cells)
        failed = {title(cells[key]) for key in cells if cells[key].identity in _failed(request.out)}
    for path in (request.out / "progress").glob("*.json"):
        path.unlink(missing_ok=True)
    for name in sorted(failed):
        say(f"failed: {name}; its traceback is in {request.out / 'failures'}")
    return len(failed)


def _keep_failure(out: Path, outcome: Outcome, cells: dict[str, Cell]) -> None:
    """Write the failure of a cell that could not write its own: killed, or not run because a stage before it failed."""
    cell = cells.get(outcome.job.id)
    if cell is None or outcome.ok or cell.path(out, "records").exists():
        return
    own = cell.path(out, "failures")
    if "traceback" not in outcome.traceback.lower() or not own.exists():
        fail(out, cell, outcome.reason, outcome.traceback)


def _failed(out: Path) -> set[str]:
    return {failure.identity for failure in scan(out).failures}


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
    lines += [f"skipped: {entry['method']} on {entry['task']}: {entry['reason']}" for entry in plan.skipped]
    return "\n".join(lines)


def _print_leaderboard(out: Path, focus: str | None) -> None:
    from bench.commands.report import write_report

    print(write_report(out, focus))


def _check_writable(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise RequestError(f"--out: expected a folder that can be written, got {out} ({error.strerror})") from error


def _set_aside(path: Path) -> Path:
    kept = path.with_suffix(".damaged")
    return path.replace(kept)


def _device(name: str) -> str:
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise RequestError("--device: expected a device that is there, got 'cuda', but torch sees no GPU; use cpu")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
