"""Shared fixtures: a cache folder of the test run's own, and the mirror of real data where there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def bench_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder that lasts for the test run, so that what one test prepared serves the next."""
    folder = tmp_path_factory.mktemp("home")
    before = os.environ.get("BENCH_HOME")
    os.environ["BENCH_HOME"] = str(folder)
    yield folder
    if before is None:
        del os.environ["BENCH_HOME"]
    else:
        os.environ["BENCH_HOME"] = before


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The folder of real data: ``$BENCH_MIRROR``, then ``../shared/data`` beside the checkout."""
    named = os.environ.get("BENCH_MIRROR")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not (folder / "moleculenet").is_dir():
        message = f"no mirror of real data at {folder}; set BENCH_MIRROR to a folder that holds moleculenet/"
        if os.environ.get("BENCH_REQUIRE_DATA"):
            pytest.fail(message)
        pytest.skip(message)
    return folder
