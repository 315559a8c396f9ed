"""Sixteen processes that start at once on an unprepared cache build it once.

This module is also the program that becomes the sixteen: ``python -m tests.bench.test_prepare_once FOLDER``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.locks import building
from tests.conftest import ROOT

PROCESSES = 16
BUILT = ("corpus", "clusters", "images")  # how lines begin that tell of something built


@pytest.mark.slow
def test_sixteen_processes_prepare_once(tmp_path: Path) -> None:
    environment = os.environ | {"BENCH_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.bench.test_prepare_once", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = [path.read_text().splitlines() for path in tmp_path.glob("said-*")]
    assert len(said) == PROCESSES
    built = [[line.split(":")[0] for line in lines if line.startswith(BUILT)] for lines in said]
    assert sorted(filter(None, built)) == [["corpus of demo", "clusters of demo", "images"]]
    waiting = f"waiting: another process prepares data in {tmp_path / 'home'}"
    assert sum(lines[0] == waiting for lines in said) == PROCESSES - 1
    assert not list((tmp_path / "home").rglob("*.tmp"))


def test_a_folder_that_cannot_be_written_keeps_nobody_off(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said: list[str] = []
    with building(tmp_path / "file" / "home", said.append):
        pass
    assert said == []


def test_the_lock_goes_with_an_error(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(ValueError, match="no"), building(tmp_path, said.append):
        raise ValueError("no")
    with building(tmp_path, said.append):
        pass
    assert said == []


def _prepare_many(folder: Path) -> int:
    """Import everything once, then become sixteen processes that prepare and load the same data."""
    import torch  # noqa: F401

    import tasks.image.problem  # noqa: F401
    from bench import plan as planning
    from bench.commands import prepare
    from bench.protocol_files import load
    from tasks.catalogue import expand

    fitting, _ = planning.pairs(["finetune"], expand("demo:rings"))
    assert [backbone for _, _, backbone in fitting] == ["resnet18"]
    rules, begin = load("smoke"), time.monotonic() + 0.5
    children = []
    for number in range(PROCESSES):
        if child := os.fork():
            children.append(child)
            continue
        status = 1
        try:
            said: list[str] = []
            prepare.say = said.append
            time.sleep(max(0.0, begin - time.monotonic()))
            prepare.prepare_pairs(fitting, rules, mirror=None, download=False, workers=1)
            planning.chain.build("finetune", "demo:rings", "resnet18", 0, rules)
            (folder / f"said-{number}").write_text("".join(f"{line}\n" for line in said))
            status = 0
        finally:
            os._exit(status)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(_prepare_many(Path(sys.argv[1])))
