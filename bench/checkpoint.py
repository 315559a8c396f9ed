"""Mid-stage checkpoints: a stage killed at any moment goes on from the last one with the same bits."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.files import write_atomic
from methods.stage import Stateful

INTERVAL = "BENCH_CHECKPOINT_SECONDS"  # environment variable: seconds between checkpoints


class CheckpointedRun:
    """A :class:`methods.stage.Context` that saves to one file.

    Parameters
    ----------
    path: of the checkpoint.
    progress: called after each step with the steps done and their total.

    Attributes
    ----------
    seconds: spent in the steps, over all attempts.
    examples: trained on, over all attempts.
    """

    def __init__(self, path: Path, progress: Callable[[int, int], None]) -> None:
        self.path, self.progress = path, progress
        self.seconds, self.examples = 0.0, 0
        self._interval = float(os.environ.get(INTERVAL, "30"))

    def steps(self, total: int, parts: Mapping[str, Stateful], examples: int) -> Iterator[int]:
        """Yield the steps left; see :class:`methods.stage.Context`."""
        first = self._restore(parts)
        begin = saved = time.perf_counter()
        earlier = self.seconds
        for step in range(first, total):
            yield step
            now = time.perf_counter()
            self.seconds = earlier + now - begin
            self.examples += examples
            self.progress(step + 1, total)
            if now - saved >= self._interval:
                self._save(step + 1, parts)
                saved = time.perf_counter()

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
        write_atomic(self.path, lambda temporary: torch.save(content, temporary))

    def _restore(self, parts: Mapping[str, Stateful]) -> int:
        import torch

        if not self.path.is_file():
            return 0
        # Writing is atomic, so a file that is no archive was damaged by something else: start again.
        if not zipfile.is_zipfile(self.path):
            self.path.unlink()
            return 0
        content: dict[str, Any] = torch.load(self.path, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(content["parts"][name])
        self.seconds, self.examples = content["seconds"], content["examples"]
        return int(content["step"])
