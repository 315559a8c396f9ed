"""Files of text: fetched, or made of published ones, verified, and known by their content."""

from __future__ import annotations

from pathlib import Path

from bench.errors import NotPreparedError
from tasks.catalogue import suites
from tasks.info import TaskInfo, TextFile
from tasks.sources import checksum, locate, locate_newest
from tasks.text.released import make


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
    if file.made:
        try:
            return make(info, file, mirror=mirror, download=download)
        except NotPreparedError as error:
            told = NotPreparedError(f"{told}; nor could it be made of what is published: {error}")
    raise NotPreparedError(f"{info.id}: {told}{_advice(info, file)}") from told


def _advice(info: TaskInfo, file: TextFile) -> str:
    """What else may be done about a file that cannot be had."""
    found = ""
    if not file.url and not file.made:
        found = "; it has no public address: --mirror must name a folder or an address that holds it"
    for suite, said in ((f"{info.suite}-subset", "a part of its rows"), (info.suite.removesuffix("-subset"), "all")):
        other = suites().get(suite) if suite != info.suite else None
        names = [task.id for task in other.tasks if task.name == info.name] if other else []
        found += f"; {said} may be had as {names[0]}" if names else ""
    return found
