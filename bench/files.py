"""Where things are kept, and writing that is whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path


def home() -> Path:
    """The cache folder: ``$BENCH_HOME``, else the platform's user cache."""
    return Path(os.environ.get("BENCH_HOME") or user_cache_path("bench-reweighting"))


def digest(content: Any) -> str:
    """Return 16 hexadecimal digits that depend on ``content`` (anything JSON can hold) alone."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def write_atomic(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to disk, then rename it.

    A reader sees the old file or the new one, never a part. On failure the temporary file is removed
    and the old file stays.

    Raises
    ------
    OSError: naming ``path``, if the disk is full or the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes private files; results are meant to be read by colleagues.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno:  # a full disk does not say which file it refused
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as indented JSON, atomically. NaN is refused: a record never holds one silently."""
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
