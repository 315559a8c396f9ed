"""Protocols: every value is checked, in every cell, and says where it comes from."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bench.chain import backbone_for
from bench.commands.catalogue import describe
from bench.dotted import flat, nested
from bench.errors import RequestError
from bench.protocol import Protocol, Resolved, parse
from bench.protocol_files import load
from methods import METHODS
from methods.settings import COMPLETE, TriLevelSettings
from tasks.catalogue import get, suites

TASKS = [task for suite in suites().values() for task in suite.tasks]
NAMES = st.text("abc_", min_size=1, max_size=4)
LEAVES = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers())
SECTIONS: st.SearchStrategy[Any] = st.recursive(
    st.dictionaries(NAMES, LEAVES, min_size=1, max_size=3),
    lambda inner: st.dictionaries(NAMES, inner | LEAVES, min_size=1, max_size=3),
    max_leaves=8,
)


def resolve(rules: Protocol, method: str = "tapweight", task: str = "bace") -> Resolved:
    return rules.resolve(METHODS.get(method), get(task), "resnet18")


def written(folder: Path, text: str, name: str = "mine.yaml") -> str:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return str(path)


@given(SECTIONS)
def test_nested_and_flat_are_inverse(sections: dict[str, Any]) -> None:
    dotted = flat(sections)
    assert nested(dotted) == sections
    assert not any(isinstance(value, dict) for value in dotted.values())


def test_shares_are_one_value() -> None:
    assert flat({"corpus": {"shares": {"zinc": 1.0}}}) == {"corpus.shares": {"zinc": 1.0}}


@pytest.mark.parametrize("name", ["paper", "small", "smoke"])
def test_built_in_protocols_fit_every_cell(name: str) -> None:
    rules = load(name)
    assert rules.name == name
    assert rules.marks == (name != "smoke")
    for method in map(METHODS.get, METHODS.names()):
        for task in TASKS:
            backbone = backbone_for(method, task)
            if backbone is None:
                assert method.backbones, "only a method that names its own runs on some"
                continue
            resolved = rules.resolve(method, task, backbone)
            sections = {*type(resolved.settings).model_fields, method.section, *resolved.settings.others}
            # Every value of the protocol that this method reads has an origin, and no other has.
            keys = {key for key in flat(rules.defaults) if key.split(".")[0] in sections}
            assert keys <= set(resolved.origins)
            assert all(key.split(".")[0] in sections for key in resolved.origins)
            assert sum(resolved.settings.corpus.shares.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", ["paper", "small", "smoke"])
def test_every_key_of_the_built_in_protocols_is_checked(name: str) -> None:
    content = load(name).content()
    for key in flat(content["defaults"]):
        *sections, leaf = key.split(".")
        wrong = nested(flat(content["defaults"]))
        inner = wrong
        for section in sections:
            inner = inner[section]
        inner[leaf + "x"] = inner.pop(leaf)
        with pytest.raises(RequestError, match=rf"'{key}x[a-z.]*' is not known"):
            parse(content | {"defaults": wrong}, name)


def test_the_last_override_wins_and_set_wins_over_all() -> None:
    rules = load("paper")
    rate = lambda task, *sets: resolve(load("paper", sets), task=task)  # noqa: E731
    assert rules.overrides[0].describe() == "kind regression"
    for task, value, origin in [
        ("bace", 0.4, "paper: defaults"),
        ("esol", 2e-3, "paper: kind regression"),
        ("qm7", 2e-4, "paper: task moleculenet:qm7|moleculenet:qm9"),
    ]:
        resolved = rate(task)
        assert isinstance(resolved.settings.method, TriLevelSettings)
        assert resolved.settings.method.rate == value
        assert resolved.origins["tapweight.rate"] == origin
    resolved = rate("qm7", "tapweight.rate=7", "tapweight.rate=8")
    assert isinstance(resolved.settings.method, TriLevelSettings)
    assert resolved.settings.method.rate == 8
    assert resolved.origins["tapweight.rate"] == "--set"
    assert resolve(rules, task="qm9").settings.continued.steps == 30000  # three overrides name it


def test_what_a_method_fixes_is_said_to_come_from_it() -> None:
    resolved = resolve(load("small", ["tapweight.unroll_one=9"]), "tapweight-as-released")
    assert isinstance(resolved.settings.method, TriLevelSettings)
    assert resolved.settings.method.unroll_one == 1
    assert resolved.origins["tapweight.unroll_one"] == "fixed by tapweight-as-released"
    assert resolved.origins["tapweight.unroll_two"] == "small: defaults"  # which has the same value
    other = resolve(load("small", ["tapweight.unroll_one=9"]), "tapweight")
    assert other.origins["tapweight.unroll_one"] == "--set"


def test_a_method_sees_its_own_section_alone() -> None:
    rules = load("small")
    assert resolve(rules, "finetune").settings.method is None
    assert not any(key.startswith("tapweight") for key in resolve(rules, "cp").origins)
    assert "tapweight.gamma" in resolve(rules, "tapweight-null").origins


def test_a_base_file_holds_only_what_differs(tmp_path: Path) -> None:
    written(
        tmp_path,
        """
        name: middle
        base: small
        defaults: {finetune: {epochs: 3}}
        overrides: [{for: {method: cp}, set: {finetune.epochs: 4}}]
        """,
        "middle.yaml",
    )
    path = written(
        tmp_path,
        """
        name: mine
        base: middle.yaml
        about: shorter
        defaults: {finetune: {patience: 1}}
        overrides: [{for: {task: [demo:rings]}, set: {finetune.epochs: 5}}]
        """,
    )
    rules, small = load(path), load("small")
    assert (rules.name, rules.about, rules.marks) == ("mine", "shorter", True)
    differ = {key: value for key, value in flat(rules.defaults).items() if flat(small.defaults)[key] != value}
    assert differ == {"finetune.epochs": 3, "finetune.patience": 1}
    assert [o.describe() for o in rules.overrides[len(small.overrides) :]] == ["method cp", "task demo:rings"]
    assert resolve(rules, "cp", "demo:rings").settings.finetune.epochs == 5
    assert resolve(rules, "cp", "bace").settings.finetune.epochs == 4
    assert resolve(rules, "finetune", "esol").settings.finetune.epochs == 25  # the base's own override
    assert resolve(rules, "cp", "bace").origins["finetune.epochs"] == "mine: method cp"


def test_a_job_gets_the_same_protocol(tmp_path: Path) -> None:
    path = written(tmp_path, "name: mine\nbase: paper\ndefaults: {continued: {steps: 5}}")
    rules = load(path, ["tapweight.unroll_one=3"])
    assert parse(rules.content(), "mine") == rules


HEAD = "name: mine\nbase: small\n"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("name: mine\nabout: x\nmarks: true\n", ["defaults: Field required"]),
        (HEAD + "default: {}", ["'default' is not known; did you mean defaults"]),
        (HEAD + "marks: 1", ["marks", "boolean, got 1"]),
        (HEAD + "about: 3", ["about", "string, got 3"]),
        ("base: small", ["name: expected a name of its own, got None"]),
        ("name: small\nbase: small", ["name: expected a name of its own, got 'small'"]),
        ("name: a/b\nbase: small", ["name", "'a/b'"]),
        ("name: mine\nbase: smal", ["mine.yaml: base: 'smal' is not known; did you mean small"]),
        (HEAD + "overrides:\n  - for: {modality: image}", ["mine.yaml: overrides.0.set: Field required"]),
        ("name: mine\nbase: mine.yaml", ["expected a base that does not lead back to it"]),
        ("name: mine\nbase: 3", ["expected base: a name"]),
        ("name: mine\nbase: absent.yaml", ["'absent.yaml' is not known"]),
        (HEAD + "defaults: {finetne: {epochs: 3}}", ["'finetne.epochs' is not known; did you mean finetune.epochs"]),
        (HEAD + "defaults: {finetune: {epoch: 3}}", ["'finetune.epoch' is not known; did you mean finetune.epochs"]),
        (HEAD + "defaults: {finetune: 3}", ["'finetune' is not known"]),
        (HEAD + "defaults: {finetune: {epochs: {a: 1}}}", ["'finetune.epochs.a' is not known"]),
        (HEAD + "defaults: [1]", ["defaults: a mapping"]),
        (HEAD + "defaults: {finetune: {optimiser: {lr: .nan}}}", ["finetune.optimiser.lr: expected a finite number"]),
        (HEAD + "defaults: {finetune: {epochs: 2024-01-01}}", ["finetune.epochs: expected a finite number"]),
        (HEAD + "overrides: {a: 1}", ["overrides: a list"]),
        (HEAD + "overrides: [3]", ["overrides", "got 3"]),
        (HEAD + "overrides: [{for: {kind: regression}}]", ["set: Field required"]),
        (HEAD + "overrides: [{for: {knd: regression}, set: {}}]", ["'knd' is not known; did you mean kind"]),
        (HEAD + "overrides: [{for: {kind: regresion}, set: {}}]", ["'regresion' is not known; did you mean reg"]),
        (HEAD + "overrides: [{for: {task: bace}, set: {}}]", ["'bace' is not known; known: analytic:isotropic"]),
        (HEAD + "overrides: [{for: {task: 3}, set: {}}]", ["overrides", "got 3"]),
        (HEAD + "overrides: [{for: {kind: regression}, set: {finetune.epoch: 3}}]", ["did you mean finetune.epochs"]),
        ("- 1", ["expected a mapping, got list"]),
        ("a: [", ["expected YAML"]),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = written(tmp_path, text)
    with pytest.raises(RequestError) as error:
        load(path)
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("text", "method", "message"),
    [
        ("defaults: {finetune: {epochs: 0}}", "cp", "protocol mine: defaults: finetune.epochs: "),
        ("defaults: {tapweight: {unroll_one: 0}}", "tapweight", "protocol mine: defaults: tapweight.unroll_one: "),
        ("defaults: {corpus: {shares: {zinc: 0.9}}}", "cp", "protocol mine: defaults: corpus.shares: expected shares"),
        (
            "overrides: [{for: {method: cp}, set: {finetune.batch: two}}]",
            "cp",
            "protocol mine: method cp: finetune.batch: Input should be a valid integer",
        ),
        ("defaults: {start: {kind: pretrained}}", "cp", "protocol mine: defaults: start.kind: "),
    ],
)
def test_a_wrong_value_names_what_set_it(tmp_path: Path, text: str, method: str, message: str) -> None:
    rules = load(written(tmp_path, HEAD + text))
    with pytest.raises(RequestError) as error:
        resolve(rules, method)
    assert str(error.value).startswith(message)


def test_a_missing_value_is_named(tmp_path: Path) -> None:
    content = load("small").content()
    del content["defaults"]["finetune"]["epochs"]
    content["name"] = "mine"
    del content["assignments"]
    rules = load(written(tmp_path, yaml.safe_dump(content)))
    with pytest.raises(RequestError, match=r"^protocol mine: finetune.epochs: Field required$"):
        resolve(rules)


def test_show_prints_every_value_with_its_origin() -> None:
    lines = describe(["protocol", "paper"], "tapweight", "qm7", ["finetune.batch=7"]).splitlines()[2:]
    shown = {line.split()[0]: line for line in lines}
    resolved = resolve(load("paper", ["finetune.batch=7"]), task="qm7")
    values = resolved.settings.model_dump(mode="json", context=COMPLETE)
    values["tapweight"] = values.pop("method")
    del values["text"], values["graph"]  # of other encoders than the cell's
    assert set(shown) == set(flat(values))
    for key, value in flat(values).items():
        assert ("none" if value is None else str(value)) in shown[key]
        assert shown[key].endswith(resolved.origins.get(key, "default of the code"))
    assert shown["finetune.batch"].endswith("--set")
    assert shown["tapweight.rate"].endswith("paper: task moleculenet:qm7|moleculenet:qm9")
    assert shown["start.steps"].endswith("default of the code")
