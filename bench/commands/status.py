"""How far a run is, read from its folder alone: right also after the launcher died."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tabulate import tabulate

from bench import plan as planning
from bench.errors import RequestError
from bench.records import scan

FRESH_SECONDS = 120.0  # a progress file older than this belongs to a job that is gone
_KEYS = {"what", "step", "steps", "since", "updated"}


def status_of(out: Path) -> str:
    """Return counts per method and task, what runs with its step, and the failures with their reasons.

    Raises
    ------
    RequestError: if the folder is none of a run.
    """
    found = scan(out)
    damaged, planned = list(found.damaged), list[dict[str, Any]]()
    try:
        planned = (planning.read(out) or {"cells": []})["cells"]
    except (OSError, ValueError):
        damaged.append(out / planning.FILE)
    if not planned and not damaged and not found.records and not found.failures:
        raise RequestError(f"--out: expected the folder of a run, got {out}, which holds no plan and no records")
    known = {cell["identity"]: cell for cell in planned}
    names = {tuple(cell[name] for name in planning.NAMES) for cell in planned}
    for cell in [*found.records, *found.failures]:
        entry = cell.model_dump(include={*planning.NAMES, "identity"})
        if tuple(entry[name] for name in planning.NAMES) not in names:  # else the plan has it, with newer settings
            known.setdefault(cell.identity, entry)
    done = {record.identity for record in found.records}
    failed = {failure.identity: failure for failure in found.failures if failure.identity in known}
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
    lines += ["", *(f"damaged: {path}" for path in damaged)] if damaged else []
    return "\n".join(lines)


def active(out: Path) -> list[dict[str, Any]]:
    """Return the progress files of jobs that were alive a moment ago."""
    found = []
    for path in sorted((out / "progress").glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if time.time() - content["updated"] < FRESH_SECONDS and content.keys() >= _KEYS:
                found.append(content)
        except (OSError, ValueError, TypeError, LookupError, AttributeError):
            continue  # being replaced, or of a job that just ended
    return found


def _running(out: Path) -> list[str]:
    lines = []
    for content in active(out):
        lasted = content["updated"] - content["since"]
        lines.append(f"  {content['what']}: step {content['step']} of {content['steps']}, {lasted:.0f} s")
    return lines
