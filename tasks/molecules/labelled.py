"""The training molecules of a task as unlabelled examples: their numbers in the clusterings of the corpus.

Each gets the number of the corpus's nearest centroid (ours: TapWeight, arXiv 2410.10006, section 4.1.3,
leaves task-adaptive pretraining of molecules out, since a small set cannot be clustered by itself).
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import NotPreparedError
from bench.files import digest, write_atomic
from tasks.info import SuiteInfo, TaskInfo
from tasks.molecules.clusters import assign, maccs_keys
from tasks.molecules.corpus import Corpus, corpus_folder, describe_corpus
from tasks.molecules.table import load_meta, load_table
from tasks.settings import CorpusSettings
from tasks.sources import preparing

FORMAT = 1  # raised when the same molecules and centroids come to mean other numbers


def prepare_inputs(
    task: TaskInfo,
    suite: SuiteInfo,
    settings: CorpusSettings,
    corpus: Corpus,
    *,
    workers: int,
    say: Callable[[str], None],
) -> None:
    """Number the training molecules of a task and store the numbers beside ``corpus``. Does nothing if they are there.

    Raises
    ------
    NotPreparedError: if the table of the task is missing.
    """
    try:
        load_inputs(task, suite, settings)
        return
    except NotPreparedError:
        pass
    table = load_table(task)
    keys = maccs_keys([table.smiles[row] for row in table.train], workers)
    numbers = np.stack([assign(keys, centroids) for centroids in corpus.centroids], axis=1).astype("<i4")
    write_atomic(_path(task, suite, settings), lambda path: _save(path, numbers))
    say(f"clusters of {task.id}: {len(numbers):,} training molecules numbered by the centroids of the corpus")


def load_inputs(task: TaskInfo, suite: SuiteInfo, settings: CorpusSettings) -> NDArray[np.int64]:
    """Return the cluster numbers of the training molecules, in the order of ``table.train``, shape (N, 3).

    Raises
    ------
    NotPreparedError: if they, the corpus or the table are missing or damaged.
    """
    path = _path(task, suite, settings)
    try:
        with np.load(path, allow_pickle=False) as stored:
            numbers = stored["clusters"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise NotPreparedError(
            f"{task.id}: no cluster numbers of its training molecules at {path}, or damaged ones; {preparing(task.id)}"
        ) from error
    return np.asarray(numbers, dtype=np.int64)


def _path(task: TaskInfo, suite: SuiteInfo, settings: CorpusSettings) -> Path:
    """Beside the corpus, whose folder names all that determines the centroids, and named by what else matters."""
    table, corpus = load_meta(task), describe_corpus(suite, settings)
    matters = [FORMAT, corpus["checksum"], table["checksum"], table["split_checksum"]]
    return corpus_folder(suite, settings) / f"{task.name}-{digest(matters)}.npz"


def _save(path: Path, numbers: NDArray[np.int32]) -> None:
    # np.savez adds its ending to a name, so it gets an open file.
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, clusters=numbers)
