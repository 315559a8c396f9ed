"""Files are whole or not there."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bench.files import digest, home, write_atomic, write_json


def half(temporary: Path) -> None:
    temporary.write_text("half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomic(path, half)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)  # which disk is full
    assert list(path.parent.iterdir()) == []
    write_json(path, {"old": 1})
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, half)
    assert [each.read_text() for each in path.parent.iterdir()] == ['{\n "old": 1\n}\n']


def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def interrupted(temporary: Path) -> None:
        temporary.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a.json", interrupted)
    assert list(tmp_path.iterdir()) == []


def test_the_new_file_appears_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    seen: list[str] = []

    def write(temporary: Path) -> None:
        temporary.write_text("n")
        seen.append(path.read_text())
        temporary.write_text("new")
        seen.append(path.read_text())

    write_atomic(path, write)
    assert seen == ["old", "old"]
    assert path.read_text() == "new"


def test_files_have_the_permissions_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_json(tmp_path / "a.json", {})
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640


def test_a_file_where_a_folder_must_be(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(OSError, match="taken"):
        write_json(tmp_path / "taken" / "a.json", {})


def test_nan_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"score": float("nan")})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="JSON"):
        digest(float("nan"))


def test_a_digest_depends_on_the_content_alone() -> None:
    assert digest({"b": 1, "a": [2, None]}) == digest({"a": [2, None], "b": 1})
    assert len({digest(each) for each in ({"a": 1}, {"a": "1"}, {"a": [1]}, ["a", 1], {"a": 1.5}, {"a": True})}) == 6
    assert digest([]) == "4f53cda18c2baa0c"  # sha256 of "[]": names of artifacts must not change between versions


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    assert home() == tmp_path
    monkeypatch.setenv("BENCH_HOME", "")
    assert home().name == "bench-reweighting"


@pytest.mark.parametrize("name", ["~/x", "~"])
def test_a_quoted_tilde_is_the_home_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BENCH_HOME", name)
    assert home() == tmp_path / name[2:]
    monkeypatch.setenv("BENCH_HOME", "~no-such-user/x")
    assert home() == Path("~no-such-user/x")
