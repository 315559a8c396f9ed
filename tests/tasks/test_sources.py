"""Raw files are verified by content, whatever their compression and line ends; nothing half-written stays."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bench.errors import NotPreparedError, RequestError
from bench.files import home
from tasks.sources import candidates, checksum, forget, forget_archive, locate, locate_archive, locate_newest

CONTENT = b"smiles,y\nCCO,1\nCCN,0\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = "mine/set.csv.gz"


@pytest.fixture(autouse=True)
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "mirror"
    (made / "mine").mkdir(parents=True)
    return made


@pytest.fixture
def address(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the mirror's folder on the loopback interface."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def kept() -> list[str]:
    """Every file in the cache, hidden and temporary ones too."""
    return sorted(path.name for path in home().rglob("*") if path.is_file())


def put(folder: Path, content: bytes = CONTENT, level: int = 6) -> Path:
    path = folder / FILE
    path.write_bytes(gzip.compress(content, level))
    return path


@pytest.mark.parametrize("level", [1, 9])
def test_a_mirror_may_compress_anew(folder: Path, level: int) -> None:
    put(folder, level=level)
    path = locate(FILE, sha256=SHA256, mirror=str(folder))
    assert path == home() / "data" / FILE
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert kept() == ["set.csv.gz", "set.csv.gz.verified.json"]


def test_a_file_of_unknown_content_has_a_checksum_once_it_is_kept(folder: Path) -> None:
    put(folder)
    path = locate(FILE, mirror=str(folder))
    assert checksum(FILE) == SHA256
    assert locate(FILE) == locate(FILE, sha256=SHA256) == path
    # As earlier versions left it.
    sidecar = path.with_name(path.name + ".verified.json")
    sidecar.write_text(sidecar.read_text().replace(SHA256, ""))
    assert locate(FILE) == path
    assert checksum(FILE) == ""
    assert locate_newest(FILE) == path
    assert checksum(FILE) == SHA256


@pytest.mark.parametrize("ends", [b"\r\n", b"\r\n\n", b"\n\n", b"\r\n\r\n"])
def test_line_ends_and_blank_lines_do_not_count(folder: Path, ends: bytes) -> None:
    put(folder, CONTENT.replace(b"\n", ends))
    path = locate(FILE, sha256=SHA256, mirror=str(folder))
    assert gzip.decompress(path.read_bytes()) == CONTENT


def test_once_there_it_needs_no_mirror_and_is_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder)
    path = locate(FILE, sha256=SHA256, mirror=str(folder))
    shutil.rmtree(folder)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read again"))
    assert locate(FILE, sha256=SHA256) == path


def test_a_touched_file_is_verified_again_and_a_changed_one_fetched_again(folder: Path) -> None:
    put(folder)
    path = locate(FILE, sha256=SHA256, mirror=str(folder))
    os.utime(path, (1, 1))
    assert locate(FILE, sha256=SHA256) == path
    path.write_bytes(gzip.compress(b"other"))
    with pytest.raises(NotPreparedError, match="damaged"):
        locate(FILE, sha256=SHA256)
    assert gzip.decompress(locate(FILE, sha256=SHA256, mirror=str(folder)).read_bytes()) == CONTENT


def test_the_expected_content_is_part_of_the_trust(folder: Path) -> None:
    put(folder)
    locate(FILE, mirror=str(folder))
    with pytest.raises(NotPreparedError):
        locate(FILE, sha256="0" * 64)


def test_other_content_shows_both_checksums_and_leaves_nothing(folder: Path) -> None:
    put(folder, b"other")
    with pytest.raises(NotPreparedError) as caught:
        locate(FILE, sha256=SHA256, mirror=str(folder))
    for part in (FILE, SHA256[:12], hashlib.sha256(b"other").hexdigest()[:12], "python -m bench prepare --tasks"):
        assert part in str(caught.value)
    assert kept() == []


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-9], lambda raw: raw[:20] + b"\x00\xff" + raw[22:], lambda _: b"<html>"]
)
def test_a_damaged_gzip_file_is_refused(folder: Path, damage) -> None:
    path = put(folder, os.urandom(500))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(NotPreparedError, match=f"{FILE}.*damaged gzip"):
        locate(FILE, mirror=str(folder))
    assert kept() == []


def test_a_missing_file_says_where_it_was_looked_for(folder: Path) -> None:
    with pytest.raises(NotPreparedError) as caught:
        locate(FILE, sha256=SHA256, mirror=str(folder), url="https://example.org/set.csv")
    for part in (FILE, str(home()), str(folder), "https://example.org/set.csv (downloads are off)", "--mirror PATH"):
        assert part in str(caught.value)
    assert kept() == []


def test_a_full_disk_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder)

    def fail(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:5])
        raise OSError("no space")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="no space"):
        locate(FILE, sha256=SHA256, mirror=str(folder))
    assert kept() == []


@pytest.mark.parametrize("mirror", ["/no/such/folder", "", "ftp://example.org"])
def test_a_mirror_is_a_folder_or_an_address(mirror: str) -> None:
    with pytest.raises(RequestError, match="--mirror: expected an existing folder"):
        locate(FILE, mirror=mirror)


@pytest.mark.parametrize("file", ["../secret.gz", "/etc/passwd", "mine/../../x.gz"])
def test_a_file_stays_below_the_mirror(folder: Path, file: str) -> None:
    with pytest.raises(RequestError, match="below the mirror"):
        locate(file, mirror=str(folder))


def test_an_address_serves_as_mirror_only_with_downloads_on(folder: Path, address: str) -> None:
    put(folder)
    with pytest.raises(NotPreparedError, match="downloads are off"):
        locate(FILE, sha256=SHA256, mirror=address)
    path = locate(FILE, sha256=SHA256, mirror=f"{address}/", download=True)
    assert gzip.decompress(path.read_bytes()) == CONTENT


def test_the_public_address_comes_last_and_may_be_plain(folder: Path, address: str) -> None:
    (folder / "plain.csv").write_bytes(CONTENT.replace(b"\n", b"\r\n"))
    path = locate(FILE, sha256=SHA256, url=f"{address}/plain.csv", mirror=f"{address}/nowhere", download=True)
    first = path.read_bytes()
    assert gzip.decompress(first) == CONTENT
    path.unlink()
    assert locate(FILE, sha256=SHA256, url=f"{address}/plain.csv", download=True).read_bytes() == first


def test_addresses_that_fail_are_listed(address: str) -> None:
    with pytest.raises(NotPreparedError, match="404"):
        locate(FILE, url=f"{address}/gone.csv", download=True)
    assert kept() == []


def test_a_file_in_an_archive_is_fetched_with_the_archive_once(folder: Path, address: str) -> None:
    with zipfile.ZipFile(folder / "sets.zip", "w") as archive:
        archive.writestr("sets/a.csv", CONTENT.replace(b"\n", b"\r\n"))
        archive.writestr("sets/b.csv", b"other\n")
    url = f"{address}/sets.zip"
    assert gzip.decompress(locate(FILE, sha256=SHA256, url=f"{url}#sets/a.csv", download=True).read_bytes()) == CONTENT
    (folder / "sets.zip").unlink()
    second = locate("mine/other.csv.gz", url=f"{url}#sets/b.csv", download=True)
    assert gzip.decompress(second.read_bytes()) == b"other\n"
    with pytest.raises(NotPreparedError, match=r"sets.zip#sets/c.csv \(no file sets/c.csv in the archive\)"):
        locate("mine/third.csv.gz", url=f"{url}#sets/c.csv", download=True)


def test_a_damaged_archive_is_not_kept(folder: Path, address: str) -> None:
    with zipfile.ZipFile(folder / "sets.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", CONTENT * 99)
    whole = (folder / "sets.zip").read_bytes()
    for damaged in (b"<html>", whole[:-30], whole[:60] + b"\xff" * 20 + whole[80:]):
        (folder / "sets.zip").write_bytes(damaged)
        with pytest.raises(NotPreparedError, match="a damaged archive"):
            locate(FILE, url=f"{address}/sets.zip#a.csv", download=True)
        assert kept() == []
    (folder / "sets.zip").write_bytes(whole)
    assert gzip.decompress(locate(FILE, url=f"{address}/sets.zip#a.csv", download=True).read_bytes()) == CONTENT * 99


def test_a_forgotten_file_is_fetched_anew(folder: Path) -> None:
    put(folder)
    locate(FILE, mirror=str(folder))
    put(folder, b"mended\n")
    assert gzip.decompress(locate(FILE, mirror=str(folder)).read_bytes()) == CONTENT
    forget(FILE)
    assert kept() == ["set.csv.gz.verified.json"]
    assert checksum(FILE) == SHA256, "what was made of it is not taken for made of another"
    assert gzip.decompress(locate(FILE, mirror=str(folder)).read_bytes()) == b"mended\n"
    forget("mine/never.gz")


def test_places_come_mirror_first(folder: Path) -> None:
    url = "https://example.org/x"
    assert list(candidates("a/b", url=url, mirror=str(folder))) == [folder / "a" / "b", url]
    assert list(candidates("a/b", url=url, mirror="http://host/")) == ["http://host/a/b", url]
    assert list(candidates("a/b")) == []
    with pytest.raises(RequestError, match="--mirror: expected an existing folder"):
        list(candidates("a/b", url=url, mirror="/no/such/folder"))


def test_the_newest_content_of_the_mirror_is_taken(folder: Path) -> None:
    assert locate_newest(FILE, "mine/set.csv", mirror=str(folder)) is None
    assert checksum(FILE) == ""
    plain = folder / "mine" / "set.csv"
    plain.write_bytes(CONTENT.replace(b"\n", b"\r\n"))
    path = locate_newest(FILE, "mine/set.csv", mirror=str(folder))
    assert path == home() / "data" / FILE
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert checksum(FILE) == SHA256
    before = path.stat().st_mtime_ns
    put(folder, level=1)  # the same content, as the file that comes first
    assert locate_newest(FILE, "mine/set.csv", mirror=str(folder)) == path
    assert path.stat().st_mtime_ns == before
    put(folder, b"other\n")
    assert locate_newest(FILE, "mine/set.csv") == path
    assert checksum(FILE) == SHA256, "no mirror, no other content"
    locate_newest(FILE, "mine/set.csv", mirror=str(folder))
    assert gzip.decompress(path.read_bytes()) == b"other\n"
    assert checksum(FILE) == hashlib.sha256(b"other\n").hexdigest()


def test_the_newest_content_of_the_cache_is_noticed(folder: Path) -> None:
    path = home() / "data" / FILE
    path.parent.mkdir(parents=True)
    for content in (CONTENT, b"changed by hand\n"):
        path.write_bytes(gzip.compress(content))
        assert locate_newest(FILE) == path
        assert checksum(FILE) == hashlib.sha256(content).hexdigest()
    path.write_bytes(gzip.compress(CONTENT)[:-9])
    with pytest.raises(NotPreparedError, match=f"{FILE}.*damaged gzip"):
        locate_newest(FILE)
    put(folder)
    locate_newest(FILE, mirror=str(folder))
    assert gzip.decompress(path.read_bytes()) == CONTENT
    path.unlink()
    assert checksum(FILE) == SHA256


def test_the_newest_content_of_an_address_needs_downloads(folder: Path, address: str) -> None:
    (folder / "mine" / "set.csv").write_bytes(CONTENT)
    assert locate_newest(FILE, "mine/set.csv", mirror=address) is None
    assert locate_newest(FILE, "mine/set.csv", mirror=address, download=True) == home() / "data" / FILE
    assert checksum(FILE) == SHA256


def test_an_archive_stays_as_it_came(folder: Path, address: str) -> None:
    content = gzip.compress(b"a\r\n\n\nb")  # which a text file would not keep
    (folder / "set.tar.gz").write_bytes(content)
    assert locate_archive("set.tar.gz", mirror=str(folder)) == folder / "set.tar.gz"
    with pytest.raises(NotPreparedError, match=rf"set.tar.gz: not found; looked at {address}/set.tar.gz \(downloads"):
        locate_archive("set.tar.gz", mirror=address)
    for _ in range(2):
        found = locate_archive("set.tar.gz", url=f"{address}/set.tar.gz", mirror=str(folder / ".."), download=True)
        assert found == home() / "downloads" / "set.tar.gz"
        assert found.read_bytes() == content
        (folder / "set.tar.gz").write_bytes(b"not asked for again")
    forget_archive(found)
    assert locate_archive("set.tar.gz", mirror=address, download=True).read_bytes() == b"not asked for again"
    forget_archive(folder / "set.tar.gz")
    assert (folder / "set.tar.gz").is_file(), "the mirror's own"
    with pytest.raises(NotPreparedError, match=rf"none.tar.gz: not found; looked at {address}/none.tar.gz \(404"):
        locate_archive("none.tar.gz", mirror=address, download=True)
