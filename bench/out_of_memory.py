"""Going on after memory ran out: each batch in twice as many parts, the effective batch as it was."""

from __future__ import annotations

import gc
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench.errors import BenchError
from bench.files import write_json

if TYPE_CHECKING:
    from tasks.problem import Problem

MOST_PARTS = 64
# What errors say that have no type of their own; the last is oneDNN's.
SIGNS = ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "DefaultCPUAllocator",
         "could not create a primitive")  # fmt: skip

Result = TypeVar("Result")


class OutOfMemoryError(BenchError):
    """Memory ran out, and smaller parts do not help or cannot be made."""


def in_parts_that_fit(
    problem: Problem, run: Callable[[Problem], Result], what: str, parts: int = 1, kept: Path | None = None
) -> tuple[Result, int]:
    """Call ``run`` with ``problem``, then with encoders in twice as many parts after each time that memory ran out.

    Parameters
    ----------
    what: is run, for messages.
    parts: to begin with.
    kept: a file that remembers the parts, so that a later attempt begins with as many, and knows of earlier ones.

    Returns
    -------
    What ``run`` returns, and the most parts with which this attempt or an earlier one went.

    Raises
    ------
    OutOfMemoryError: if memory runs out with MOST_PARTS parts too, or the encoder cannot go in parts.
    """
    from methods.stages.micro_batches import in_micro_batches, is_divisible

    memory = _read(kept)
    parts, most = max(parts, memory["next"]), memory["most"]
    if parts > 1 and not is_divisible(problem):
        parts = 1
    while True:
        most = max(most, parts)
        _write(kept, parts, most)
        try:
            return run(in_micro_batches(problem, parts)), most
        except Exception as error:
            if not ran_out(error):
                raise
            reason, trace = " ".join(str(error).split())[:200] or type(error).__name__, traceback.format_exc()
        # Only here the tensors of the attempt are free: the error's traceback held them.
        _free()
        if parts >= MOST_PARTS or not is_divisible(problem):
            _write(kept, 1, most)  # the next attempt may have more memory
            failure = OutOfMemoryError(_advice(what, parts, reason))
            failure.add_note(trace)
            raise failure
        parts *= 2
        print(f"out of memory ({reason}); {what} goes on with each batch in {parts} parts", file=sys.stderr, flush=True)


def ran_out(error: Exception) -> bool:
    """Whether ``error`` says that memory ran out: of a GPU, or of the host where it did not kill the process."""
    import torch

    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


def _advice(what: str, parts: int, reason: str) -> str:
    tried = f"with each batch in {parts} parts too" if parts > 1 else "and this encoder cannot go through it in parts"
    return (
        f"{what}: out of memory, {tried}; lower its batch sizes, the size of the encoder or that of its inputs "
        f"(`python -m bench show protocol` says what they are), or use a device with more memory ({reason})"
    )


def _free() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _read(kept: Path | None) -> dict[str, int]:
    try:
        content: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept else {}
        return {name: int(content.get(name, 1)) for name in ("next", "most")}
    except (OSError, ValueError, TypeError, AttributeError):
        return {"next": 1, "most": 1}


def _write(kept: Path | None, parts: int, most: int) -> None:
    if kept and most > 1:
        write_json(kept, {"next": parts, "most": most})
