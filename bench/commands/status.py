"""How far a run is, read from its folder alone: right also after the launcher died."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench.errors import RequestError
from bench.records import scan

FRESH_SECONDS = 120.0  # a progress file older than this belongs to a job that is gone


def status_of(out: Path) -> str:
    """Return counts per method and task, what runs with its step, and the failures with their reasons.

    Raises
    ------
    RequestError: if the folder is none of a run.
    """
    found = scan(out)
    planned = _plan(out)
    if not planned and not found.records and not found.failures:
        raise RequestError(f"--out: expected the folder of a run, got {out}, which holds no plan and no records")
    done, failed = {r.identity for r in found.records}, {f.identity: f for f in found.failures}
    known = {cell["identity"]: cell for cell in planned}
    for cell in [*found.records, *found.failures]:
        known.setdefault(cell.identity, cell.model_dump(include={"identity", "method", "task", "seed"}))
    counts: Counter[tuple[str, str, str]] = Counter()
    for identity, entry in known.items():
        state = "done" if identity in done else "failed" if identity in failed else "missing"
        counts[entry["method"], entry["task"], state] += 1
    rows = [
        [method, task, *(counts[method, task, state] for state in ("done", "failed", "missing"))]
        for method, task in dict.fromkeys((entry["method"], entry["task"]) for entry in known.values())
    ]
    total = {state: sum(n for (_, _, s), n in counts.items() if s == state) for state in ("done", "failed", "missing")}
    lines = [
        ", ".join(f"{n} {state}" for state, n in total.items()) + f" of {len(known)} cells in {out}",
        "",
        tabulate(rows, headers=["method", "task", "done", "failed", "missing"]),
    ]
    running = _running(out)
    lines += ["", "running:", *running] if running else []
    if failed:
        lines += ["", "failed:"]
        lines += [f"  {f.method} {f.task} seed {f.seed} (attempt {f.attempts}): {f.reason}" for f in failed.values()]
    lines += [f"damaged: {path}" for path in found.damaged]
    return "\n".join(lines)


def active(out: Path) -> list[dict[str, Any]]:
    """Return the progress files of jobs that were alive a moment ago."""
    found = []
    for path in sorted((out / "progress").glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if time.time() - content["updated"] < FRESH_SECONDS:
                found.append(content)
        except (OSError, ValueError, KeyError):
            continue  # being replaced, or of a job that just ended
    return found


def _running(out: Path) -> list[str]:
    lines = []
    for content in active(out):
        lasted = content["updated"] - content["since"]
        lines.append(f"  {content['what']}: step {content['step']} of {content['steps']}, {lasted:.0f} s")
    return lines


def _plan(out: Path) -> list[dict[str, Any]]:
    try:
        cells: list[dict[str, Any]] = json.loads((out / "plan.json").read_text(encoding="utf-8"))["cells"]
        return cells
    except (OSError, ValueError, KeyError):
        return []
