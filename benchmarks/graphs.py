"""Measure graphs and conformers of molecules on one thread: python benchmarks/graphs.py [--mirror FOLDER]

Prints medians over equal parts of the molecules: 1,000 drawn evenly from the corpora in FOLDER/molecules, or else of
the demo. Loading is timed as training sees it: batches of random molecules, collated.
"""

from __future__ import annotations

import argparse
import gzip
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import get_args

MOLECULES, BATCH, PARTS = 1000, 256, 10


def seconds(work: Callable[[int], object]) -> float:
    """Median wall time of ``work(part)``."""
    times = []
    for part in range(PARTS):
        start = time.perf_counter()
        work(part)
        times.append(time.perf_counter() - start)
    return median(times)


def molecules(mirror: Path | None) -> list[str]:
    """Return what is measured."""
    if mirror is None:
        from tasks.molecules.demo import demo_corpus

        return list(demo_corpus()[:MOLECULES])
    files = sorted((mirror / "molecules").glob("*.smi.gz"))
    chosen: list[str] = []
    for path in files:
        lines = gzip.decompress(path.read_bytes()).decode().split()
        chosen += lines[:: len(lines) * len(files) // MOLECULES][: MOLECULES // len(files)]
    return [one for part in range(PARTS) for one in chosen[part::PARTS]]  # each part a mixture


def main() -> None:
    """Run and print."""
    import numpy as np

    from tasks.graph.cache import GraphCache
    from tasks.graph.conformers import REASONS, Shape, embed
    from tasks.graph.features import Features, graph_of

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mirror", type=Path, help="folder that holds molecules/*.smi.gz")
    smiles = molecules(parser.parse_args().mirror)
    size = len(smiles) // PARTS
    graph_of("C")  # loads ogb
    embed("CC", 1, 0)

    featurised = seconds(lambda part: [graph_of(one) for one in smiles[part * size : (part + 1) * size]])
    GraphCache().ensure(smiles, 1, print)
    graphs = GraphCache().load(smiles)
    rows = np.random.default_rng(0).integers(len(smiles), size=(PARTS, BATCH))

    def loading(form: Features) -> float:
        return seconds(lambda part: graphs.batch(rows[part], form))

    loaded = {form: loading(form) for form in get_args(Features)}
    shapes: list[Shape] = []
    embedded = seconds(lambda part: shapes.extend(embed(one, 1, 0) for one in smiles[part * size : (part + 1) * size]))
    failures = [REASONS[shape.reason] for shape in shapes if shape.reason in REASONS]

    print(f"medians of {PARTS}, one thread, {len(smiles):,} molecules")
    print(f"featurised: {size / featurised:,.0f} graphs a second")
    for form, taken in loaded.items():
        print(f"loaded, {form} features: {BATCH / taken:,.0f} graphs a second in batches of {BATCH}")
    print(f"embedded: {size / embedded:,.1f} conformers a second")
    reasons = ", ".join(f"{failures.count(reason)} {reason}" for reason in sorted(set(failures))) or "none"
    print(f"failed: {len(failures)} of {len(shapes):,} ({reasons})")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_HOME"] = folder  # a cache of its own
        main()
