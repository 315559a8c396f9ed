"""Mid-stage checkpoints: a stage killed at any moment goes on from the last one with the same bits."""

from __future__ import annotations

import copy
import math
import os
import pickle
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.errors import RequestError
from bench.files import write_atomic
from bench.out_of_memory import ran_out
from methods.stage import Stateful
from slurm.interruption import Interrupted, requested

INTERVAL = "BENCH_CHECKPOINT_SECONDS"  # environment variable: seconds between checkpoints
DAMAGE = (OSError, EOFError, ValueError, KeyError, RuntimeError, struct.error, zlib.error,
          zipfile.BadZipFile, pickle.UnpicklingError)  # what reading a damaged archive may raise  # fmt: skip
OTHER = (LookupError, TypeError, ValueError, AttributeError, RuntimeError)  # and loading the content of another one


class CheckpointedRun:
    """A :class:`methods.stage.Context` that saves to one file: at times, and when this process is asked to stop.

    Parameters
    ----------
    path: of the checkpoint.
    progress: called after each step with the steps done and their total.
    seed: of the cell; before each step the global generators, which dropout draws from, are set to a function of
        it and the step alone, so that a resumed stage drops the same units.

    Attributes
    ----------
    seconds: spent in the steps, over all attempts.
    examples: trained on, over all attempts.

    Raises
    ------
    RequestError: if the environment variable ``BENCH_CHECKPOINT_SECONDS`` is no number of seconds.
    """

    def __init__(self, path: Path, progress: Callable[[int, int], None], seed: int = 0) -> None:
        self.path, self.progress, self.seed = path, progress, seed
        self.seconds, self.examples = 0.0, 0
        self._interval = interval()

    def steps(self, total: int, parts: Mapping[str, Stateful], examples: int) -> Iterator[int]:
        """Yield the steps left; see :class:`methods.stage.Context`.

        Raises
        ------
        Interrupted: once a checkpoint is written, after the step in which this process was asked to stop.
        """
        import torch

        from tasks.randomness import derive

        first = self._restore(parts)
        begin = saved = time.perf_counter()
        earlier = self.seconds
        if first < total and requested():  # while the data was loaded
            raise Interrupted
        for step in range(first, total):
            torch.manual_seed(derive(self.seed, "step", step))
            yield step
            now = time.perf_counter()
            self.seconds = earlier + now - begin
            self.examples += examples
            self.progress(step + 1, total)
            stop = requested()
            if stop or now - saved >= self._interval:
                self._save(step + 1, parts)
                saved = time.perf_counter()
            if stop:
                raise Interrupted

    def facts(self) -> dict[str, Any]:
        """Return what the record says of the stage's cost."""
        return {"seconds": self.seconds, "examples": self.examples}

    def discard(self) -> None:
        """Delete the checkpoint: the stage's output is stored."""
        self.path.unlink(missing_ok=True)

    def _save(self, step: int, parts: Mapping[str, Stateful]) -> None:
        import torch

        state = {name: part.state_dict() for name, part in parts.items()}
        content = {"step": step, "seconds": self.seconds, "examples": self.examples, "parts": state}

        def write(temporary: Path) -> None:
            try:
                with temporary.open("wb") as file:
                    torch.save(content, file)
            except RuntimeError as error:
                # torch hides what the system said, such as a full disk, behind an error of its own.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise

        write_atomic(self.path, write)

    def _restore(self, parts: Mapping[str, Stateful]) -> int:
        if not self.path.is_file():
            return 0
        try:
            content = _read(self.path)
        except DAMAGE as error:
            # Writing is atomic, so something else did this. The stage's next checkpoint replaces the file.
            self._warn(error)
            return 0
        before = {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}
        try:
            for name, part in parts.items():
                part.load_state_dict(content["parts"][name])
            step, seconds, examples = int(content["step"]), float(content["seconds"]), int(content["examples"])
        except OTHER as error:
            if ran_out(error):  # of memory, which says nothing of the file
                raise
            for name, part in parts.items():
                part.load_state_dict(before[name])
            self._warn(error)
            self.discard()
            return 0
        self.seconds, self.examples = seconds, examples
        return step

    def _warn(self, error: Exception) -> None:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"warning: the stage starts again: {self.path} is damaged ({reason})", file=sys.stderr)


def _read(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU: it may be of a GPU that is not here."""
    import torch

    with zipfile.ZipFile(path) as archive:  # torch itself does not compare the checksums that it wrote
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def interval() -> float:
    """Return the seconds between checkpoints; raises RequestError if the environment variable is no such number."""
    text = os.environ.get(INTERVAL, "30")
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise RequestError(f"{INTERVAL}: expected seconds, got {text!r}")
    return seconds
