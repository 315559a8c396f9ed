"""Standard streams that are closed, full, without a reader or of few characters: no reason to stop a run."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class Outlet(io.FileIO):
    """Where a standard stream goes: what cannot be written is dropped.

    Attributes
    ----------
    lost: why something was, but for a reader who had enough (``| head``): that is no error.
    """

    lost: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write ``data``, or drop it."""
        try:
            return super().write(data)
        except BrokenPipeError:
            pass
        except OSError as error:
            self.lost = error
        return memoryview(data).nbytes


def prepare() -> Outlet | None:
    """Make the standard streams fit to be written to; return where standard output goes, None if not to a file."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It gets the lowest number that is free, the one that was closed; processes started here have it too.
            handle = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(handle, True)
            setattr(sys, name, os.fdopen(handle, mode, encoding="utf-8"))
    _replace("stderr", "backslashreplace")
    return _replace("stdout", "replace")


def _replace(name: str, errors: str) -> Outlet | None:
    """Replace a stream of the process, unless somebody has already; ``errors`` is for characters that it has not."""
    stream = getattr(sys, name)
    if stream is not getattr(sys, f"__{name}__"):
        return None
    stream.flush()
    outlet = Outlet(stream.fileno(), "w", closefd=False)
    by_line = stream.line_buffering or stream.write_through
    text = io.TextIOWrapper(io.BufferedWriter(outlet), stream.encoding, errors, line_buffering=by_line)
    setattr(sys, name, text)
    return outlet
