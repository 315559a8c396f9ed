"""The unlabelled molecules of a suite: sampled, kept apart from its validation and test parts, clustered, stored."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import NotPreparedError
from bench.files import digest, home, write_atomic, write_json
from tasks.info import SuiteInfo
from tasks.molecules.clusters import assign, effective_clusters, fit_centroids, maccs_keys
from tasks.molecules.files import file_checksums, renew_own_files
from tasks.molecules.sample import sample
from tasks.molecules.table import has_table, load_meta, molecule_tasks, prepared_tasks
from tasks.settings import CorpusSettings
from tasks.sources import preparing

FORMAT = 1  # raised when the same settings come to mean another corpus
Say = Callable[[str], None]


@dataclass(frozen=True)
class Corpus:
    """N molecules, their numbers in three clusterings (N, 3), the centroids (K, 166) of each, and the metadata."""

    smiles: tuple[str, ...]
    clusters: NDArray[np.int64]
    centroids: tuple[NDArray[np.float32], ...]
    meta: Mapping[str, Any]  # that of describe_corpus; not_held_out: tasks of the suite that had no table, if any


def prepare_corpus(
    suite: SuiteInfo, settings: CorpusSettings, *, mirror: str | None, download: bool, workers: int, say: Say
) -> None:
    """Sample, cluster and store the corpus of a suite. Does nothing if it is there and whole.

    With ``settings.exclude`` "suite" every molecule in the validation or test part of any task of the suite stays
    out, compared as canonical SMILES, if the table of that task is prepared. A task cannot run without its table, and
    one table more means another corpus, so the molecules that a run is scored on are never in the corpus it reads.

    Raises
    ------
    NotPreparedError: if a table is damaged or a file cannot be had.
    RequestError: if a file is not known or has too few molecules, or the numbers of clusters do not fit.
    """
    _described.cache_clear()  # tables and files of a user's own may be others than when it was filled
    if suite.corpus == "files":
        renew_own_files(settings, mirror=mirror, download=download)
    folder = corpus_folder(suite, settings)
    try:
        _read(folder, suite)
        return
    except NotPreparedError:
        pass
    pool, sources, excluded = sample(suite, settings, mirror=mirror, download=download, workers=workers, say=say)
    sizes = effective_clusters(settings.clusters, len(pool))
    keys = maccs_keys(pool, workers)
    centroids = [fit_centroids(keys, k, _cluster_seed(settings.seed, k)) for k in sizes]
    labels = np.stack([assign(keys, centres) for centres in centroids], axis=1).astype("<i4")
    text = "".join(f"{one}\n" for one in pool).encode()
    arrays = {"labels": labels, **{f"centroids{index}": centres for index, centres in enumerate(centroids)}}
    meta: dict[str, Any] = {
        "checksum": _checksum(text, labels),
        "molecules": len(pool),
        "sources": sources,
        "excluded": excluded,
        "clusters": list(sizes),
    }
    missing = [task.id for task in molecule_tasks(suite) if not has_table(task)] if settings.exclude == "suite" else []
    if missing:
        meta["not_held_out"] = missing
    write_atomic(folder / "molecules.smi.gz", lambda path: path.write_bytes(gzip.compress(text, mtime=0)))
    write_atomic(folder / "clusters.npz", lambda path: _save(path, arrays))
    write_json(folder / "meta.json", meta)  # last: it makes the corpus exist
    say(
        f"corpus of {suite.name}: {len(pool):,} molecules, {sum(excluded.values()):,} held-out ones dropped, "
        f"K = {', '.join(map(str, sizes))}"
    )
    if missing:
        say(f"not held out, since {'it' if len(missing) == 1 else 'they'} cannot be had: {', '.join(missing)}")


def load_corpus(suite: SuiteInfo, settings: CorpusSettings) -> Corpus:
    """Return the stored corpus.

    Raises
    ------
    NotPreparedError: if it is missing or damaged.
    """
    return _read(corpus_folder(suite, settings), suite)


def describe_corpus(suite: SuiteInfo, settings: CorpusSettings) -> Mapping[str, Any]:
    """Return the metadata of the stored corpus without reading it: checksum, molecules, sources, excluded, clusters.

    They depend on its molecules alone: preparing the table of one more task changes them only if a molecule has to go.

    Raises
    ------
    NotPreparedError: if it is missing.
    """
    return _described(home(), suite, settings.model_dump_json())


@lru_cache(maxsize=64)
def _described(_: Path, suite: SuiteInfo, settings: str) -> Mapping[str, Any]:
    # The first argument is the cache folder: it keeps what was read from one apart from another.
    meta = _meta(corpus_folder(suite, CorpusSettings.model_validate_json(settings)), suite)
    return {key: value for key, value in meta.items() if key != "not_held_out"}


def corpus_folder(suite: SuiteInfo, settings: CorpusSettings) -> Path:
    """Where the corpus lies, named by everything that determines it."""
    determined: dict[str, Any] = {
        "format": FORMAT,
        "corpus": suite.corpus,
        "settings": settings.model_dump(mode="json", exclude=set() if suite.corpus == "files" else {"shares"}),
        "rdkit": version("rdkit"),
        "scikit-learn": version("scikit-learn"),
    }
    if suite.corpus == "files":
        determined["files"] = file_checksums(settings)
    if settings.exclude == "suite":
        tables = [load_meta(task) for task in prepared_tasks(suite)]
        determined["held out"] = sorted([table["checksum"], table["split_checksum"]] for table in tables)
    return home() / "corpora" / digest(determined)


def _cluster_seed(seed: int, k: int) -> int:
    from tasks.randomness import derive

    return derive(seed, "clusters", k) % 2**32  # the range scikit-learn takes


def _meta(folder: Path, suite: SuiteInfo) -> Mapping[str, Any]:
    try:
        meta: Mapping[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        return meta
    except (OSError, ValueError) as error:
        raise NotPreparedError(f"corpus of {suite.name}: not found at {folder}; {preparing(suite.name)}") from error


def _read(folder: Path, suite: SuiteInfo) -> Corpus:
    meta = _meta(folder, suite)
    try:
        text = gzip.decompress((folder / "molecules.smi.gz").read_bytes())
        with np.load(folder / "clusters.npz", allow_pickle=False) as arrays:
            labels = arrays["labels"]
            centroids = tuple(arrays[f"centroids{index}"] for index in range(labels.shape[1]))
        whole = _checksum(text, labels) == meta["checksum"]
    # A cut or overwritten archive raises errors of zip, zlib, gzip or numpy.
    except Exception as error:
        raise _damaged(folder, suite) from error
    if not whole:
        raise _damaged(folder, suite)
    return Corpus(tuple(text.decode().split()), labels.astype(np.int64), centroids, meta)


def _damaged(folder: Path, suite: SuiteInfo) -> NotPreparedError:
    return NotPreparedError(f"corpus of {suite.name}: damaged at {folder}; {preparing(suite.name)}")


def _checksum(text: bytes, labels: NDArray[np.int32]) -> str:
    return hashlib.sha256(text + labels.tobytes()).hexdigest()


def _save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    # np.savez adds its ending to a name, so it gets an open file.
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
