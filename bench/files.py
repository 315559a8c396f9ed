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

from bench.errors import RequestError

DIGITS = 100  # of a whole number in YAML; Python refuses to write those of thousands


def home() -> Path:
    """The cache folder: ``$BENCH_HOME``, else the platform's user cache."""
    named = os.environ.get("BENCH_HOME")
    # Not Path.expanduser, which raises for a user that is not known.
    return Path(os.path.expanduser(named)) if named else user_cache_path("bench-reweighting")  # noqa: PTH111


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


def read_yaml(path: Path, kind: str) -> dict[str, Any]:
    """Return the mapping that the YAML file of a ``kind``, such as a protocol, holds; raises as :func:`parse_yaml`."""
    expected = f"{kind} {path}: expected YAML"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{expected}: {error}") from error
    content = parse_yaml(text, expected)
    if not isinstance(content, dict):
        raise RequestError(f"{kind} {path}: expected a mapping, got {type(content).__name__}")
    return content


def parse_yaml(text: str, expected: str, *, trusted: bool = False) -> Any:
    """Return the plain values that ``text`` holds.

    That of installed packages is ``trusted``: libyaml reads it ten times faster, and brackets without end crash it.

    Raises
    ------
    RequestError: one line that begins with ``expected``, if it is no YAML, holds a value that there is not
        (2024-13-45), a key twice in one mapping, or an alias to something that it is a part of.
    """
    import yaml

    try:
        # Not every build of PyYAML has libyaml.
        loader = (getattr(yaml, "CSafeLoader", yaml.SafeLoader) if trusted else yaml.SafeLoader)(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _check_node(node, set(), set())
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise RequestError(f"{expected}: {where}{error.problem}") from error
    except RecursionError as error:
        raise RequestError(f"{expected}: too many brackets inside each other") from error
    except (LookupError, AttributeError) as error:  # PyYAML's way to say so
        raise RequestError(f"{expected}: a value does not fit its tag") from error
    except (yaml.YAMLError, ValueError) as error:
        raise RequestError(f"{expected}: {' '.join(str(error).split())}") from error


def _check_node(node: Any, inside: set[Any], done: set[Any]) -> None:
    """Raise ValueError for what PyYAML lets through; ``inside`` are the nodes that lead here, ``done`` those behind."""
    if node in done:
        return
    line = f"line {node.start_mark.line + 1}"
    if node in inside:
        raise ValueError(f"{line}: expected no alias to what it is a part of")
    inside.add(node)
    parts = [] if node.id == "scalar" else node.value
    if node.id == "scalar" and node.tag.endswith(":int") and len(node.value) > DIGITS:
        raise ValueError(f"{line}: expected numbers of at most {DIGITS} digits, got one of {len(node.value)}")
    if node.id == "mapping":
        names = [key.value for key, _ in node.value if key.id == "scalar"]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"{line}: expected each key once, got {twice[0]!r} twice")
        parts = [part for pair in node.value for part in pair]
    for part in parts:
        _check_node(part, inside, done)
    inside.remove(node)
    done.add(node)
