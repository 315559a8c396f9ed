"""Unlabelled text: general-domain sentences for a suite, the lines of a task's domain, and a task's own training texts.

None of them holds a text of a validation or test part. Texts are compared without the white space around them and
without case. Where the seed draws the validation part, all rows of the training file count as validation rows for what
all seeds share.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from bench.errors import BenchError, NotPreparedError, RequestError
from bench.files import digest, home, write_atomic, write_json
from tasks.info import SuiteInfo, TaskInfo, TextFile
from tasks.settings import TextSettings
from tasks.sources import COMMAND, forget, locate, preparing
from tasks.text.files import content_of, renew
from tasks.text.read import lines_of
from tasks.text.table import TextTable, load_table, prepare_table, table_meta

FORMAT = 1  # raised when the same settings come to mean another corpus
Say = Callable[[str], None]

# In random order, so that any part is a random sample; drawn from an English dump of 2015, CC BY-SA.
WIKIPEDIA = TextFile(
    file="text/wiki_sentences.txt.gz",
    sha256="de6f7ec24c256e2ca21c002c6c2ed0030237674d8c40e0d68dd204e28e63d957",
    rows=470_000,
)
# The sentences of SimCSE (Gao et al. 2021), which TapWeight uses too (arXiv 2410.10006, section 4.2.1); not shuffled.
SIMCSE = TextFile(
    file="text/wiki1m_for_simcse.txt.gz",
    sha256="",  # known to nobody here: its length is checked, and corpora of it know its content
    rows=1_000_000,
    url="https://huggingface.co/datasets/princeton-nlp/datasets-for-simcse/resolve/main/wiki1m_for_simcse.txt",
)
# What else there is where a mirror lacks the Wikipedia sentences.
ELSEWHERE = (
    "; it has no public address: --mirror must name a folder or an address that holds it; or take SimCSE's sentences, "
    f"which have one, with --set text.sentences={SIMCSE.rows}"
)


@dataclass(frozen=True)
class Corpus:
    """General-domain sentences, and their metadata."""

    sentences: tuple[str, ...]
    meta: Mapping[str, Any]  # that of :func:`describe_corpus`, and held_out: the tasks that it was kept apart from


def prepare_corpus(suite: SuiteInfo, settings: TextSettings, *, mirror: str | None, download: bool, say: Say) -> None:
    """Store ``settings.sentences`` sentences less those in a validation or test part of the suite's text tasks.

    A million are all of SimCSE's. Fewer are a block of the shuffled Wikipedia sentences: the one that begins at
    ``settings.seed`` times their number, so that another seed gives other sentences. Tasks whose files are neither in
    the cache nor in a local mirror cannot be held out and are named. Does nothing if the corpus is there and whole.
    SimCSE's file replaces the one in the cache if the mirror has another content, and gives another corpus.

    Raises
    ------
    NotPreparedError: if the file of sentences cannot be had, is cut short, or is not UTF-8.
    RequestError: if no file has as many sentences.
    """
    tables = _tables(suite, mirror)
    if suite.corpus != "demo":
        renew(_file(settings), mirror=mirror, download=download)
    try:
        load_corpus(suite, settings)
        return
    except NotPreparedError:
        pass
    held_out = {text for task in tables for text in _held_out(load_table(task, 0), task)}
    source, lines = _lines(suite, settings, mirror, download)
    kept, excluded = [], 0
    for line in lines:
        if fold(line) in held_out:
            excluded += 1
        else:
            kept.append(line)
    content = "".join(f"{line}\n" for line in kept).encode()
    folder = _folder(suite, settings)
    meta = {"checksum": _checksum(content), "sentences": len(kept), "source": source, "excluded": excluded}
    write_atomic(folder / "sentences.txt.gz", lambda path: path.write_bytes(gzip.compress(content, 6, mtime=0)))
    write_json(
        folder / "meta.json", meta | {"held_out": [task.id for task in tables]}
    )  # last: it makes the corpus exist
    missing = [task.id for task in _text_tasks(suite) if task not in tables]
    say(
        f"corpus of {suite.name}: {len(kept):,} sentences of {source}, {excluded:,} held-out ones dropped"
        + (f"; not held out, since not prepared: {', '.join(missing)}" if missing else "")
    )


def load_corpus(suite: SuiteInfo, settings: TextSettings) -> Corpus:
    """Return the stored corpus.

    Raises
    ------
    NotPreparedError: if it is missing or damaged.
    """
    path, meta = _folder(suite, settings) / "sentences.txt.gz", _meta(suite, settings)
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise _not_prepared(suite, f"damaged at {path}") from error
    if _checksum(content) != meta["checksum"]:
        raise _not_prepared(suite, f"damaged at {path}")
    return Corpus(tuple(content.decode().split("\n")[:-1]), meta)


def describe_corpus(suite: SuiteInfo, settings: TextSettings) -> Mapping[str, Any]:
    """Return ``checksum``, ``sentences``, ``source`` and ``excluded`` of the stored corpus, without reading it.

    They depend on its sentences alone: preparing one more task changes them only if a sentence has to go.

    Raises
    ------
    NotPreparedError: if it is missing.
    """
    return {key: value for key, value in _meta(suite, settings).items() if key != "held_out"}


def own_text(table: TextTable) -> tuple[str, ...]:
    """Return the texts of the training rows, both of a pair one after the other, less those held out."""
    held_out = {fold(text) for rows in (table.val, table.test) for row in rows for text in _texts(table, row)}
    return tuple(text for row in table.train for text in _texts(table, row) if fold(text) not in held_out)


def domain_text(info: TaskInfo) -> tuple[str, ...]:
    """Return the lines of the task's domain, less those held out; none where its entry names no file of them.

    Raises
    ------
    NotPreparedError: if the file or the table of the task is missing or damaged.
    """
    if not info.text or not info.text.domain:
        return ()
    file = info.text.domain
    held_out = set(_held_out(load_table(info, 0), info))
    path = locate(file.file, sha256=file.sha256, url=file.url)
    return tuple(line for line in lines_of(file.file, path) if line.strip() and fold(line) not in held_out)


def fold(text: str) -> str:
    """Return the form in which texts are compared."""
    return text.strip().casefold()


def _tables(suite: SuiteInfo, mirror: str | None) -> list[TaskInfo]:
    """Return the text tasks that have a table, or get one from a local mirror; for the others nothing is fetched."""
    found = []
    for task in _text_tasks(suite):
        try:
            prepare_table(task, mirror=mirror, download=False)
        except BenchError:  # its files are not there or not right, which is no fault of the tasks asked for
            try:
                load_table(task, 0)  # one that was made earlier counts, whatever became of its files
            except NotPreparedError:
                continue
        found.append(task)
    return found


def _text_tasks(suite: SuiteInfo) -> list[TaskInfo]:
    return [task for task in suite.tasks if task.inputs == "text"]


def _held_out(table: TextTable, info: TaskInfo) -> Iterator[str]:
    parts = (table.train, table.val, table.test) if info.split == "seeded" else (table.val, table.test)
    return (fold(text) for row in chain(*parts) for text in _texts(table, row))


def _texts(table: TextTable, row: int) -> tuple[str, ...]:
    return (table.first[row], table.second[row]) if table.second else (table.first[row],)


def _file(settings: TextSettings) -> TextFile:
    return SIMCSE if settings.sentences == SIMCSE.rows else WIKIPEDIA


def _lines(suite: SuiteInfo, settings: TextSettings, mirror: str | None, download: bool) -> tuple[str, Sequence[str]]:
    if suite.corpus == "demo":
        from tasks.text.demo import demo_sentences

        return "demo", demo_sentences(settings.sentences, settings.seed)
    file = _file(settings)
    start = settings.seed * settings.sentences
    if start + settings.sentences > file.rows:
        raise RequestError(
            f"text.sentences: expected at most {WIKIPEDIA.rows:,} in all blocks up to number text.seed, or "
            f"{SIMCSE.rows:,} with text.seed 0, got {settings.sentences:,} with text.seed {settings.seed}"
        )
    try:
        path = locate(file.file, sha256=file.sha256, url=file.url, mirror=mirror, download=download)
    except NotPreparedError as error:
        raise NotPreparedError(f"text corpus of {suite.name}: {error}{'' if file.url else ELSEWHERE}") from error
    try:
        lines = list(islice(lines_of(file.file, path), start, start + settings.sentences))
        # Blank lines are dropped where the file is kept, and nobody here knows whether the published one has some.
        if len(lines) < settings.sentences - file.rows // 1000:
            raise NotPreparedError(
                f"text corpus of {suite.name}: {file.file}: expected {settings.sentences:,} sentences from line "
                f"{start + 1:,} on, got {len(lines):,}; get the whole file, then run: {COMMAND}"
            )
    except NotPreparedError:
        if not file.sha256:
            forget(file.file)  # the next time a mended one is read
        raise
    return file.file, lines


def _folder(suite: SuiteInfo, settings: TextSettings) -> Path:
    held_out = []
    for task in _text_tasks(suite):
        try:
            held_out.append(table_meta(task)["checksum"])
        except NotPreparedError:
            continue  # its texts cannot be held out
    content = content_of(SIMCSE) if _file(settings) is SIMCSE else SIMCSE.sha256
    determined = {
        "format": FORMAT,
        "source": "demo" if suite.corpus == "demo" else [WIKIPEDIA.sha256, content],
        "sentences": settings.sentences,
        "seed": settings.seed,
        "held out": sorted(held_out),
    }
    return home() / "corpora" / f"text-{digest(determined)}"


def _meta(suite: SuiteInfo, settings: TextSettings) -> Mapping[str, Any]:
    folder = _folder(suite, settings)
    try:
        meta: Mapping[str, Any] = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        return meta
    except (OSError, ValueError) as error:
        raise _not_prepared(suite, f"not found at {folder}") from error


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _not_prepared(suite: SuiteInfo, found: str) -> NotPreparedError:
    return NotPreparedError(f"text corpus of {suite.name}: {found}; {preparing(suite.name)}")
