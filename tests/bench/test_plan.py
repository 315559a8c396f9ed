"""The plan: seeds, pairs, shared stages once, hours, and the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import plan as planning
from bench.errors import RequestError
from bench.plan import Plan
from bench.protocol import Protocol, parse
from bench.protocol_files import load
from bench.records import Failure, Record, Scan
from methods import METHODS
from tasks import BACKBONES
from tasks.catalogue import expand, get
from tests.bench.commandline import SMALL, TINY, bench

MOLECULES = "demo:rings,demo:logp"


@pytest.fixture(scope="module")
def rules(bench_home: Path) -> Protocol:
    """The tiny protocol, with the demo prepared for it."""
    done = bench("prepare", "--tasks", MOLECULES, "--protocol", "smoke", *SMALL)
    assert done.code == 0, done.err
    return load("smoke", [f"{key}={value}" for key, value in TINY.items()])


def make(rules: Protocol, found: Scan | None = None, methods: str = "cp,finetune", seeds: str = "20-21") -> Plan:
    fitting, skipped = planning.pairs(methods.split(","), expand(MOLECULES))
    return planning.make(fitting, skipped, planning.parse_seeds(seeds), rules, found or Scan())


def record(plan: Plan, number: int, seconds: float) -> Record:
    return Record(
        **plan.cells[number].cell.model_dump(), metric="roc_auc", higher_is_better=True, marks=False,
        scores={"best": {"test": {"roc_auc": 0.5}}}, primary="best",
        chosen_step=1, seconds={"finetune": seconds / 2, "score": seconds / 2}, shared_seconds={},
        peak_memory_bytes=1, examples_per_second=1.0, settings={}, data={}, provenance={},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("4294967295", [2**32 - 1]),
        ("0-4", [0, 1, 2, 3, 4]),
        ("7", [7]),
        ("3-3", [3]),
        ("0,2,5", [0, 2, 5]),
        ("4, 0-1 ,0", [4, 0, 1]),
    ],
)
def test_seeds(text: str, seeds: list[int]) -> None:
    assert planning.parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "a", "4-0", "-1", "1-", "0--2", "1,,2", "1.5", "0-4-8", "²"])
def test_what_is_no_range_of_seeds(text: str) -> None:
    with pytest.raises(RequestError, match=r"^--seeds: expected seeds such as 0-4 or 0,2,5, got "):
        planning.parse_seeds(text)


@pytest.mark.parametrize("text", ["4294967296", "0-4294967296", "0-10000", "0-9999,10000", "1-4294967295"])
def test_too_many_seeds_are_refused_before_they_are_counted_out(text: str) -> None:
    with pytest.raises(RequestError, match=r"^--seeds: expected (seeds up to 4294967295|at most 10000 seeds), got "):
        planning.parse_seeds(text)
    assert len(planning.parse_seeds("0-9999")) == 10_000


def test_methods_keep_their_order_and_lose_repeats() -> None:
    assert planning.parse_methods("tapweight, cp,tapweight,") == ["tapweight", "cp"]


def test_the_name_of_a_method_means_that_method_alone() -> None:
    assert [planning.parse_methods(name) for name in METHODS.names()] == [[name] for name in METHODS.names()]


def test_pairs_that_do_not_fit_are_skipped_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    image = BACKBONES.get("resnet18")
    monkeypatch.setitem(BACKBONES._entries, "roberta", replace(image, name="roberta", inputs="text"))
    reader = replace(METHODS.get("cp"), name="reader", backbones=("roberta",))
    monkeypatch.setitem(METHODS._entries, "reader", reader)
    monkeypatch.setitem(METHODS._entries, "both", replace(reader, name="both", backbones=("roberta", "resnet18")))
    fitting, skipped = planning.pairs(["reader", "both"], expand(MOLECULES))
    assert [(name, task.id, backbone) for name, task, backbone in fitting] == [
        ("both", "demo:rings", "resnet18"),
        ("both", "demo:logp", "resnet18"),
    ]
    assert [(entry["method"], entry["task"]) for entry in skipped] == [
        ("reader", "demo:rings"),
        ("reader", "demo:logp"),
    ]
    assert skipped[0]["reason"] == "reader has no backbone that reads molecules (it runs on roberta)"
    with pytest.raises(RequestError, match="nothing to run: reader has no backbone"):
        planning.pairs(["reader"], expand(MOLECULES))


def test_cells_are_sorted_by_what_the_folder_holds(rules: Protocol) -> None:
    plan = make(rules)
    assert len({cell.cell.identity for cell in plan.cells}) == len(plan.cells) == len(plan.todo) == 8
    failure = Failure(**plan.cells[1].cell.model_dump(), reason="r", traceback="t", attempts=1, finished="now")
    found = Scan(records=[record(plan, 0, 1.0)], failures=[failure])
    again = make(rules, found)
    assert [len(again.done), len(again.todo), len(again.passed_over)] == [1, 7, 0]
    fitting, skipped = planning.pairs(["cp", "finetune"], expand(MOLECULES))
    retried = planning.make(fitting, skipped, [20, 21], rules, found, retry_failed=True)
    assert [len(retried.done), len(retried.todo), len(retried.passed_over)] == [1, 1, 6]
    assert retried.todo[0].cell == plan.cells[1].cell


def test_shared_stages_are_trained_once_before_the_cells_that_need_them(rules: Protocol) -> None:
    elsewhere = load("smoke", [f"{k}={v}" for k, v in (TINY | {"start.seed": "91"}).items()])
    plan = make(elsewhere)
    jobs = planning.jobs(plan, elsewhere, Path("out"), "cpu")
    named = {job.id: job for job in jobs}
    assert [job.title for job in jobs[:3]] == [
        "start (shared, seed 91)",
        "continued (shared, seed 20)",
        "continued (shared, seed 21)",
    ]
    start, *continued = jobs[:3]
    assert (start.needs, start.alone) == ((), True)
    assert all(job.needs == (start.id,) and not job.alone for job in continued)
    cells = jobs[3:]
    assert len(cells) == 8
    for job in cells:
        (need,) = job.needs
        expected = start if "finetune" in job.title else continued[job.payload["cell"]["seed"] - 20]
        assert named[need] == expected
    # A worker has the payload alone, and must come to the same cell.
    copy = parse(json.loads(json.dumps(cells[0].payload["protocol"])), "smoke")
    assert make(copy).todo[0].cell == plan.todo[0].cell


def test_hours_come_from_the_nearest_records(rules: Protocol) -> None:
    plan = make(rules, methods="cp", seeds="20")  # cp on rings and on logp
    other = make(rules, methods="finetune", seeds="20")
    assert planning.hours(plan, []) is None
    assert planning.hours(plan, [record(other, 0, 3600.0)]) == pytest.approx(2.0)  # of another method
    on_rings = record(plan, 0, 1800.0)
    assert planning.hours(plan, [record(other, 0, 3600.0), on_rings]) == pytest.approx(1.0)  # of the method
    both = [on_rings, record(plan, 0, 900.0), record(plan, 1, 360.0)]
    assert planning.hours(plan, both) == pytest.approx((1350 + 360) / 3600)  # of method and task, their mean


def test_the_file_is_the_union_of_requests(rules: Protocol, tmp_path: Path) -> None:
    assert planning.read(tmp_path) is None
    for methods, seeds in (("cp", "20"), ("finetune", "21"), ("cp", "20")):
        plan = make(rules, methods=methods, seeds=seeds)
        plan.skipped = [{"method": "reader", "task": "demo:rings", "reason": f"for {methods}"}]
        request = {"methods": [methods], "tasks": ["demo:rings", "demo:logp"], "seeds": planning.parse_seeds(seeds)}
        planning.save(plan, tmp_path, request)
    found = planning.read(tmp_path)
    assert found is not None
    assert (found["methods"], found["seeds"]) == (["cp", "finetune"], [20, 21])
    assert [(cell["method"], cell["task"], cell["seed"]) for cell in found["cells"]] == [
        ("cp", "demo:rings", 20),
        ("cp", "demo:logp", 20),
        ("finetune", "demo:rings", 21),
        ("finetune", "demo:logp", 21),
    ]
    assert found["skipped"] == [{"method": "reader", "task": "demo:rings", "reason": "for cp"}]
    other = load("smoke", [f"{k}={v}" for k, v in (TINY | {"finetune.batch": "8"}).items()])
    planning.save(make(other, methods="cp", seeds="20"), tmp_path, {"methods": [], "tasks": [], "seeds": []})
    newest = planning.read(tmp_path)
    assert newest is not None
    assert [cell["identity"] for cell in newest["cells"][:2]] != [cell["identity"] for cell in found["cells"][:2]]
    assert newest["cells"][2:] == found["cells"][2:]


def test_identities_depend_on_what_matters_alone(rules: Protocol) -> None:
    def identity(**changes: str) -> str:
        values = TINY | {key.replace("__", "."): value for key, value in changes.items()}
        changed = load("smoke", [f"{key}={value}" for key, value in values.items()])
        return make(changed, methods="finetune", seeds="20").cells[0].cell.identity

    base = identity()
    assert identity(tapweight__rate="5") == base  # another method's
    assert identity(continued__steps="9") == base  # a stage that it does not have
    assert identity(finetune__epochs="2") != base
    assert identity(start__steps="3") != base


@pytest.mark.parametrize("content", ["{", "[]", "3", '{"cells": []}', '{"cells": 3}', "[" * 100_000])
def test_a_damaged_file_is_not_read(tmp_path: Path, content: str) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(ValueError):
        planning.read(tmp_path)


ENTRY = {"protocol": "p", "method": "m", "task": "t", "backbone": "b", "seed": 0, "identity": "i", "control_of": None}
SOUND = {
    "cells": [ENTRY], "methods": ["m"], "tasks": ["t"], "seeds": [0],
    "skipped": [{"method": "m", "task": "t", "reason": "r"}],
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"cells": [ENTRY | {"method": ["x"]}]},
        {"cells": [ENTRY | {"task": 5}]},
        {"cells": [ENTRY | {"seed": "0"}]},
        {"cells": [ENTRY | {"identity": None}]},
        {"cells": [ENTRY | {"control_of": ["x"]}]},
        {"methods": [["m"]]},
        {"tasks": [None]},
        {"seeds": [[1]]},
        {"skipped": [{"method": "m", "task": {}, "reason": "r"}]},
    ],
)
def test_entries_of_other_types_are_damage(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(SOUND))
    assert planning.read(tmp_path) == SOUND
    path.write_text(json.dumps(SOUND | change))
    with pytest.raises(ValueError, match="of another shape"):
        planning.read(tmp_path)


def test_a_folder_in_its_place_is_damage(tmp_path: Path) -> None:
    (tmp_path / "plan.json").mkdir()
    with pytest.raises(ValueError):
        planning.read(tmp_path)


def test_backbones_are_chosen_by_name_by_the_task_or_by_the_method() -> None:
    image, graph = get("demo:rings"), get("demo:rings-graph")
    assert [pair[2] for pair in planning.pairs(["cp"], [image, graph])[0]] == ["resnet18", "gin"]
    both = planning.parse_backbones("gin, resnet18,gin")
    assert both == ["gin", "resnet18"]
    assert [pair[2] for pair in planning.pairs(["cp"], [image], both)[0]] == ["gin", "resnet18"]
    fitting, skipped = planning.pairs(["cp", "attrmask"], [image], ["resnet18"])
    assert [pair[0] for pair in fitting] == ["cp"]
    assert skipped[0]["reason"] == "attrmask has no resnet18 that reads molecules (it runs on gin)"
    with pytest.raises(RequestError, match=r"--backbone: .gln. is not known; .*gin"):
        planning.parse_backbones("gln")


def test_a_backbone_from_elsewhere_runs_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    own = replace(BACKBONES.get("gin"), name="own")
    monkeypatch.setitem(BACKBONES._entries, "own", own)
    task = get("demo:rings")
    assert [pair[2] for pair in planning.pairs(["cp"], [task], ["own"])[0]] == ["own"]
    assert [pair[2] for pair in planning.pairs(["cp"], [task])[0]] == ["resnet18"]


def test_one_backbone_is_usual_for_each_kind_of_inputs() -> None:
    entries = [BACKBONES.get(name) for name in BACKBONES.names()]
    assert sorted(entry.inputs for entry in entries if entry.usual) == sorted({entry.inputs for entry in entries})
