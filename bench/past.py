"""What a run folder's records tell of cells to come: their seconds, and their memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from bench.records import Record

GB = 2**30
SMALL_SECONDS, MEDIUM_SECONDS = 900.0, 4 * 3600.0


class Past:
    """Estimates from the nearest records there are: of the same method and task, of the method, of all.

    Parameters
    ----------
    records: of finished cells.
    device: "cpu" or "cuda", to go by records of that kind of device alone; None to go by all.
    """

    def __init__(self, records: Iterable[Record], device: str | None = None) -> None:
        self._nearest: dict[tuple[str, ...], list[Record]] = defaultdict(list)
        for record in records:
            if device in (None, _device(record)):
                for key in ((record.method, record.task), (record.method,), ()):
                    self._nearest[key].append(record)

    def seconds(self, method: str, task: str) -> float | None:
        """Return the mean seconds of a cell beside its shared stages, None where nothing tells."""
        return self._estimate(method, task, fmean, lambda record: sum(record.seconds.values()))

    def shared_seconds(self, method: str, task: str, stage: str) -> float | None:
        """Return the mean seconds of a shared stage of such a cell, None where nothing tells."""
        return self._estimate(method, task, fmean, lambda record: record.shared_seconds.get(stage))

    def memory_bytes(self, method: str, task: str) -> int | None:
        """Return the highest peak memory of such a cell, on the device where it ran; None where nothing tells."""
        largest = self._estimate(method, task, max, lambda record: record.peak_memory_bytes or None)
        return None if largest is None else int(largest)

    def _estimate(
        self, method: str, task: str,
        combine: Callable[[Sequence[float]], float], value: Callable[[Record], float | None],
    ) -> float | None:  # fmt: skip
        for key in ((method, task), (method,), ()):
            if found := [one for record in self._nearest.get(key, ()) if (one := value(record)) is not None]:
                return combine(found)
        return None


def kind(seconds: float | None, memory_bytes: int | None) -> str:
    """Name the size of a cell, so that cells of one name have like needs: ``cell-small-2g``, or ``cell`` if unknown.

    Small is up to a quarter of an hour, medium up to four hours; the memory is the next power of two GB.
    """
    if seconds is None:
        return "cell"
    size = "small" if seconds <= SMALL_SECONDS else "medium" if seconds <= MEDIUM_SECONDS else "large"
    if memory_bytes is None:
        return f"cell-{size}"
    return f"cell-{size}-{1 << max(0, (memory_bytes - 1) // GB).bit_length()}g"


def _device(record: Record) -> str:
    return "cpu" if str(record.provenance.get("device", "CPU")).endswith("CPU") else "cuda"
