"""Raw data files: fetched from a mirror or their public address, verified by content, kept gzipped in the cache."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from bench.errors import NotPreparedError, RequestError
from bench.files import home, write_atomic, write_json

COMMAND = "python -m bench prepare --tasks SUITE:NAME --mirror PATH"


def preparing(name: str) -> str:
    """How to have what settings determine beside data, for messages."""
    return f"run: python -m bench prepare --tasks {name}, with the same --protocol and --set"


def locate(file: str, *, sha256: str = "", url: str = "", mirror: str | None = None, download: bool = False) -> Path:
    """Return the path of a verified gzip file in the cache, fetching it if it is not there.

    Parameters
    ----------
    file: path below the mirror, such as ``moleculenet/bace.csv.gz``; it is kept under the same path in the cache.
    sha256: of the uncompressed content with LF line ends and no blank lines, so that a mirror may compress
        anew and a public file may have other line ends; empty to check the compression alone.
    url: public address, tried after the mirror; it need not be gzipped. ``ARCHIVE.zip#MEMBER`` names a file in an
        archive, which is kept beside the cache for the other files in it.
    mirror: a folder or an http(s) address that holds ``file``.
    download: whether addresses may be used. A folder is always used.

    Raises
    ------
    RequestError: if ``mirror`` is neither a folder nor an address, or ``file`` leaves it.
    NotPreparedError: if the file is nowhere to be had, is damaged, or has another content.
    """
    path, places = _path(file), list(candidates(file, url=url, mirror=mirror))
    if _trusted(path, sha256):
        return path
    looked = [str(path)]
    if path.exists():
        try:
            _trust(path, _verify(file, path, path.read_bytes(), sha256)[1])
            return path
        except NotPreparedError:
            looked[0] += " (damaged, or of another content)"
    if found := _first(places, download, looked):
        return keep(file, *found, sha256=sha256)
    raise NotPreparedError(f"{file}: not found; looked at {', '.join(looked)}; run: {COMMAND}")


def locate_archive(file: str, *, url: str = "", mirror: str | None = None, download: bool = False) -> Path:
    """Return the path of an archive as it came: in the mirror, if that is a folder, else beside the cache.

    Raises
    ------
    RequestError: if ``mirror`` is neither a folder nor an address.
    NotPreparedError: if it is nowhere to be had.
    """
    looked: list[str] = []
    for place in candidates(file, url=url, mirror=mirror):
        try:
            if isinstance(place, Path) and place.is_file():
                return place
            if isinstance(place, str) and download:
                return _downloaded(place)
            looked.append(str(place) if isinstance(place, Path) else f"{place} (downloads are off)")
        except OSError as error:
            looked.append(f"{place} ({error})")
    raise NotPreparedError(f"{file}: not found; looked at {', '.join(looked)}; run: {COMMAND}")


def forget_archive(path: Path) -> None:
    """Remove a damaged archive, if it was downloaded, so that the next attempt fetches it anew."""
    if path.parent == home() / "downloads":
        path.unlink()


def keep(file: str, source: Path | str, raw: bytes, *, sha256: str = "") -> Path:
    """Verify the content of a file that came from ``source``, put it into the cache, and return its path there.

    Raises
    ------
    NotPreparedError: if it is damaged, or has another content than ``sha256`` says.
    """
    path = _path(file)
    zipped, content = _verify(file, source, raw, sha256)
    write_atomic(path, lambda temporary: temporary.write_bytes(zipped))
    _trust(path, content)
    return path


def locate_newest(file: str, *others: str, mirror: str | None = None, download: bool = False) -> Path | None:
    """Return the path of a gzip file in the cache whose content nobody can know, a user's own; None if it is nowhere.

    One that the mirror has replaces the one in the cache if its content is another. :func:`checksum` tells the content.

    Parameters
    ----------
    file: path below the mirror; it is kept under the same path in the cache.
    others: further names that it may have in the mirror; it need not be gzipped there.
    mirror, download: as for :func:`locate`.

    Raises
    ------
    RequestError: if ``mirror`` is neither a folder nor an address, or ``file`` leaves it.
    NotPreparedError: if the file is damaged.
    """
    path = _path(file)
    places = [place for name in (file, *others) for place in candidates(name, mirror=mirror)]
    if found := _first(places, download, []):
        _, content = _verify(file, *found, "")
        return path if _trusted(path, content) else keep(file, *found)
    if not path.is_file():
        return None
    known = checksum(file)
    if not known or not _trusted(path, known):
        _trust(path, _verify(file, path, path.read_bytes(), "")[1])
    return path


def candidates(file: str, *, url: str = "", mirror: str | None = None) -> Iterator[Path | str]:
    """Yield where a file may lie, the best place first: below the mirror, a folder or an address; its public address.

    Raises
    ------
    RequestError: if ``mirror`` is neither a folder nor an address.
    """
    if mirror is not None and mirror.startswith(("http://", "https://")):
        yield f"{mirror.rstrip('/')}/{file}"
    elif mirror is not None:
        if not (mirror and Path(mirror).is_dir()):
            raise RequestError(f"--mirror: expected an existing folder or an http(s) address, got {mirror!r}")
        yield Path(mirror) / file
    if url:
        yield url


def checksum(file: str) -> str:
    """Return the sha256 that a file's content in the cache was last seen to have, even if it is gone; empty if none."""
    try:
        return str(json.loads(_sidecar(_path(file)).read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def forget(file: str) -> None:
    """Remove a file from the cache, so that the next :func:`locate` takes the one of the mirror or the address.

    Its :func:`checksum` stays: what was made of an earlier content is not taken for made of this one.
    """
    _path(file).unlink(missing_ok=True)


def _path(file: str) -> Path:
    if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
        raise RequestError(f"file: expected a path below the mirror, got {file!r}")
    return home() / "data" / file


def _first(places: Iterable[Path | str], download: bool, looked: list[str]) -> tuple[Path | str, bytes] | None:
    """Return the first place that has the file, and what it has; add the places before it to ``looked``."""
    for place in places:
        if isinstance(place, Path):
            if place.is_file():
                return place, place.read_bytes()
            looked.append(str(place))
        elif not download:
            looked.append(f"{place} (downloads are off)")
        else:
            try:
                return place, _download(place)
            except OSError as error:
                looked.append(f"{place} ({error})")
    return None


def _download(address: str) -> bytes:
    archive, _, member = address.partition("#")
    if member:
        return _download_member(archive, member)
    with tempfile.TemporaryDirectory() as folder:
        fetched = Path(folder) / "file"
        fetch(address, fetched)
        return fetched.read_bytes()


def _download_member(address: str, member: str) -> bytes:
    """Return one file of a zip archive; raises OSError if the archive is damaged or lacks it."""
    path = _downloaded(address)
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(member)
    except KeyError as error:
        raise OSError(f"no file {member} in the archive") from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        forget_archive(path)
        raise OSError(f"a damaged archive: {error}") from error


def _downloaded(address: str) -> Path:
    """Return an archive, which stays beside the cache for all that is in it; raises OSError if it cannot be had."""
    path = home() / "downloads" / PurePosixPath(urlsplit(address).path).name
    if not path.is_file():
        write_atomic(path, lambda temporary: fetch(address, temporary))
    return path


def fetch(address: str, path: Path) -> None:
    """Download a file; raises OSError if it cannot be had."""
    import pooch

    pooch.HTTPDownloader(timeout=60)(address, str(path), None)


def _verify(file: str, source: Path | str, raw: bytes, sha256: str) -> tuple[bytes, str]:
    """Return ``raw`` as the gzip file to keep, as it came where its content needs no change, and the content's sha256.

    Raises NotPreparedError if the compression is damaged or the content is not the expected one.
    """
    zipped = raw.startswith(b"\x1f\x8b") or str(source).endswith(".gz")
    try:
        content = gzip.decompress(raw) if zipped else raw
    except (OSError, EOFError, zlib.error) as error:
        raise NotPreparedError(
            f"{file}: {source} is a damaged gzip file ({error}); get it anew, then run: {COMMAND}"
        ) from error
    plain = _plain_lines(content)
    got = hashlib.sha256(plain).hexdigest()
    if sha256 and got != sha256:
        raise NotPreparedError(
            f"{file}: expected content with sha256 {sha256[:12]}, got {got[:12]} from {source}; "
            f"get the right file, then run: {COMMAND}"
        )
    kept = raw if zipped and plain is content else gzip.compress(plain, compresslevel=9, mtime=0)
    return kept, got


def _plain_lines(content: bytes) -> bytes:
    """Give every line an LF end and drop blank lines; return the very object if there is nothing to do."""
    if b"\r" not in content and b"\n\n" not in content:
        return content
    return re.sub(rb"\n{2,}", b"\n", content.replace(b"\r\n", b"\n"))


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".verified.json")


def _stamp(path: Path, sha256: str) -> dict[str, object]:
    state = path.stat()
    return {"size": state.st_size, "modified_ns": state.st_mtime_ns, "sha256": sha256}


def _trust(path: Path, sha256: str) -> None:
    write_json(_sidecar(path), _stamp(path, sha256))


def _trusted(path: Path, sha256: str) -> bool:
    """Whether the file is unchanged since it was last verified, and had this checksum; with none, any."""
    try:
        known = json.loads(_sidecar(path).read_text(encoding="utf-8"))
        return bool(known == _stamp(path, sha256 or known["sha256"]))
    except (OSError, ValueError, KeyError, TypeError):
        return False
