"""Seconds and peak memory of the report of 2,310 records: 11 methods, 21 tasks, 10 seeds.

    python benchmarks/report_speed.py [--rounds 3] [--folder FOLDER]

The records are made up and written into FOLDER, by default a temporary one. Each part runs in a process of
its own, ``--rounds`` times, on one thread. Printed: the median, the smallest and the largest number of
seconds, without the imports, and the peak memory of the process, with them.

- imports: nothing else.
- reading: all records, checked.
- tests: on the scores alone, every test, interval and aggregate that a report may hold. On each task all
  pairs of methods, and the focus method's intervals; over all 21 tasks sign flips of all pairs, and the
  focus method's stratified permutations and improvements; the aggregates of all methods.
- report: ``leaderboard.report.build``, which reads and tests.
- files: ``leaderboard.report.write`` with the page: also tables, pictures and report.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOCUS, BASELINE = "tapweight", "finetune"


def reading(folder: Path) -> Callable[[], object]:
    """Read and check."""
    from leaderboard.grid import read_folders

    return lambda: read_folders([folder])


def tests(folder: Path) -> Callable[[], object]:
    """Every test on the scores alone."""
    import numpy as np

    from bench.records import scan
    from leaderboard.statistics.bootstrap import aggregate, probability_of_improvement
    from leaderboard.statistics.holm import holm
    from leaderboard.statistics.permutation import intervals, two_samples
    from leaderboard.statistics.ranks import average_ranks, neighbour_groups
    from leaderboard.statistics.scale import error_removed
    from leaderboard.statistics.signs import sign_flips
    from leaderboard.statistics.stratified import stratified_permutation

    records = scan(folder).records
    methods, tasks = (list(dict.fromkeys(getattr(record, name) for record in records)) for name in ("method", "task"))
    raw: dict[tuple[str, str], list[float]] = {}
    direction = {record.task: record.higher_is_better for record in records}
    for record in sorted(records, key=lambda record: record.seed):
        raw.setdefault((record.method, record.task), []).append(record.score())
    seeds = len(records) // (len(methods) * len(tasks))
    scores = np.array([[raw[method, task] for task in tasks] for method in methods])  # (m, T, n)
    assert scores.shape == (len(methods), len(tasks), seeds)
    higher = [direction[task] for task in tasks]
    turned = scores * np.where(higher, 1.0, -1.0)[:, None]
    focus, baseline = methods.index(FOCUS), scores[methods.index(BASELINE)]
    others = [row for row in range(len(methods)) if row != focus]
    first, second = (list(rows) for rows in zip(*combinations(range(len(methods)), 2), strict=True))

    def run() -> None:
        generator = np.random.default_rng(0)
        for task in range(len(tasks)):  # as the report goes, task by task
            outcomes = two_samples(turned[first, task], turned[second, task], generator=generator)
            holm([outcome.p for outcome in outcomes])
            against = np.broadcast_to(turned[focus, task], (len(others), seeds))
            two_samples(against, turned[others, task], generator=generator)
            intervals(against, turned[others, task], generator=generator)
        shares = np.array(
            [
                [
                    error_removed(own.mean(), base.mean(), higher_is_better=up)
                    for own, base, up in zip(*row, strict=True)
                ]
                for row in ((method, baseline, higher) for method in scores)
            ]
        )
        p = holm([outcome.p for outcome in sign_flips(shares[first] - shares[second], generator=generator)])
        square = np.ones((len(methods), len(methods)))
        square[first, second] = square[second, first] = p
        neighbour_groups(average_ranks(turned.mean(axis=2)), square, 0.05)
        for other in others:
            stratified_permutation(list(turned[focus]), list(turned[other]), generator=generator)
            probability_of_improvement(list(turned[focus]), list(turned[other]), generator=generator)
        for method in scores:
            aggregate(list(method), list(baseline), higher, generator=generator)

    return run


def report(folder: Path) -> Callable[[], object]:
    """Everything that the report holds."""
    from leaderboard.report import build

    return lambda: build([folder])


def files(folder: Path) -> Callable[[], object]:
    """Everything that is written."""
    from leaderboard.report import write

    return lambda: write([folder], to=folder / "report", html=True)


PARTS: dict[str, Callable[[Path], Callable[[], object]]] = {
    "imports": lambda _: lambda: None,
    "reading": reading,
    "tests": tests,
    "report": report,
    "files": files,
}


def fabricate(folder: Path) -> Callable[[], object]:
    """Write the records, unless there are some."""
    from tests.leaderboard.fabricate import large, save

    return lambda: None if (folder / "records").is_dir() else save(folder, large())


def measure(part: str, folder: Path) -> dict[str, float]:
    """Run one part in this process."""
    run = (PARTS | {"fabricate": fabricate})[part](folder)
    begin = time.perf_counter()
    run()
    seconds = time.perf_counter() - begin
    assert "torch" not in sys.modules
    # In kibibytes on Linux.
    return {"seconds": seconds, "bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def main() -> None:
    """Write the records, measure every part and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the records are, or are written if there are none")
    parser.add_argument("--one", help=argparse.SUPPRESS)  # what a child process measures
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        _child("fabricate", folder)  # a child's peak memory counts that of its parent, which stays small
        print(f"{'':10s} {'seconds':>8s} {'min':>8s} {'max':>8s} {'MiB':>6s}")
        for part in PARTS:
            found = [_child(part, folder) for _ in range(options.rounds)]
            seconds = [one["seconds"] for one in found]
            memory = statistics.median(one["bytes"] for one in found) / 2**20
            print(f"{part:10s} {statistics.median(seconds):8.2f} {min(seconds):8.2f} {max(seconds):8.2f} {memory:6.0f}")


def _child(part: str, folder: Path) -> dict[str, float]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = os.environ | threads | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, __file__, "--one", part, "--folder", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    main()
