"""Which molecules make up a corpus: a random sample of files, or the demo's, without held-out molecules."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

from bench.errors import RequestError, nearest
from tasks.info import SuiteInfo, TaskInfo
from tasks.molecules.table import load_table, molecule_tasks, prepare_table
from tasks.parallel import spread
from tasks.settings import CorpusSettings
from tasks.sources import locate


def prepare_tables(
    tasks: Sequence[TaskInfo], *, mirror: str | None, download: bool, workers: int, say: Callable[[str], None]
) -> None:
    """Prepare the tables of ``tasks``, several at once. Raises NotPreparedError as ``prepare_table`` does."""
    prepare = partial(_prepare_table, mirror=mirror, download=download)
    counts = list(spread(prepare, tasks, workers))
    say(f"tables: {len(tasks)} tasks, {sum(counts):,} labelled molecules")


def _prepare_table(info: TaskInfo, mirror: str | None, download: bool) -> int:
    return len(prepare_table(info, mirror=mirror, download=download).smiles)


def sample(
    suite: SuiteInfo, settings: CorpusSettings, *, mirror: str | None, download: bool
) -> tuple[list[str], dict[str, int], dict[str, int]]:
    """Return the molecules, and by source how many were taken and how many were dropped on the way."""
    held_out = _held_out(suite) if settings.exclude == "suite" else frozenset()
    if suite.corpus == "demo":
        from tasks.molecules.demo import demo_corpus

        pool, dropped = _take(demo_corpus(), settings.molecules, held_out, settings.seed, "demo")
        return pool, {"demo": len(pool)}, {"demo": dropped}
    checksums = corpus_files()
    pool, sources, excluded = [], {}, {}
    for name, count in sorted(_counts(settings).items()):
        path = locate(f"molecules/{name}.smi.gz", sha256=checksums[name], mirror=mirror, download=download)
        lines = gzip.decompress(path.read_bytes()).decode().split()
        taken, excluded[name] = _take(lines, count, held_out, settings.seed, name)
        if len(taken) < count:
            raise RequestError(
                f"corpus.shares.{name}: expected at most the {len(taken):,} molecules that molecules/{name}.smi.gz "
                f"has left, got {count:,}; lower this share or corpus.molecules"
            )
        pool, sources[name] = pool + taken, count
    return pool, sources, excluded


def _take(lines: Sequence[str], count: int, held_out: frozenset[str], seed: int, name: str) -> tuple[list[str], int]:
    """Walk ``lines`` in random order and take up to ``count`` that are not held out; also count those met that are."""
    import torch

    from tasks.randomness import generator

    taken: list[str] = []
    dropped = 0
    for index in torch.randperm(len(lines), generator=generator(seed, "corpus", name)).tolist():
        if len(taken) == count:
            break
        if lines[index] in held_out:
            dropped += 1
        else:
            taken.append(lines[index])
    return taken, dropped


def _held_out(suite: SuiteInfo) -> frozenset[str]:
    found: set[str] = set()
    for task in molecule_tasks(suite):
        table = load_table(task)
        found.update(table.smiles[index] for part in (table.val, table.test) for index in part)
    return frozenset(found)


def _counts(settings: CorpusSettings) -> dict[str, int]:
    """Cut ``settings.molecules`` by the shares; what rounding leaves goes to the largest remainders."""
    checksums, shares = corpus_files(), {name: share for name, share in settings.shares.items() if share > 0}
    for name in shares:
        if name not in checksums:
            raise RequestError(f"corpus.shares: {name!r} is not known; {nearest(name, checksums)}")
    if abs(sum(shares.values()) - 1) > 1e-6:
        raise RequestError(f"corpus.shares: expected shares that sum to 1, got {sum(shares.values()):g}")
    exact = {name: share * settings.molecules for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
    for name in by_remainder[: settings.molecules - sum(counts.values())]:
        counts[name] += 1
    return counts


@lru_cache(maxsize=1)
def corpus_files() -> dict[str, str]:
    """The files of molecules that are known: name to sha256 of the content."""
    import yaml

    content = yaml.safe_load(Path(__file__).with_name("corpora.yaml").read_text(encoding="utf-8"))
    return {str(name): str(checksum) for name, checksum in content.items()}
