"""One function over many pieces of work, in several processes or in this one."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def spread(function: Callable[[Piece], Result], pieces: Sequence[Piece], workers: int) -> Iterator[Result]:
    """Yield ``function(piece)`` in the order of ``pieces``; with one worker, or one piece, in this process."""
    workers = min(workers, len(pieces))
    if workers <= 1:
        yield from map(function, pieces)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(function, pieces)
