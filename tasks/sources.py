"""Raw data files: fetched from a mirror or their public address, verified by content, kept gzipped in the cache."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from bench.errors import NotPreparedError, RequestError
from bench.files import home, write_atomic, write_json

COMMAND = "python -m bench prepare --tasks SUITE:NAME --mirror PATH"


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
    if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
        raise RequestError(f"file: expected a path below the mirror, got {file!r}")
    remote = mirror is not None and mirror.startswith(("http://", "https://"))
    if mirror is not None and not remote and not (mirror and Path(mirror).is_dir()):
        raise RequestError(f"--mirror: expected an existing folder or an http(s) address, got {mirror!r}")
    path = home() / "data" / file
    if _trusted(path, sha256):
        return path
    looked = [str(path)]
    if path.exists():
        try:
            _verify(file, path, path.read_bytes(), sha256)
            _trust(path, sha256)
            return path
        except NotPreparedError:
            looked[0] += " (damaged, or of another content)"
    candidates = [f"{str(mirror).rstrip('/')}/{file}", url] if remote else [url]
    if mirror is not None and not remote:
        source = Path(mirror) / file
        looked.append(str(source))
        if source.is_file():
            return _keep(file, path, source, source.read_bytes(), sha256)
    for address in filter(None, candidates):
        if not download:
            looked.append(f"{address} (downloads are off)")
            continue
        try:
            raw = _download(address)
        except OSError as error:
            looked.append(f"{address} ({error})")
            continue
        return _keep(file, path, address, raw, sha256)
    raise NotPreparedError(f"{file}: not found; looked at {', '.join(looked)}; run: {COMMAND}")


def forget(file: str) -> None:
    """Remove a file from the cache, so that the next :func:`locate` takes the one of the mirror or the address."""
    path = home() / "data" / file
    path.unlink(missing_ok=True)
    _sidecar(path).unlink(missing_ok=True)


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
    path = home() / "downloads" / PurePosixPath(urlsplit(address).path).name
    if not path.is_file():
        write_atomic(path, lambda temporary: fetch(address, temporary))
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(member)
    except KeyError as error:
        raise OSError(f"no file {member} in the archive") from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        path.unlink()  # the next attempt fetches it anew
        raise OSError(f"a damaged archive: {error}") from error


def fetch(address: str, path: Path) -> None:
    """Download a file; raises OSError if it cannot be had."""
    import pooch

    pooch.HTTPDownloader(timeout=60)(address, str(path), None)


def _verify(file: str, source: Path | str, raw: bytes, sha256: str) -> bytes:
    """Return ``raw`` as the gzip file to keep: as it came where its content needs no change.

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
    return raw if zipped and plain is content else gzip.compress(plain, compresslevel=9, mtime=0)


def _plain_lines(content: bytes) -> bytes:
    """Give every line an LF end and drop blank lines; return the very object if there is nothing to do."""
    if b"\r" not in content and b"\n\n" not in content:
        return content
    return re.sub(rb"\n{2,}", b"\n", content.replace(b"\r\n", b"\n"))


def _keep(file: str, path: Path, source: Path | str, raw: bytes, sha256: str) -> Path:
    zipped = _verify(file, source, raw, sha256)
    write_atomic(path, lambda temporary: temporary.write_bytes(zipped))
    _trust(path, sha256)
    return path


def _sidecar(path: Path) -> Path:
    return path.with_name(path.name + ".verified.json")


def _stamp(path: Path, sha256: str) -> dict[str, object]:
    state = path.stat()
    return {"size": state.st_size, "modified_ns": state.st_mtime_ns, "sha256": sha256}


def _trust(path: Path, sha256: str) -> None:
    write_json(_sidecar(path), _stamp(path, sha256))


def _trusted(path: Path, sha256: str) -> bool:
    """Whether the file is unchanged since it was last verified against this checksum."""
    try:
        return bool(json.loads(_sidecar(path).read_text(encoding="utf-8")) == _stamp(path, sha256))
    except (OSError, ValueError):
        return False
