"""Lists and descriptions."""

from __future__ import annotations

import re

import pytest

from bench.commands.catalogue import describe, listing
from bench.errors import RequestError
from methods import METHODS
from tasks.catalogue import suites


def first_column(table: str) -> list[str]:
    return [line.split()[0] for line in table.splitlines()[2:]]


def test_lists_name_everything() -> None:
    assert first_column(listing("methods")) == METHODS.names()
    assert first_column(listing("suites")) == list(suites())
    assert first_column(listing("protocols")) == ["paper", "small", "smoke"]
    assert first_column(listing("tasks")) == [task.id for suite in suites().values() for task in suite.tasks]


def test_a_method_says_what_is_published_and_what_is_ours() -> None:
    text = describe(["tapweight"], None, None, [])
    assert "arXiv 2410.10006" in text
    assert "image, text" in text
    null = describe(["method", "tapweight-null"], None, None, [])
    assert "none of these modalities" in null


@pytest.mark.parametrize(
    ("words", "options", "expected"),
    [
        (["protocol"], {}, "show: expected protocol NAME, got no name"),
        (["small"], {"method": "cp", "task": "moleculenet"}, "'moleculenet' is a suite; expected one of its tasks"),
        (["small"], {"method": "cp", "task": "bace", "backbone": "gin,resnet18"}, "--backbone: expected one with show"),
    ],
)
def test_show_says_what_is_missing_or_too_much(words: list[str], options: dict[str, str], expected: str) -> None:
    with pytest.raises(RequestError, match=expected):
        describe(words, options.get("method"), options.get("task"), [], options.get("backbone"))


def test_a_task_is_found_by_its_short_name() -> None:
    assert describe(["bace"], None, None, []) == describe(["task", "moleculenet:bace"], None, None, [])
    text = describe(["toxcast"], None, None, [])
    assert text.startswith("moleculenet:toxcast")
    assert "... 617 in all" in text
    assert "sha256" in text


def test_a_suite_lists_its_tasks() -> None:
    lines = describe(["demo"], None, None, []).splitlines()
    assert lines[0] == "demo: Demonstration"
    assert lines[2:4] == ["  demo:rings: Two rings or more", "  demo:logp: Crippen logP"]
    assert lines[4] == "  demo:rings-graph: Two rings or more, from the graph"
    assert lines[5:] == ["  demo:mood: Mood of the one who acts"]


def test_a_protocol_shows_defaults_and_overrides() -> None:
    text = describe(["small"], None, None, [])
    assert text == describe(["protocol", "small"], None, None, [])
    assert "  finetune.epochs = 12" in text
    assert "task moleculenet:esol\n  finetune.epochs = 25" in text


def test_set_changes_every_value_that_a_protocol_shows() -> None:
    text = describe(["small"], None, None, ["finetune.epochs=77"])
    epochs = [line.split()[-1] for line in text.splitlines() if line.startswith("  finetune.epochs = ")]
    assert len(epochs) > 1
    assert set(epochs) == {"77"}
    assert text.count("\n") == describe(["small"], None, None, []).count("\n")


def test_set_changes_what_a_cell_would_use() -> None:
    text = describe(["small"], "cp", "esol", ["continued.steps=7"])
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in text.splitlines()[2:]}
    assert rows["continued.steps"] == ["7", "--set"]
    assert rows["finetune.epochs"] == ["25", "small: task moleculenet:esol"]
    assert rows["finetune.batch"] == ["32", "small: defaults"]
    assert rows["continued.optimiser.warmup"] == ["0.0", "default of the code"]
    assert "method" not in rows
    assert {key.split(".")[0] for key in rows} & {"image", "text", "graph"} == {"image"}, "sections that the cell reads"


def test_a_method_that_cannot_run_on_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setitem(METHODS._entries, "none", replace(METHODS.get("cp"), name="none", backbones=("roberta",)))
    with pytest.raises(RequestError, match="none has no backbone that reads molecules"):
        describe(["small"], "none", "bace", [])


def test_show_of_a_text_task_names_its_classes_and_files() -> None:
    shown = describe(["glue:rte"], None, None, [])
    assert "entailment, not_entailment" in shown
    assert re.search(r"text\.subset +no", shown)
    assert re.search(r"text\.subset +yes", describe(["glue-subset:mnli"], None, None, []))
    assert "text.train.file" in shown
    assert "smiles" not in shown
    with pytest.raises(RequestError, match=r"'mnli' is in several suites; say glue-subset:mnli or glue:mnli"):
        describe(["mnli"], None, None, [])
