"""What every backbone that reads molecules prepares first: the tables of the tasks and the corpora of their suites."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tasks.catalogue import suites
from tasks.info import SuiteInfo, TaskInfo
from tasks.molecules.corpus import Corpus, load_corpus, prepare_corpus
from tasks.molecules.sample import prepare_tables
from tasks.molecules.table import molecule_tasks
from tasks.settings import CorpusSettings


def prepare_molecules(
    tasks: Sequence[TaskInfo],
    settings: CorpusSettings,
    *,
    mirror: str | None,
    download: bool,
    workers: int,
    say: Callable[[str], None],
) -> list[tuple[SuiteInfo, Corpus]]:
    """Prepare the tables of ``tasks`` and the corpus of each of their suites; return the suites, each with its corpus.

    With ``settings.exclude`` "suite" a corpus leaves out molecules of all tasks of the suite, requested or not. The
    table of one that was not requested is done without if it cannot be had.

    Raises
    ------
    NotPreparedError, RequestError: as ``prepare_tables`` and ``prepare_corpus``.
    """
    named = [suites()[name] for name in dict.fromkeys(task.suite for task in tasks)]
    others = [task for suite in named for task in molecule_tasks(suite)] if settings.exclude == "suite" else []
    prepare_tables(tasks, others=others, mirror=mirror, download=download, workers=workers, say=say)
    for suite in named:
        prepare_corpus(suite, settings, mirror=mirror, download=download, workers=workers, say=say)
    return [(suite, load_corpus(suite, settings)) for suite in named]
