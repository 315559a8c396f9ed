"""Profiles: what the files may say, and one line for everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import RequestError
from slurm import profile as profiles
from slurm.profile import Profile, load, names


@pytest.mark.parametrize("name", names())
def test_the_built_in_ones_load(name: str) -> None:
    assert load(name).about


def test_a100_shows_every_key_with_a_comment() -> None:
    text = (profiles.FOLDER / "a100.yaml").read_text()
    shown = {line.partition(":")[0]: line for line in text.splitlines() if line[0] not in " #"}
    assert shown.keys() == Profile.model_fields.keys()
    assert all(" # " in line for key, line in shown.items() if key != "about")
    assert load("a100").wckey == ""


def test_assignments_come_last() -> None:
    changes = ["time_minutes=60", "partition=gpu", "account=1234", "extra.reservation=friday", "setup=[module load x]"]
    found = load("a100", [*changes, "extra.exclusive=true"], pack="3")
    assert (found.time_minutes, found.partition, found.account, found.pack) == (60, "gpu", "1234", 3)
    assert found.extra == {"reservation": "friday", "exclusive": True}
    assert found.setup == ("module load x",)
    assert load("a100", pack="auto").pack == "auto"


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("cpus: 2\nmemory_gb: 3.5\ntime_minutes: 60\nworkers: 7\nextra: {gres: gpu:a100:1, nice: 5}\n")
    found = load(str(path))
    assert (found.cpus, found.memory_gb, found.workers, found.gpus) == (2, 3.5, 7, 0)
    assert found.extra == {"gres": "gpu:a100:1", "nice": "5"}


@pytest.mark.parametrize(
    ("assignment", "parts"),
    [
        ("time_minute=3", ["--slurm-set: 'time_minute'", "did you mean time_minutes"]),
        ("cpus", ["--slurm-set: expected KEY=VALUE, got 'cpus'"]),
        ("cpus=0", ["--slurm-set: cpus:", "greater than or equal to 1, got 0"]),
        ("gpus=one", ["--slurm-set: gpus:", "integer", "got 'one'"]),
        ("workers=0", ["--slurm-set: workers:", "got 0"]),
        ("pack=0", ["--slurm-set: pack: expected a number of cells, or auto, got 0"]),
        ("pack=true", ["--slurm-set: pack: expected a number of cells, or auto, got True"]),
        ("pack=9", ["--slurm-set: pack: expected at most one cell a CPU (cpus = 8), got 9"]),
        ("cpus=[", ["--slurm-set: expected a YAML value for cpus"]),
        ("extra.array=3", ["--slurm-set: extra: 'array' is set by each submission"]),
        ("extra.time=3", ["--slurm-set: extra: 'time' is the profile's time_minutes"]),
        ("extra.cpus_per_task=3", ["--slurm-set: extra: 'cpus_per_task' is the profile's cpus"]),
        ("extra.--nice=3", ["--slurm-set: extra:", "without dashes"]),
        ("extra.nice=[1]", ["--slurm-set: extra.nice:", "got [1]"]),
        ("extra=3", ["--slurm-set: extra:", "got 3"]),
        ("partition=", ["--slurm-set: partition:"]),
    ],
)
def test_wrong_assignments(assignment: str, parts: list[str]) -> None:
    if assignment == "partition=":
        assert load("a100", [assignment]).partition is None  # YAML: nothing is null
        return
    with pytest.raises(RequestError) as error:
        load("a100", [assignment])
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(("minutes", "signal"), [(0, 120), (3, 120), (7, 301), (1, 30)])
def test_a_time_in_which_no_job_could_save_is_refused_with_the_reason(minutes: int, signal: int) -> None:
    with pytest.raises(RequestError, match="time_minutes: ") as error:
        load("a100", [f"time_minutes={minutes}", f"signal_seconds={signal}"])
    if minutes:
        assert "Slurm may send it 60 s early" in str(error.value)


def test_the_least_time_is_enough() -> None:
    found = load("a100", ["time_minutes=8", "signal_seconds=301"])
    assert found.least_minutes == 8  # 301 + 120 s
    assert load("a100", ["time_minutes=4"]).least_minutes == 4


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a10", None, "--slurm: 'a10' is not known; did you mean a100?"),
        ("absent.yaml", None, "--slurm: 'absent.yaml' is not known"),
        ("../profiles/a100", None, "is not known"),
        ("mine.yaml", "- 1", "expected a mapping, got list"),
        ("mine.yaml", "a: [", "expected YAML"),
        ("mine.yaml", "cpus: 1\nmemory_gb: 1\ntime_minutes: 60", "profile mine.yaml: workers: Field required"),
        ("mine.yaml", "cpus: 1\nmemory_gb: 1\ntime_minutes: 60\nworkers: 1\nmem: 3", "profile mine.yaml: 'mem'"),
    ],
)
def test_what_is_no_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str | None, part: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name).write_text(content)
    with pytest.raises(RequestError) as error:
        load(name)
    assert part in str(error.value)


def test_a_wrong_pack_names_its_option() -> None:
    with pytest.raises(RequestError, match=r"^--pack: expected a number of cells, or auto, got 'many'"):
        load("a100", pack="many")
    with pytest.raises(RequestError, match=r"^--pack: expected at most one cell a CPU"):
        load("a100", pack="64")
