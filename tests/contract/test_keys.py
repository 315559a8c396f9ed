"""What names a stage's output: everything that it depends on, and no more than one stage shares."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.chain import Chain
from bench.dotted import flat
from methods import METHODS
from methods.stages.start import start_stage
from tests.bench import short
from tests.contract.runs import ANALYTIC, GRAPHS, IMAGES, TEXT, output, pairs, planned, same, train

on_all = pytest.mark.parametrize(("name", "task"), pairs(ANALYTIC, IMAGES, TEXT, GRAPHS))
on_vectors = pytest.mark.parametrize(("name", "task"), pairs(ANALYTIC))
on_images = pytest.mark.parametrize(("name", "task"), pairs(IMAGES))


@on_all
def test_keys_are_json_and_name_no_path(name: str, task: str, bench_home: Path) -> None:
    for link in planned(name, task).links:
        key = link.stage.key(link.spec)
        text = json.dumps(key, allow_nan=False)
        assert json.loads(text) == key
        assert not [value for value in strings(key) if "/" in value or "\\" in value]
        assert str(bench_home) not in text


@on_all
def test_another_seed_has_another_key(name: str, task: str) -> None:
    base, other = planned(name, task), planned(name, task, 1)
    for mine, theirs in zip(base.links, other.links, strict=True):
        if mine.spec.seed == base.cell.seed and mine.spec != theirs.spec:
            assert mine.stage.key(mine.spec) != theirs.stage.key(theirs.spec)


def numbers(cell: Chain) -> dict[str, float]:
    """Every number of the settings about training, by its dotted key."""
    values = cell.resolved.settings.model_dump(mode="json", exclude={"labels", "corpus", "image", "text", "graph"})
    if cell.method.section:
        values[cell.method.section] = values.pop("method")
    values |= values.pop("others")
    found = flat(values).items()
    return {key: value for key, value in found if isinstance(value, (int, float)) and not isinstance(value, bool)}


@on_vectors
def test_a_number_that_changes_the_bits_changes_the_key(name: str, task: str) -> None:
    """Of a stage and of all that follow it; and what has another key is not taken for the same."""
    base, moved = planned(name, task), set[int]()
    for key, value in numbers(base).items():
        other = value + 1 if isinstance(value, int) else 0.9 * value or 0.01
        changed = planned(name, task, 0, f"{key}={other}")
        kept = [mine.digest == theirs.digest for mine, theirs in zip(base.links, changed.links, strict=True)]
        assert kept == sorted(kept, reverse=True), f"{key}: a key does not follow from those before it"
        for position, still in enumerate(kept):
            if still:
                assert same(train(changed, position), output(base, position)), f"{key} is in no key"
        moved |= {kept.index(False)} if not all(kept) else set()
    assert {0, len(base.links) - 1} <= moved, "the start and the last stage have numbers of their own"


@on_images
def test_shared_stages_have_one_key_for_all_tasks_and_own_stages_one_each(name: str, task: str) -> None:
    rings, logp = planned(name, task), planned(name, "demo:logp")
    assert [link.stage.name for link in rings.links] == [link.stage.name for link in logp.links]
    for mine, theirs in zip(rings.links, logp.links, strict=True):
        keys = mine.stage.key(mine.spec), theirs.stage.key(theirs.spec)
        assert (mine.digest == theirs.digest) == mine.stage.shared
        if mine.stage.shared:
            assert keys[0] == keys[1]
    assert rings.links[0].stage.shared, "the general-domain start"
    assert not rings.links[-1].stage.shared, "the stage that sees labels"


def test_a_shared_stage_gives_the_same_bits_from_whichever_task_it_is_trained() -> None:
    done = set[str]()
    for parameters in pairs(IMAGES):
        if METHODS.get(name := str(parameters.values[0])).missing:
            continue
        rings, logp = planned(name, IMAGES), planned(name, "demo:logp")
        for position, link in enumerate(rings.links):
            if link.stage.shared and link.digest not in done:
                done.add(link.digest)
                assert same(train(logp, position), output(rings, position)), f"{name}: {link.stage.name}"
    assert len(done) > 2


def test_a_start_from_a_file_is_named_by_its_content(tmp_path: Path) -> None:
    spec = short.built("finetune").spec
    keys = []
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
        settings = short.rules("start.kind=checkpoint", f"start.checkpoint={tmp_path / name}")
        resolved = settings.resolve(METHODS.get("finetune"), spec.task, spec.backbone).settings
        keys.append(start_stage(resolved.start).key(spec))
    assert keys[0] == keys[1] != keys[2]
    assert not [value for value in strings(keys[0]) if "/" in value]


def strings(value: Any) -> Iterator[str]:
    """Every text inside a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (*strings(key), *strings(inner))
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from strings(inner)
