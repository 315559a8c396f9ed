"""What a job knows: its cell, its folder, its device; and the paths of all it leaves there."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import artifacts, chain, protocol
from bench.chain import Chain, Link
from bench.checkpoint import CheckpointedRun
from bench.files import write_json
from bench.out_of_memory import MOST_PARTS
from bench.records import Cell
from slurm.executor import allowed_threads, cores

if TYPE_CHECKING:
    from tasks.problem import Problem, TestKey

PROGRESS_SECONDS = 2.0  # between two updates of a progress file


@dataclass(frozen=True)
class Work:
    """One job's view of the run.

    ``parts``: in which the encoder goes through batches to begin with. An attempt that was killed may have run out of
    the host's memory, so on a CPU, where batches live there, each one doubles them.

    Paths below ``out``: ``checkpoints/ID-POSITION-STAGE/`` and ``...checkpoint`` while a cell is under
    way, ``progress/NAME.json`` while a job runs.
    """

    out: Path
    device: str
    chain: Chain
    parts: int = 1

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> Work:
        """Rebuild everything from a job's payload and the prepared metadata."""
        wanted = payload["cell"]
        rules = protocol.parse(payload["protocol"], payload["protocol"]["name"])
        planned = chain.build(wanted["method"], wanted["task"], wanted["backbone"], wanted["seed"], rules)
        deaths = int(payload.get("deaths", 0)) if payload["device"] == "cpu" else 0
        return cls(Path(payload["out"]), payload["device"], planned, min(2**deaths, MOST_PARTS))

    def problem(self, link: Link) -> tuple[Problem, TestKey]:
        """Load the problem that a stage trains on, and set the threads for it and what follows."""
        import torch

        torch.set_num_threads(self._threads(link))
        return self.chain.problem(link, self.device)

    def stored(self, position: int) -> Path:
        """Where the output of a stage lies: shared ones in the common cache, own ones in the run folder."""
        link = self.chain.links[position]
        if link.stage.shared:
            return artifacts.folder(link.stage.name, link.digest)
        return self.out / "checkpoints" / f"{self.chain.cell.identity}-{position}-{link.stage.name}"

    def _threads(self, link: Link) -> int:
        """Return the threads with which the work began, where there are so many cores, else those that are allowed.

        The last bits depend on their number. At the beginning it is noted.
        """
        path, allowed = self.threads_file(link), allowed_threads()
        try:
            begun = int(json.loads(path.read_text(encoding="utf-8"))["threads"])
        except (OSError, ValueError, TypeError, KeyError):
            with contextlib.suppress(OSError):  # a full disk takes no checkpoint either
                write_json(path, {"threads": allowed})
            return allowed
        if begun == allowed or 1 <= begun <= cores():
            return begun
        print(f"warning: begun with {begun} threads, goes on with {allowed}: last bits may differ", file=sys.stderr)
        return allowed

    def threads_file(self, link: Link) -> Path:
        """What remembers with how many threads a cell, or a shared stage, began, until it is done."""
        shared = artifacts.folder(link.stage.name, link.digest)
        path = shared if link.stage.shared else self.out / "checkpoints" / self.chain.cell.identity
        return path.with_name(path.name + ".threads")

    def parts_file(self, position: int) -> Path:
        """What remembers in how many parts the batches of a stage went, while it is under way."""
        path = self.stored(position)
        return path.with_name(path.name + ".parts")

    def context(self, position: int) -> CheckpointedRun:
        """Return the context in which a stage runs."""
        link = self.chain.links[position]
        name = f"{link.stage.name}-{link.digest}" if link.stage.shared else self.chain.cell.identity
        what = f"{link.stage.name} (shared)" if link.stage.shared else f"{title(self.chain.cell)}, {link.stage.name}"
        path = self.stored(position)
        report = _reporter(self.progress_file(name), what)
        return CheckpointedRun(path.with_name(path.name + ".checkpoint"), report, link.spec.seed)

    def progress_file(self, name: str) -> Path:
        """Where a running job says how far it is."""
        return self.out / "progress" / f"{name}.json"

    def tidy(self) -> None:
        """Delete what the finished cell no longer needs, and what killed attempts left half written."""
        cell, checkpoints = self.chain.cell, self.out / "checkpoints"
        for path in checkpoints.glob(f"{cell.identity}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.progress_file(cell.identity).unlink(missing_ok=True)
        for folder in (checkpoints, self.out / "progress", cell.path(self.out).parent):
            for path in folder.glob(f".*{cell.identity}*.tmp"):
                path.unlink(missing_ok=True)


def title(cell: Cell) -> str:
    """Return what a person calls a cell."""
    return f"{cell.method} {cell.task} seed {cell.seed}"


def _reporter(path: Path, what: str) -> Callable[[int, int], None]:
    last, since = 0.0, time.time()
    first: int | None = None  # the step at which this attempt began

    def report(step: int, total: int) -> None:
        nonlocal last, first
        now = time.time()
        first = step - 1 if first is None else first
        if now - last >= PROGRESS_SECONDS:
            last = now
            content = {"what": what, "step": step, "steps": total, "first": first, "since": since, "updated": now}
            with contextlib.suppress(OSError):  # a cell does not fail for want of a progress file
                write_json(path, content)

    return report
