"""Files of text: fetched and verified, known by their content, and read line by line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from bench.errors import NotPreparedError
from tasks.catalogue import suites
from tasks.info import TaskInfo, TextFile
from tasks.sources import checksum, keep, locate, locate_newest
from tasks.text.read import read_rows


def content_of(file: TextFile) -> str:
    """Return the sha256 of the content: the entry's, else that of the file last fetched; empty if it never was."""
    return file.sha256 or checksum(file.file)


def renew(file: TextFile, *, mirror: str | None, download: bool) -> None:
    """Take the mirror's present file where the entry does not know the content, as :func:`content_of` then tells.

    Raises
    ------
    NotPreparedError: if that file is damaged.
    """
    if not file.sha256:
        locate_newest(file.file, mirror=mirror, download=download)


def locate_file(info: TaskInfo, file: TextFile, *, mirror: str | None, download: bool) -> Path:
    """Return the path of a task's verified gzip file, fetching it, or making it of a public one, if it is not there.

    Raises
    ------
    NotPreparedError: if it cannot be had, or is damaged; the message tells what else to do.
    """
    try:
        return locate(file.file, sha256=file.sha256, url=file.url, mirror=mirror, download=download)
    except NotPreparedError as error:
        told = error
    try:
        if file.whole:
            return _part(info, file, file.whole, mirror, download)
    except NotPreparedError as error:
        told = NotPreparedError(f"{told}; nor could it be made of another: {error}")
    raise NotPreparedError(f"{info.id}: {told}{_advice(info, file)}") from told


def lines_of(file: TextFile, path: Path) -> Iterator[str]:
    """Yield the lines of unlabelled text in a gzip file.

    Raises
    ------
    NotPreparedError: naming file and line, if it is not UTF-8.
    """
    with gzip.open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield line.removesuffix(b"\n").decode()
            except UnicodeDecodeError as error:
                raise NotPreparedError(
                    f"{file.file}, line {number:,}: expected UTF-8, got {error.object[error.start :][:4]!r}; "
                    "convert the file, then run the command again"
                ) from error


def _part(info: TaskInfo, file: TextFile, whole: TextFile, mirror: str | None, download: bool) -> Path:
    """Make a file of JSON lines of a public one: those whose text is in no test file."""
    assert info.text
    column = info.text.first[0]
    test: set[str] = set()
    for other in info.text.test.values():
        path = locate(other.file, sha256=other.sha256, url=other.url, mirror=mirror, download=download)
        test.update(read_rows(info, other, path).first)
    path = locate(whole.file, sha256=whole.sha256, url=whole.url, mirror=mirror, download=download)
    kept = [line for line in lines_of(whole, path) if json.loads(line)[column] not in test]
    return keep(
        file.file, f"{whole.file} less test rows", "".join(f"{line}\n" for line in kept).encode(), sha256=file.sha256
    )


def _advice(info: TaskInfo, file: TextFile) -> str:
    """What else may be done about a file that cannot be had."""
    assert info.text
    found = ""
    if not file.url and not file.whole:
        found = "; it has no public address: --mirror must name a folder or an address that holds it"
        found += f"; to make it: {info.text.by_hand}" if info.text.by_hand else ""
    for suite, said in ((f"{info.suite}-subset", "a part of its rows"), (info.suite.removesuffix("-subset"), "all")):
        other = suites().get(suite) if suite != info.suite else None
        names = [task.id for task in other.tasks if task.name == info.name] if other else []
        found += f"; {said} may be had as {names[0]}" if names else ""
    return found
