"""Freeing disk space: what a rerun can make again."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.commands.status import active
from bench.errors import RequestError
from bench.files import home


def free(out: Path | None, artifacts: bool) -> str:
    """Delete checkpoints of a run, artifacts of shared stages, or both; return a line with the bytes.

    Raises
    ------
    RequestError: if nothing was named, the folder is none of a run, or a run on it is alive.
    """
    if out is None and not artifacts:
        raise RequestError("clean: expected --out FOLDER, --artifacts or both, got neither")
    doomed: list[Path] = []
    if out is not None:
        # Its subfolders have plain names: in any other folder they would be somebody's own.
        if not any((out / name).exists() for name in ("plan.json", "records", "failures")):
            raise RequestError(f"--out: expected the folder of a run, got {out}, which holds no plan and no records")
        if alive := active(out):
            raise RequestError(f"--out: a run is alive in {out} ({alive[0]['what']}); stop it or wait")
        doomed += [out / name for name in ("checkpoints", "progress", "logs")]
    if artifacts:
        doomed.append(home() / "artifacts")
    freed = 0
    for folder in doomed:
        freed += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if folder.is_dir():
            shutil.rmtree(folder)
    return f"freed {freed:,} bytes"
