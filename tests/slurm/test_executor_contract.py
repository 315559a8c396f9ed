"""What every executor promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.errors import RequestError
from slurm.executor import Executor, Job, Outcome, available_threads
from slurm.inline import InProcess
from slurm.local import choose
from slurm.processes import LocalProcesses


@pytest.fixture(params=["in process", "one worker", "two workers"])
def executor(request: pytest.FixtureRequest) -> Executor:
    return {"in process": InProcess(2), "one worker": LocalProcesses(1, 2), "two workers": LocalProcesses(2, 2)}[
        request.param
    ]


def job(name: str, function: str = "note", needs: tuple[str, ...] = (), **payload: Any) -> Job:
    return Job(name, f"job {name}", f"tests.slurm.jobs:{function}", {"name": name, **payload}, needs)


def outcomes(executor: Executor, jobs: list[Job]) -> dict[str, Outcome]:
    """Run ``jobs``, checking that each ends exactly once."""
    ended = list(executor.run(jobs))
    assert sorted(outcome.job.id for outcome in ended) == sorted(job.id for job in jobs)
    return {outcome.job.id: outcome for outcome in ended}


def test_a_job_runs_once_with_its_values_and_threads(executor: Executor, tmp_path: Path) -> None:
    one = job("a", folder=str(tmp_path), values=(1, "x", None))
    (outcome,) = executor.run([one])
    assert outcome.ok
    assert outcome.job == one
    assert (outcome.reason, outcome.traceback) == ("", "")
    assert outcome.seconds > 0
    _, threads, kind, values = (tmp_path / "a").read_text().strip().split(" ", 3)
    assert (threads, kind, values) == ("2", "dict", "[1, 'x', None]")
    assert one.payload["name"] == "a"  # the job emptied its own copy


def test_no_jobs(executor: Executor) -> None:
    assert list(executor.run([])) == []


def test_a_failure_among_good_jobs(executor: Executor, tmp_path: Path) -> None:
    names = ["a", "b", "c", "d"]
    jobs = [job(name, folder=str(tmp_path)) for name in names]
    ended = outcomes(executor, [*jobs[:2], job("bad", "fail"), *jobs[2:]])
    assert [name for name, outcome in ended.items() if not outcome.ok] == ["bad"]
    assert ended["bad"].reason == "ValueError: two lines"
    assert 'raise ValueError("two\\n  lines")' in ended["bad"].traceback
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_users_error_is_its_message(executor: Executor) -> None:
    assert outcomes(executor, [job("a", "refuse")])["a"].reason == "lr: expected a number, got 'x'"


def test_a_function_that_is_not_there(executor: Executor) -> None:
    reason = outcomes(executor, [job("a", "no_such_function")])["a"].reason
    assert reason.startswith("AttributeError: ")
    assert "no_such_function" in reason


def test_needs_come_first(executor: Executor, tmp_path: Path) -> None:
    jobs = [
        job("bottom", needs=("left", "right"), folder=str(tmp_path), also=["left", "right"]),
        job("left", needs=("top",), folder=str(tmp_path), also=["top"]),
        job("right", needs=("top",), folder=str(tmp_path), also=["top"]),
        job("top", folder=str(tmp_path)),
    ]
    ended = outcomes(executor, jobs)
    assert all(outcome.ok for outcome in ended.values()), ended
    assert next(iter(ended)) == "top"
    assert list(ended)[-1] == "bottom"


def test_a_failed_need_stops_only_those_that_need_it(executor: Executor, tmp_path: Path) -> None:
    folder = str(tmp_path)
    jobs = [
        job("stage", "fail"),
        job("cell", needs=("other", "stage"), folder=folder),
        job("last", needs=("cell",), folder=folder),
        job("other", folder=folder),
    ]
    ended = outcomes(executor, jobs)
    assert {name for name, outcome in ended.items() if outcome.ok} == {"other"}
    assert ended["cell"].reason == "needs job stage, which failed: ValueError: two lines"
    assert ended["last"].reason == f"needs job cell, which failed: {ended['cell'].reason}"
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_every_start_is_told_once(executor: Executor, tmp_path: Path) -> None:
    starts: list[str] = []
    jobs = [
        job("a", folder=str(tmp_path)),
        job("b", "fail"),
        job("c", needs=("b",), folder=str(tmp_path)),
        job("d", folder=str(tmp_path)),
    ]
    list(executor.run(jobs, lambda one: starts.append(one.id)))
    assert starts == ["a", "b", "d"]


@pytest.mark.parametrize(
    ("jobs", "message"),
    [
        ([job("a", "fail"), job("b", needs=("z",))], "b needs 'z'"),
        ([job("z", "fail"), job("a", needs=("b",)), job("b", needs=("a",))], "cycle"),
        ([job("a", "fail"), job("a")], "each id once"),
    ],
    ids=["unknown need", "cycle", "repeated id"],
)
def test_a_wrong_graph_is_refused_at_once(executor: Executor, jobs: list[Job], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        executor.run(jobs)  # not even asked for an outcome


def test_leaving_early_starts_no_more(executor: Executor, tmp_path: Path) -> None:
    jobs = [job("a", "fail"), *(job(f"b{number}", needs=("a",), folder=str(tmp_path)) for number in range(3))]
    for outcome in executor.run([*jobs, job("c", needs=("b0",), folder=str(tmp_path))]):
        assert outcome.job.id == "a"
        break
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".hidden", "a b", "x" * 201])
def test_an_id_is_a_safe_file_name(name: str) -> None:
    with pytest.raises(ValueError, match="id: expected"):
        job(name)


@pytest.mark.parametrize("value", [Path("x"), float("nan"), {1, 2}])
def test_a_payload_is_json(value: object) -> None:
    with pytest.raises(ValueError, match="payload of a: expected JSON values"):
        job("a", value=value)


def test_choose() -> None:
    alone = choose(1, 8)
    assert isinstance(alone, InProcess)
    assert alone.threads == 8
    several = choose(3, 8)
    assert isinstance(several, LocalProcesses)
    assert (several.workers, several.threads, several.all_threads) == (3, 2, 8)
    crowded = choose(4, 2)
    assert isinstance(crowded, LocalProcesses)
    assert (crowded.threads, crowded.all_threads) == (1, 2)
    with pytest.raises(RequestError, match="jobs: expected at least 1, got 0"):
        choose(0, 8)


def test_available_threads_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5,2")
    assert available_threads() == 5
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    unset = available_threads()
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert available_threads() == unset >= 1
