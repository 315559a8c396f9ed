"""Files of unlabelled molecules: those known by their checksum, and a user's own.

An own file is ``molecules/NAME.smi.gz``, or plain ``molecules/NAME.smi``, in the mirror: one SMILES string a line, what
stands after the first white space being ignored. It is read as the known files were made: canonical isomeric SMILES of
RDKit, since held-out molecules are compared as such, without strings over 500 characters and without duplicates.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from bench.errors import NotPreparedError, RequestError, nearest
from bench.files import digest, home, write_atomic
from tasks.parallel import spread
from tasks.settings import CorpusSettings
from tasks.sources import checksum, locate, locate_newest

FORMAT = 1  # raised when the same file of a user's own comes to give other molecules
LONGEST = 500  # characters of a SMILES string
CHUNK = 2000  # lines a worker takes at a time
NAME = re.compile(r"[A-Za-z0-9][\w.-]*(?<!\.smi)(?<!\.gz)")


@lru_cache(maxsize=1)
def corpus_files() -> dict[str, str]:
    """The files of molecules that are known: name to sha256 of the content."""
    import yaml

    content = yaml.safe_load(Path(__file__).with_name("corpora.yaml").read_text(encoding="utf-8"))
    return {str(name): str(sha256) for name, sha256 in content.items()}


def renew_own_files(settings: CorpusSettings, *, mirror: str | None, download: bool) -> None:
    """Take the files of a user's own that ``settings`` name into the cache, anew where the mirror has another content.

    Raises
    ------
    RequestError: if a name is neither known nor that of such a file.
    NotPreparedError: if such a file is damaged.
    """
    for name in _own_names(settings):
        path = locate_newest(_file(name), f"molecules/{name}.smi", mirror=mirror, download=download)
        if path is None and not checksum(_file(name)):
            raise RequestError(_unknown(name))


def file_checksums(settings: CorpusSettings) -> dict[str, str | None]:
    """Return the sha256 of the content of each file that ``settings`` name; None for an unknown one with share 0.

    Raises
    ------
    NotPreparedError: if a file of a user's own was never prepared.
    """
    found = {name: corpus_files().get(name) for name in settings.shares}
    for name in _own_names(settings):
        found[name] = checksum(_file(name))
        if not found[name]:
            raise NotPreparedError(_unknown(name))
    return found


def read_molecules(
    name: str, *, mirror: str | None, download: bool, workers: int, say: Callable[[str], None]
) -> list[str]:
    """Return the canonical SMILES in a known file, or in one of a user's own that :func:`renew_own_files` took.

    Raises
    ------
    NotPreparedError: if the file is not to be had or damaged.
    """
    if name in corpus_files():
        path = locate(_file(name), sha256=corpus_files()[name], mirror=mirror, download=download)
        return gzip.decompress(path.read_bytes()).decode().split()
    matters = [FORMAT, checksum(_file(name)), version("rdkit")]
    kept = home() / "molecules" / f"{name}-{digest(matters)}.smi.gz"
    try:
        return gzip.decompress(kept.read_bytes()).decode().split()
    except (OSError, EOFError, zlib.error):  # missing or damaged
        pass
    raw = locate_newest(_file(name))
    if raw is None:
        raise NotPreparedError(_unknown(name))
    lines = gzip.decompress(raw.read_bytes()).decode("utf-8-sig", errors="replace").split("\n")
    molecules = _canonical(name, [line.split()[0] for line in lines if line.strip()], workers, say)
    text = "".join(f"{one}\n" for one in molecules).encode()
    write_atomic(kept, lambda temporary: temporary.write_bytes(gzip.compress(text, mtime=0)))
    return molecules


def _canonical(name: str, lines: list[str], workers: int, say: Callable[[str], None]) -> list[str]:
    short = [line for line in lines if len(line) <= LONGEST]
    pieces = [short[start : start + CHUNK] for start in range(0, len(short), CHUNK)]
    read = [one for piece in spread(_read, pieces, workers) for one in piece]
    molecules = list(dict.fromkeys(one for one in read if one is not None))
    unread = read.count(None)
    say(
        f"molecules/{name}: {len(lines):,} lines, {len(molecules):,} molecules kept; dropped: {unread:,} that "
        f"RDKit does not read, {len(lines) - len(short):,} over {LONGEST} characters, "
        f"{len(read) - unread - len(molecules):,} repeated"
    )
    return molecules


def _read(lines: list[str]) -> list[str | None]:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():  # otherwise RDKit writes lines to stderr for each string that it does not read
        molecules = [Chem.MolFromSmiles(line) for line in lines]
        return [Chem.MolToSmiles(one) if one is not None and one.GetNumAtoms() else None for one in molecules]


def _own_names(settings: CorpusSettings) -> list[str]:
    names = [name for name, share in settings.shares.items() if share > 0 and name not in corpus_files()]
    for name in names:
        if not NAME.fullmatch(name):
            raise RequestError(
                f"corpus.shares: expected names of files without folder and ending, got {name!r}; "
                f"{nearest(name, corpus_files())}"
            )
    return names


def _file(name: str) -> str:
    return f"molecules/{name}.smi.gz"


def _unknown(name: str) -> str:
    return (
        f"corpus.shares: {name!r} is not known; {nearest(name, corpus_files())}; to bring a file of your own, put "
        f"molecules/{name}.smi (one SMILES a line) into a folder FOLDER and run: python -m bench prepare "
        "--tasks SUITE:NAME --mirror FOLDER, with the same --set"
    )
