"""The image cache: bits, missing and damaged files, and two processes at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tasks
from bench.errors import NotPreparedError, RequestError
from tasks.image.cache import ImageCache
from tasks.image.render import render

ALKANES = ["C" * length for length in range(1, 40)]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageCache:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    return ImageCache(64, 32)


def silent(_: str) -> None:
    pass


def test_images_are_the_drawings_in_the_order_asked_for(cache: ImageCache) -> None:
    cache.ensure(ALKANES[:20], 1, silent)
    cache.ensure(ALKANES[10:], 1, silent)
    wanted = [ALKANES[30], ALKANES[0], ALKANES[15], ALKANES[0]]
    images = cache.load(wanted)
    assert len(images) == 4
    got = images.images(np.array([3, 2, 1, 0]))
    assert got.shape == (4, 32, 32, 3)
    for image, smiles in zip(got, reversed(wanted), strict=True):
        assert np.array_equal(image, render(smiles, 64, 32))


def test_every_molecule_is_drawn_once(cache: ImageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    # Hundreds of digests: some end in a zero byte, which numpy drops from byte strings.
    many = [f"C{'C' * (index % 20)}{'O' if index % 2 else 'N'}{'C' * (index // 20)}" for index in range(600)]
    monkeypatch.setattr("tasks.image.render.render", lambda *_: np.zeros((32, 32, 3), np.uint8))
    cache.ensure([*many, *many], 1, lines.append)
    assert len(lines) == 1
    assert lines[0].startswith(f"images: {len(set(many))} of {len(set(many))} missing")
    cache.ensure(many, 1, lines.append)
    assert len(lines) == 1
    assert len(list(cache.folder.glob("*.images"))) == 1


def test_large_sets_are_written_in_packs(cache: ImageCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.image.cache.PACK", 8)
    cache.ensure(ALKANES[:20], 1, silent)
    assert len(list(cache.folder.glob("*.images"))) == 3
    got = cache.load(ALKANES[:20]).images(range(20))
    assert all(np.array_equal(image, render(one, 64, 32)) for image, one in zip(got, ALKANES, strict=False))


def test_workers_give_the_same_files(cache: ImageCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.image.cache.CHUNK", 4)
    cache.ensure(ALKANES[:10], 2, silent)
    first = {path.name: path.read_bytes() for path in cache.folder.iterdir()}
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "other"))
    cache.ensure(ALKANES[:10], 1, silent)
    assert {path.name: path.read_bytes() for path in cache.folder.iterdir()} == first


def test_sizes_do_not_mix(cache: ImageCache) -> None:
    cache.ensure(ALKANES[:2], 1, silent)
    with pytest.raises(NotPreparedError, match=r"2 of 2 molecules have no readable image.*bench prepare"):
        ImageCache(64, 64).load(ALKANES[:2])


def test_missing_images_are_counted(cache: ImageCache) -> None:
    cache.ensure(ALKANES[:2], 1, silent)
    with pytest.raises(NotPreparedError, match=r"1 of 3 molecules"):
        cache.load(ALKANES[:3])


def test_undrawable_molecule_is_named_and_leaves_nothing(cache: ImageCache) -> None:
    with pytest.raises(RequestError, match="'C1CC'"):
        cache.ensure(["CC", "C1CC"], 1, silent)
    assert not cache.folder.exists()


@pytest.mark.parametrize("ending", [".digests.npy", ".ends.npy", ".images"])
@pytest.mark.parametrize("damage", ["cut", "empty", "gone"])
def test_damaged_packs_are_refused_and_mended(cache: ImageCache, ending: str, damage: str) -> None:
    cache.ensure(ALKANES[:5], 1, silent)
    (victim,) = cache.folder.glob(f"*{ending}")
    if damage == "gone":
        victim.unlink()
    else:
        victim.write_bytes(victim.read_bytes()[: -7 if damage == "cut" else 0])
    with pytest.raises(NotPreparedError, match="5 of 5 molecules"):
        cache.load(ALKANES[:5])
    cache.ensure(ALKANES[:5], 1, silent)
    assert np.array_equal(cache.load(ALKANES[:5]).images([4])[0], render(ALKANES[4], 64, 32))


def test_flipped_bits_are_noticed(cache: ImageCache) -> None:
    cache.ensure(ALKANES[:5], 1, silent)
    (blob,) = cache.folder.glob("*.images")
    content = bytearray(blob.read_bytes())
    for place in range(0, len(content), 20):
        content[place] ^= 0xFF
    blob.write_bytes(bytes(content))
    with pytest.raises(NotPreparedError, match="is damaged; delete it"):
        cache.load(ALKANES[:5]).images(range(5))


CHILD = """
import sys
from tasks.image.cache import ImageCache
if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    ImageCache(64, 32).ensure(["C" * length for length in range(1, 40)], 1, print)
"""


def test_two_processes_at_once_leave_one_valid_cache(cache: ImageCache, tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    command, environment = (
        [sys.executable, str(script)],
        {**os.environ, "PYTHONPATH": str(Path(tasks.__file__).parents[1])},
    )
    children = [
        subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:  # all are loaded: let them go together
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    for child in children:
        child.communicate(timeout=60)
        assert child.returncode == 0
    assert len(list(cache.folder.iterdir())) == 3  # one pack, no temporary files
    got = cache.load(ALKANES).images(range(len(ALKANES)))
    assert all(np.array_equal(image, render(one, 64, 32)) for image, one in zip(got, ALKANES, strict=True))
