"""The token limit of a task's own texts and of its domain, which the corpus and what is shared do not depend on."""

from __future__ import annotations

from pathlib import Path

import pytest

from methods.stages.continued import Continued
from tasks.backbones.roberta import build, describe, prepare
from tasks.catalogue import get
from tasks.problem import Problem
from tests.bench import short
from tests.tasks.protocol import task_settings, text_settings

LONGER = ("text.document_tokens=30",)


def longest(problem: Problem, source: str) -> int:
    """Tokens of the longest padded batch of a few."""
    stream = problem.stream(source, 16, "p")  # type: ignore[arg-type]
    return max(stream.batch(step)["plain"].shape[1] for step in range(8))


def built(document_tokens: int | None, task: str = "demo:mood", mirror: str | None = None) -> Problem:
    settings = task_settings()
    text = text_settings(corpus_tokens=12, document_tokens=document_tokens)
    settings = settings.model_copy(update={"text": text})
    prepare([get(task)], settings, mirror=mirror, download=False, workers=1, say=lambda _: None)
    return build(describe(get(task), settings, 0), settings, "cpu")[0]


def test_a_task_s_own_texts_have_a_limit_of_their_own() -> None:
    assert [longest(built(None), source) for source in ("corpus", "task")] == [12, 12]
    assert longest(built(30), "corpus") == 12
    assert 12 < longest(built(30), "task") <= 30


@pytest.mark.data
def test_so_has_the_domain(mirror: Path) -> None:
    plain, longer = (built(limit, "tartan:acl-arc", str(mirror)) for limit in (None, 40))
    assert longest(plain, "domain") == longest(longer, "corpus") == 12
    assert longest(longer, "domain") == 40
    keys = [Continued(short.built("cp").resolved.settings.continued, source="domain").key(one.spec)
            for one in (plain, longer)]  # fmt: skip
    assert keys[0]["domain"] == {name: value for name, value in keys[1]["domain"].items() if name != "tokens"}
    assert keys[1]["domain"]["tokens"] == 40


def test_only_the_stage_that_reads_them_gets_another_key() -> None:
    base, longer = short.built("tapt", 0, "demo:mood"), short.built("tapt", 0, "demo:mood", LONGER)
    assert [link.stage.name for link in base.links] == ["start", "tapt", "finetune"]
    keys = [[link.stage.key(link.spec) for link in chain.links] for chain in (base, longer)]
    assert [mine == theirs for mine, theirs in zip(*keys, strict=True)] == [True, False, True]
    assert [a.digest == b.digest for a, b in zip(base.links, longer.links, strict=True)] == [True, False, False]
    for method in ("cp", "dapt", "tapweight"):  # the demo task has no domain: the corpus plays its part
        plain, same = short.built(method, 0, "demo:mood"), short.built(method, 0, "demo:mood", LONGER)
        assert plain.cell == same.cell
