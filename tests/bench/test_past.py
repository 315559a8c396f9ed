"""What records tell of cells to come: the nearest ones, of the same kind of device."""

from __future__ import annotations

import pytest

from bench.past import GB, Past, kind
from bench.records import Record


def record(
    method: str, task: str, seconds: float, memory: float, device: str = "x86_64 CPU", **shared: float
) -> Record:
    return Record(
        identity=f"{method}{task}{seconds}", method=method, task=task, backbone="b", seed=0, protocol="p",
        split_checksum="s", metric="m", higher_is_better=True, marks=False,
        scores={"best": {"test": {"m": 0.5}}}, primary="best", chosen_step=1,
        seconds={"finetune": seconds - 1, "score": 1.0}, shared_seconds=shared, peak_memory_bytes=int(memory * GB),
        examples_per_second=1.0, settings={}, data={}, provenance={"device": device},
    )  # fmt: skip


RECORDS = [
    record("cp", "a:x", 10.0, 1.0, continued=50.0),
    record("cp", "a:x", 20.0, 3.0, continued=70.0),
    record("cp", "a:y", 60.0, 2.0, continued=90.0),
    record("finetune", "a:x", 110.0, 0.5),
    record("finetune", "a:x", 4.0, 9.0, device="NVIDIA A100-SXM4-40GB"),
]


def test_the_nearest_records_count() -> None:
    past = Past(RECORDS, "cpu")
    assert past.seconds("cp", "a:x") == 15.0
    assert past.seconds("cp", "a:z") == 30.0
    assert past.seconds("dwa", "a:x") == 50.0
    assert past.memory_bytes("cp", "a:x") == 3 * GB  # the highest: memory is no matter of means
    assert past.memory_bytes("dwa", "b:z") == 3 * GB
    assert past.shared_seconds("cp", "a:x", "continued") == 60.0
    assert past.shared_seconds("finetune", "a:x", "continued") == 70.0  # its own records know of no such stage
    assert past.shared_seconds("cp", "a:x", "start") is None


def test_another_kind_of_device_tells_nothing() -> None:
    assert Past(RECORDS, "cuda").seconds("cp", "a:x") == 4.0
    assert Past(RECORDS, "cuda").memory_bytes("finetune", "a:x") == 9 * GB
    assert Past(RECORDS).seconds("finetune", "a:x") == 57.0
    assert Past(RECORDS[:4], "cuda").seconds("cp", "a:x") is None
    assert Past([]).memory_bytes("cp", "a:x") is None


@pytest.mark.parametrize(
    ("seconds", "memory", "name"),
    [
        (None, None, "cell"),
        (None, 2.0, "cell"),
        (900.0, None, "cell-small"),
        (901.0, None, "cell-medium"),
        (20000.0, None, "cell-large"),
        (1.0, 0.3, "cell-small-1g"),
        (1.0, 1.0, "cell-small-1g"),
        (1.0, 1.1, "cell-small-2g"),
        (1.0, 8.1, "cell-small-16g"),
    ],
)
def test_kinds(seconds: float | None, memory: float | None, name: str) -> None:
    assert kind(seconds, None if memory is None else int(memory * GB)) == name
