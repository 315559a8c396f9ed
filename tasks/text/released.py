"""Files that nobody publishes in the form that a task reads, made of what is published."""

from __future__ import annotations

import json
import re
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from bench.errors import NotPreparedError
from tasks.info import Released, TaskInfo, TextFile
from tasks.sources import forget, forget_archive, keep, locate, locate_archive
from tasks.text.read import lines_of, read_rows


def make(info: TaskInfo, file: TextFile, *, mirror: str | None, download: bool) -> Path:
    """Make a file as its entry says of files that are fetched, the mirror's first, and return its path in the cache.

    What was fetched for it is forgotten if the outcome has another checksum than the file, so that mended ones count.

    Raises
    ------
    NotPreparedError: if one of these cannot be had, is damaged, or has another content.
    """
    assert info.text
    assert file.made
    maker = {"test texts taken out": _apart, "ids": _by_ids, "folders": _by_folders}[file.made.by]
    others = list(info.text.test.values()) if maker is _apart else []
    paths = [
        locate_archive(one.file, url=one.url, mirror=mirror, download=download) if maker is _by_folders
        else locate(one.file, sha256=one.sha256, url=one.url, mirror=mirror, download=download)
        for one in (*file.made.of, *others)
    ]  # fmt: skip
    content = "".join(f"{line}\n" for line in maker(info, file.made, paths)).encode()
    sources = " and ".join(raw.file for raw in file.made.of)
    try:
        return keep(file.file, f"{sources}, of which it is made", content, sha256=file.sha256)
    except NotPreparedError:
        for raw, path in zip(file.made.of, paths, strict=False):
            forget(raw.file)
            forget_archive(path)
        raise


def _apart(info: TaskInfo, made: Released, paths: Sequence[Path]) -> list[str]:
    """Hyperpartisan: JSON lines less those whose text is in a test file."""
    assert info.text
    column, (released, *tested) = info.text.first[0], paths
    test = {
        text for file, path in zip(info.text.test.values(), tested, strict=True)
        for text in read_rows(info, file, path).first
    }  # fmt: skip
    return [line for line in lines_of(made.of[0].file, released) if json.loads(line)[column] not in test]


def _by_ids(info: TaskInfo, made: Released, paths: Sequence[Path]) -> list[str]:
    """MRPC: the pairs whose two ids stand together in the second file are the part "dev", the others "train"."""
    pairs, ids = (list(lines_of(raw.file, path)) for raw, path in zip(made.of, paths, strict=True))
    development = {tuple(line.split("\t")) for line in ids}
    header, *rows = [line.strip() for line in pairs] or [""]
    kept = [row for row in rows if (tuple(row.split("\t")[1:3]) in development) == (made.part == "dev")]
    return [header.removeprefix("\ufeff"), *kept]


def _by_folders(info: TaskInfo, made: Released, paths: Sequence[Path]) -> list[str]:
    """IMDB: files PART/neg/NUMBER_STARS.txt and PART/pos/... of an archive as JSON lines, neg first, by number."""
    (archive,), name = paths, re.compile(rf"[^/]+/{made.part}/((neg|pos)/(\d+)_\d+)\.txt")
    found = []
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                content, match = members.extractfile(member), name.fullmatch(member.name)
                if match and content:
                    id_, sign, number = match.groups()
                    row = {"id": id_, "label": int(sign == "pos"), "text": content.read().decode()}
                    found.append((sign, int(number), json.dumps(row, ensure_ascii=False)))
    except (tarfile.TarError, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        forget_archive(archive)
        raise NotPreparedError(f"{made.of[0].file}: {archive} is a damaged archive ({error}); get it anew") from error
    return [line for *_, line in sorted(found)]
