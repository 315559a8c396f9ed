"""The command line in this process, a smoke protocol cut to seconds, and distributions of other people."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import pytest

from bench.__main__ import main
from methods import METHODS
from tasks import BACKBONES
from tasks.catalogue import suites

# The demo drawn small: prepared once for the test run, under a second a cell.
TINY = {
    "corpus.molecules": "900",
    "corpus.clusters": "[2, 3, 4]",
    "image.render_pixels": "32",
    "image.pixels": "16",
    "image.width": "4",
    "start.steps": "2",
    "start.batch": "8",
    "continued.steps": "2",
    "continued.batch": "8",
    "finetune.epochs": "1",
    "finetune.batch": "64",
}
SMALL = [word for key, value in TINY.items() for word in ("--set", f"{key}={value}")]


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def bench(*arguments: str | Path) -> Result:
    """Run ``python -m bench ARGUMENTS`` here, on one thread."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.object(sys, "argv", ["bench", *map(str, arguments)]),
        patch.dict(os.environ, {"OMP_NUM_THREADS": "1"}),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    assert isinstance(ended.value.code, int)
    return Result(ended.value.code, out.getvalue(), err.getvalue())


def run(out: Path, *arguments: str | Path, methods: str = "finetune", tasks: str = "demo:rings") -> Result:
    """``bench run`` with the tiny protocol, seed 0 and one job at a time unless ``arguments`` say otherwise."""
    return bench(
        "run", "--methods", methods, "--tasks", tasks, "--seeds", "0", "--protocol", "smoke", *SMALL,
        "--out", out, "--jobs", "1", *arguments,
    )  # fmt: skip


def refused(result: Result, code: int, *parts: str) -> None:
    """Check that a command ended with ``code`` and, below what it did until then, one error with all ``parts``."""
    assert result.code == code, result
    assert result.out == ""
    assert "Traceback" not in result.err
    lines = result.err.splitlines()
    assert [number for number, line in enumerate(lines, 1) if line.startswith("error: ")] == [len(lines)]
    for part in parts:
        assert part in lines[-1]


def tree(folder: Path) -> dict[Path, int]:
    """Every file below ``folder`` with the time it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@contextmanager
def distribution(folder: Path, entry_points: str, **modules: str) -> Iterator[None]:
    """Install a distribution with entry points for as long as the context lasts.

    Parameters
    ----------
    folder: where it is written, to be put on the module path; jobs in other processes see it too.
    entry_points: the content of ``entry_points.txt``.
    modules: the source of each of its modules.
    """
    info = folder / "other_people-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-people\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)
    METHODS.names(), BACKBONES.names()
    with (
        patch.object(sys, "path", [str(folder), *sys.path]),
        patch.object(METHODS, "_entries", dict(METHODS._entries)),
        patch.object(METHODS, "_loaded", False),
        patch.object(BACKBONES, "_entries", dict(BACKBONES._entries)),
        patch.object(BACKBONES, "_loaded", False),
    ):
        suites.cache_clear()
        try:
            yield
        finally:
            suites.cache_clear()
            for name in modules:
                sys.modules.pop(name, None)
