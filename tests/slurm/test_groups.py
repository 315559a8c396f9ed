"""Groups: who waits for whom, how many array tasks, how many at a time, and what is asked for."""

from __future__ import annotations

import pytest

from slurm.executor import Job
from slurm.groups import GB, cells_at_once, chunks, make
from slurm.profile import Profile, load

CPU = load("cpu", ["workers=8", "pack=1"])
A100 = load("a100")


def job(name: str, *needs: str, kind: str = "cell", seconds: float | None = None, memory: float | None = None) -> Job:
    peak = None if memory is None else int(memory * GB)
    return Job(name, name, "x:y", {}, needs, kind=kind, seconds=seconds, memory_bytes=peak)


def cells(number: int, seconds: float | None = None, memory: float | None = None) -> list[Job]:
    return [job(f"cell-{index}", seconds=seconds, memory=memory) for index in range(number)]


def test_each_shared_stage_is_a_group_and_cells_wait_for_theirs_alone() -> None:
    jobs = [
        job("start", kind="shared-start"),
        job("left", "start", kind="shared-continued"),
        job("right", "start", kind="shared-continued"),
        job("a", "left"), job("b", "right"), job("c", "left"), job("d"), job("e", "left", kind="cell-large"),
        job("f", "right", "left"),
    ]  # fmt: skip
    groups = {group.name: group for group in make(jobs, CPU, {})}
    members = {name: [one.id for one in group.jobs] for name, group in groups.items()}
    assert members == {
        "start": ["start"], "left": ["left"], "right": ["right"],
        "cell": ["a", "c"], "cell-2": ["b"], "cell-3": ["d"], "cell-large": ["e"], "cell-4": ["f"],
    }  # fmt: skip
    assert {name: group.after for name, group in groups.items()} == {
        "start": (), "left": ("start",), "right": ("start",),
        "cell": ("left",), "cell-2": ("right",), "cell-3": (), "cell-large": ("left",), "cell-4": ("right", "left"),
    }  # fmt: skip
    assert [name for name, group in groups.items() if group.needed] == ["start", "left", "right"]
    assert all(groups[name].tasks == groups[name].pack == 1 for name in ("start", "left", "right"))
    order = list(groups)
    assert all(order.index(need) < order.index(name) for name, group in groups.items() for need in group.after)


def test_what_is_in_the_queue_is_waited_for_and_not_submitted_again() -> None:
    jobs = [job("start"), job("continued", "start"), job("a", "continued"), job("b", "continued"), job("c", "start")]
    groups = make(jobs, CPU, {"continued": ["7", "8"], "a": ["9"], "gone": ["1"]})
    assert [(group.name, [one.id for one in group.jobs], group.after, group.after_arrays) for group in groups] == [
        ("start", ["start"], (), ()),
        ("cell", ["b"], (), ("7", "8")),
        ("cell-2", ["c"], ("start",), ()),
    ]
    assert make(jobs, CPU, {one.id: ["7"] for one in jobs}) == []
    assert make(jobs, CPU, {name: ["7"] for name in "abc"}) == []  # nobody is left who needs the shared ones


def test_an_unknown_need_is_refused() -> None:
    with pytest.raises(ValueError, match="cell-1 needs 'start'"):
        make([job("cell-1", "start")], CPU, {})


@pytest.mark.parametrize(
    ("number", "pack", "seconds", "tasks"),
    [
        (3, 1, None, 3),  # one each
        (100, 1, None, 8),  # no more than the profile's workers
        (100, 1, 300.0, 8),
        (12, 1, 300.0, 4),  # three fill a quarter of an hour
        (12, 4, 300.0, 1),
        (13, 4, 300.0, 2),
        (12, 1, 5000.0, 8),
        (10, 1, 0.1, 1),
        (100, 1, 0.1, 2),  # loading alone takes time
        (5, 4, None, 2),
    ],
)
def test_array_tasks(number: int, pack: int, seconds: float | None, tasks: int) -> None:
    (group,) = make(cells(number, seconds), load("cpu", ["workers=8"], str(pack)), {})
    assert (group.tasks, group.pack) == (tasks, pack)


def test_half_known_seconds_are_unknown() -> None:
    (group,) = make([*cells(4, 10.0), job("other")], CPU, {})
    assert (group.tasks, group.minutes, group.memory_gb) == (5, CPU.time_minutes, CPU.memory_gb)


@pytest.mark.parametrize(
    ("number", "seconds", "minutes"),
    [(4, 60.0, 30), (8, 3600.0, 240), (80, 3600.0, 1320), (800, 3600.0, 1440), (8, None, 1440)],
)
def test_the_time_limit_is_that_of_the_work_with_a_margin(number: int, seconds: float | None, minutes: int) -> None:
    (group,) = make(cells(number, seconds), CPU, {})  # 8 workers at most: 1, 10, 100 cells each
    assert group.minutes == minutes  # twice (its cells, and one more that started last)


def test_a_short_profile_stays_short() -> None:
    (group,) = make(cells(3, 1.0), load("cpu", ["time_minutes=5", "pack=1"]), {})
    assert group.minutes == 5


def test_host_memory_is_that_of_the_cells_with_a_margin() -> None:
    profile = load("cpu", ["pack=4"])  # 16 GB
    assert make(cells(8, 60.0, memory=1.0), profile, {})[0].memory_gb == 7  # 4 x 1.5 and one to spare
    assert make(cells(8, 60.0, memory=10.0), profile, {})[0].memory_gb == 16
    assert make(cells(8, 60.0), profile, {})[0].memory_gb == 16
    assert make(cells(8, 60.0, memory=1.0), A100, {})[0].memory_gb == 64  # records know of the GPU's memory


@pytest.mark.parametrize(
    ("profile", "jobs", "pack"),
    [
        (A100, cells(9), 1),  # nothing is known
        (A100, cells(9, seconds=60.0), 1),
        (A100, cells(9, memory=2.0), 1),
        (A100, cells(9, 60.0, 2.0), 4),  # 13 would fit; more than four only slow each other
        (A100, cells(9, 60.0, 10.0), 2),  # 40 / 15
        (A100, cells(9, 60.0, 39.0), 1),
        (A100, cells(9, 3600.0, 2.0), 1),  # large ones keep a GPU busy
        (A100, cells(3, 60.0, 2.0), 3),
        (A100, [*cells(9, 60.0, 2.0), job("big", seconds=60.0, memory=10.0)], 2),
        (load("a100", ["cpus=2"]), cells(9, 60.0, 2.0), 2),
        (load("a100", ["gpu_memory_gb=null"]), cells(9, 60.0, 2.0), 1),
        (load("a100", pack="7"), cells(9), 7),
        (load("a100", pack="7"), cells(5), 5),
        (load("cpu", pack="auto"), cells(9, 7200.0, 2.0), 4),
        (load("cpu", pack="auto"), cells(9, 60.0, 4.0), 2),  # 15 / 6
    ],
)
def test_cells_at_once(profile: Profile, jobs: list[Job], pack: int) -> None:
    assert cells_at_once(jobs, profile) == pack


@pytest.mark.parametrize(
    ("tasks", "limit", "sizes"),
    [(1, 1001, [1]), (1001, 1001, [1001]), (1002, 1001, [501, 501]), (7, 3, [3, 2, 2]), (4, 1, [1, 1, 1, 1])],
)
def test_chunks(tasks: int, limit: int, sizes: list[int]) -> None:
    assert chunks(tasks, limit) == sizes
