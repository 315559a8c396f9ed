"""A sweep of 1,155 tiny cells on a throw-away Slurm cluster of this machine: what scheduling costs, what gets lost.

    python benchmarks/slurm_sweep.py [--seeds 105] [--slots 2] [--patience 900]

Eleven methods on analytic:isotropic, 105 seeds each, a fraction of a second a cell: real cells with real records, cut
so small that what is not the cells' own time shows. Their start is shared, so there is one array for it and one of
``--slots`` tasks that waits for it. Printed:

- planning: `bench plan`, a process of its own, its imports included.
- submission: `bench run --slurm dev` from start to return, the same planning included.
- wall: from the start of `run` to the last record.
- overhead per cell: (wall x slots - sum of the cells' seconds) / cells. What is in it: the submission, the start of
  Slurm's tasks, of Python and torch in each of them, the wait for the shared start, claims, outcomes, and idle slots.
- records found, lost (planned, but neither record nor failure), doubled (begun more than once, by the claims).
- peak memory of slurmctld, which keeps all jobs of the last hour.

On a machine with fewer cores than slots, or with other work, the cells slow each other; that is in their seconds.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tabulate import tabulate

from bench.records import scan
from slurm import outcomes
from slurm.dev_cluster import DevCluster
from slurm.submission import Submission

ROOT = Path(__file__).resolve().parents[1]
METHODS = (
    "finetune", "tapweight", "tapweight-null", "tapweight-pairwise", "tapweight-blo", "tapweight-blo-null",
    "mt-tartan", "meta-tartan", "meta-tartan-null", "autolambda", "gradcos",
)  # fmt: skip
TINY = ("start.steps=2", "continued.steps=4", "finetune.epochs=1")
LOOK_SECONDS = 0.5


def main() -> int:
    """Run the sweep; return 1 if a cell was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=105)
    parser.add_argument("--slots", type=int, default=2, help="cells at a time")
    parser.add_argument("--patience", type=float, default=900.0, help="seconds until it is given up")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder:
        cluster = DevCluster(Path(folder, "slurm"))
        cluster.start(nodes=2, cpus=-(-given.slots // 2), gpus=0)
        try:
            os.environ.update(cluster.environment(), BENCH_HOME=f"{folder}/home", OMP_NUM_THREADS="1")
            return measure(cluster, Path(folder, "run"), given.seeds, given.slots, given.patience)
        finally:
            cluster.stop()


def measure(cluster: DevCluster, out: Path, seeds: int, slots: int, patience: float) -> int:
    """Plan, submit, wait and count."""
    request = ["--methods", ",".join(METHODS), "--tasks", "analytic:isotropic", "--seeds", f"0-{seeds - 1}"]
    request += ["--protocol", "smoke", "--out", str(out), *(word for one in TINY for word in ("--set", one))]
    planning = bench("plan", *request)
    begin = time.perf_counter()
    submission = bench("run", *request, "--slurm", "dev", "--slurm-set", f"workers={slots}", "--pack", "1")
    cells = len(METHODS) * seeds
    while (found := count(out)) < cells and time.perf_counter() - begin < patience:
        time.sleep(LOOK_SECONDS)
    wall = time.perf_counter() - begin

    scanned = scan(out)
    contents = [one.content() for one in Submission.all(out)]
    jobs = [job for content in contents for entry in content.groups.values() for job in entry.jobs]
    ends = [end for job in jobs if job.startswith("cell-") and (end := outcomes.read(out, job))]
    begun = Counter(path.stem.rpartition(".")[0] for path in (out / "claims").glob("cell-*.json"))
    doubled = sum(times > 1 for times in begun.values())
    lost = cells - len({record.identity for record in scanned.records} | {one.identity for one in scanned.failures})
    seconds = sum(end.seconds for end in ends)
    pid = cluster.daemons()["slurmctld"]
    rows = [
        ("cells", f"{cells:,}"),
        ("planning (s)", f"{planning:.1f}"),
        ("submission (s)", f"{submission:.1f}"),
        ("arrays", sum(len(content.arrays) for content in contents)),
        ("array tasks", sum(array.tasks for content in contents for array in content.arrays)),
        ("slots", slots),
        ("wall until all records (s)", f"{wall:.1f}" + ("" if found == cells else " (given up)")),
        ("seconds of the cells, sum", f"{seconds:.1f}"),
        ("seconds of a cell, mean", f"{seconds / max(1, len(ends)):.3f}"),
        ("overhead per cell (s)", f"{(wall * slots - seconds) / cells:.3f}"),
        ("records found", f"{len(scanned.records):,}"),
        ("failures", len(scanned.failures)),
        ("lost", lost),
        ("doubled", doubled),
        ("peak memory of slurmctld (MB)", f"{peak_memory(pid) / 2**20:.0f}" if pid else "gone"),
        ("cores of this machine", os.cpu_count()),
        ("load of this machine at the end", f"{os.getloadavg()[0]:.1f}"),
    ]
    print(tabulate(rows, disable_numparse=True, colalign=("left", "right")))
    return 1 if lost or doubled or scanned.failures else 0


def bench(*words: str) -> float:
    """Run a command of the harness; return its seconds."""
    begin = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "bench", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{words[0]}: {done.stderr}")
    return time.perf_counter() - begin


def count(out: Path) -> int:
    """Count the records, without reading them."""
    return sum(1 for _ in (out / "records").glob("*/*/seed-*.json"))


def peak_memory(pid: int) -> int:
    """Return the highest resident memory of a process so far, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    return int(found[1]) * 1024 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
