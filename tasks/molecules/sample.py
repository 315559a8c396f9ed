"""Which molecules make up a corpus: a random sample of files, or the demo's, without held-out molecules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from bench.errors import NotPreparedError, RequestError
from tasks.info import SuiteInfo, TaskInfo
from tasks.molecules.files import read_molecules
from tasks.molecules.table import has_table, load_table, prepare_table, prepared_tasks
from tasks.parallel import spread
from tasks.settings import CorpusSettings


def prepare_tables(
    tasks: Sequence[TaskInfo],
    *,
    others: Sequence[TaskInfo] = (),
    mirror: str | None,
    download: bool,
    workers: int,
    say: Callable[[str], None],
) -> None:
    """Prepare the tables of ``tasks``, and those of ``others`` that can be had, several at once.

    Raises
    ------
    NotPreparedError, RequestError: as ``prepare_table``, but for ``others`` that the cache never had no
        NotPreparedError.
    """
    wanted = [(task, True) for task in tasks] + [(task, False) for task in others if task not in tasks]
    prepare = partial(_prepare_table, mirror=mirror, download=download)
    counts = [count for count in spread(prepare, wanted, workers) if count is not None]
    say(f"tables: {len(counts)} tasks, {sum(counts):,} labelled molecules")


def _prepare_table(piece: tuple[TaskInfo, bool], mirror: str | None, download: bool) -> int | None:
    info, needed = piece
    try:
        return len(prepare_table(info, mirror=mirror, download=download).smiles)
    except NotPreparedError:
        # A damaged table has to be mended: its metadata makes corpora count as kept apart from it.
        if needed or has_table(info):
            raise
        return None


def sample(
    suite: SuiteInfo,
    settings: CorpusSettings,
    *,
    mirror: str | None,
    download: bool,
    workers: int,
    say: Callable[[str], None],
) -> tuple[list[str], dict[str, int], dict[str, int]]:
    """Return the molecules, and by source how many were taken and how many were dropped on the way."""
    held_out = _held_out(suite) if settings.exclude == "suite" else frozenset()
    if suite.corpus == "demo":
        from tasks.molecules.demo import demo_corpus

        pool, dropped = _take(demo_corpus(), settings.molecules, held_out, settings.seed, "demo")
        return pool, {"demo": len(pool)}, {"demo": dropped}
    pool, sources, excluded = [], {}, {}
    for name, count in sorted(_counts(settings).items()):
        lines = read_molecules(name, mirror=mirror, download=download, workers=workers, say=say)
        before = set(pool)  # the known files share no molecule, but one of a user's own may
        lines = [line for line in lines if line not in before]
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
    for task in prepared_tasks(suite):
        table = load_table(task)
        found.update(table.smiles[index] for part in (table.val, table.test) for index in part)
    return frozenset(found)


def _counts(settings: CorpusSettings) -> dict[str, int]:
    """Cut ``settings.molecules`` by the shares, which sum to 1; rounding leaves some to the largest remainders."""
    exact = {name: share * settings.molecules for name, share in settings.shares.items() if share > 0}
    counts = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
    for name in by_remainder[: settings.molecules - sum(counts.values())]:
        counts[name] += 1
    return counts
