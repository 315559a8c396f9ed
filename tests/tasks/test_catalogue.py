"""Suites and tasks by name; entries that are wrong are named with file, entry and field."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.errors import RequestError
from tasks import catalogue
from tasks.info import SuiteInfo

GOOD = """
name: mine
title: Mine
corpus: files
tasks:
  esol:
    title: Own ESOL
    kind: regression
    metric: rmse
    file: mine/esol.csv
    targets: [y]
    rows: 10
"""


class Point:
    """Stands for an entry point of another distribution."""

    def __init__(self, found: object) -> None:
        self.name, self.found = "theirs", found

    def load(self) -> object:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def plug(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Make the given objects appear as entry points."""

    def add(*found: object) -> None:
        points = [Point(each) for each in found]
        monkeypatch.setattr(catalogue, "entry_points", lambda group: points if group == "bench.suites" else [])
        catalogue.suites.cache_clear()

    yield add
    catalogue.suites.cache_clear()


def test_moleculenet_is_in_the_papers_order_with_the_papers_sizes() -> None:
    tasks = catalogue.suites()["moleculenet"].tasks
    # TapWeight (arXiv 2410.10006), Tables 1 and 2; MoleculeNet, Table 1.
    assert [(task.name, task.paper_rows, task.outputs) for task in tasks] == [
        ("bace", 1513, 1),
        ("bbbp", 2039, 1),
        ("clintox", 1478, 2),
        ("sider", 1427, 27),
        ("tox21", 7831, 12),
        ("toxcast", 8575, 617),
        ("hiv", 41127, 1),
        ("muv", 93087, 17),
        ("freesolv", 642, 1),
        ("esol", 1128, 1),
        ("lipophilicity", 4200, 1),
        ("qm7", 6830, 1),
        ("qm9", 133885, 3),
    ]
    assert [task.metric for task in tasks] == ["roc_auc"] * 8 + ["rmse"] * 3 + ["mae"] * 2


def test_every_difference_from_the_paper_is_explained() -> None:
    for task in catalogue.suites()["moleculenet"].tasks:
        assert len(task.sha256) == 64
        assert task.source
        assert task.licence
        assert task.citation
        if task.rows != task.paper_rows:
            assert f"{abs(task.rows - task.paper_rows)} fewer" in task.note or "one more" in task.note


def test_names_expand_in_order_without_duplicates() -> None:
    found = catalogue.expand(" moleculenet:bace, demo,qm7,demo:rings ")
    demo = ["demo:rings", "demo:logp", "demo:rings-graph", "demo:mood"]
    assert [task.id for task in found] == ["moleculenet:bace", *demo, "moleculenet:qm7"]
    assert len(catalogue.expand("moleculenet,demo")) == 13 + len(demo)
    assert catalogue.get("bace") is catalogue.get("moleculenet:bace")


@pytest.mark.parametrize(
    ("request_", "hint"),
    [
        ("bacee", "did you mean bace"),
        ("BACE", "did you mean bace"),
        ("moleculnet", "did you mean moleculenet"),
        ("moleculnet:bace", "did you mean moleculenet"),
        ("moleculenet:eso", "did you mean esol"),
        ("demo:bace", "known: logp, mood, rings"),
        ("", "known: analytic, demo, glue, glue-subset, moleculenet"),
        (" , ", "known: analytic, demo, glue, glue-subset, moleculenet"),
    ],
)
def test_unknown_names_get_the_nearest(request_: str, hint: str) -> None:
    with pytest.raises(RequestError, match=hint):
        catalogue.expand(request_)


def test_a_name_in_several_suites_asks_which() -> None:
    assert catalogue.get("rte").id == "glue:rte"
    with pytest.raises(RequestError, match="'mnli' is in several suites; say glue-subset:mnli or glue:mnli"):
        catalogue.expand("mnli")


def test_third_parties_add_suites(plug, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    for found in (path, str(path), catalogue.read_suite(path)):
        plug(found)
        assert catalogue.get("mine:esol").title == "Own ESOL"
    with pytest.raises(RequestError, match="say moleculenet:esol or mine:esol"):
        catalogue.get("esol")
    plug(path, path)
    with pytest.raises(RequestError, match="'mine', which is taken"):
        catalogue.suites()
    plug(42)
    with pytest.raises(RequestError, match=r"'theirs'.*got int"):
        catalogue.suites()
    plug(ImportError("no such thing"))
    with pytest.raises(RequestError, match=r"'theirs'.*no such thing"):
        catalogue.suites()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "kind: regression",
            "kind: regresion",
            "task 'esol': field 'kind'.*'classification', 'classes' or 'regression', got 'regresion'",
        ),
        ("    rows: 10", "", "task 'esol': field 'rows': Field required"),
        ("rows: 10", "rows: many", "task 'esol': field 'rows'.*got 'many'"),
        ("rows: 10", "row: 10", "task 'esol': field 'row' is not known; did you mean rows"),
        ("metric: rmse", "metric: roc_auc", "task 'esol'.*metric: expected .* for kind regression, got 'roc_auc'"),
        ("targets: [y]", "targets: [y, y]", "task 'esol'.*targets: expected each column once, got y, y"),
        ("targets: [y]", "targets: []", "task 'esol'.*needs file and targets"),
        ("  esol:", "  a:b:", "task 'a:b': field 'name'"),
        ("corpus: files", "corpus: web", "field 'corpus'.*got 'web'"),
        ("corpus: files", "corpse: files", "field 'corpse' is not known; did you mean corpus"),
        ("name: mine", "", "task 'esol': field 'suite'"),
        ("tasks:", "task:", "expected a mapping with name, title, corpus and tasks"),
        ("title: Mine", "title: [", "expected a YAML file"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert isinstance(catalogue.read_suite(path), SuiteInfo)
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(RequestError, match=message) as caught:
        catalogue.read_suite(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


CLASSES = "      classes: [bad, good]\n"
TEXT = """
name: mine
title: Mine
corpus: files
tasks:
  mood:
    title: Own mood
    inputs: text
    kind: classes
    metric: accuracy
    split: seeded
    rows: 12
    text:
      format: csv
      first: [title, body]
      label: mood
      classes: [bad, good]
      train: {file: mine/train.csv.gz, rows: 10}
      test:
        dev: {file: mine/dev.csv.gz, rows: 2, header: [text, mood], first: text}
"""


def test_a_text_task_is_an_entry_of_data(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    (task,) = catalogue.read_suite(path).tasks
    assert (task.outputs, task.paired, task.higher_is_better) == (2, True, True)
    assert task.text
    assert (task.text.first, task.text.train.first, task.text.test["dev"].first) == (("title", "body"), (), ("text",))
    path.write_text(
        TEXT.replace("kind: classes", "kind: regression").replace("accuracy", "spearman").replace(CLASSES, "")
    )
    (task,) = catalogue.read_suite(path).tasks
    assert (task.outputs, task.targets) == (1, ("mood",))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[bad, good]", "[bad, bad]", "text.classes: expected two labels or more, each once"),
        ("[bad, good]", "[bad]", "text.classes: expected two labels or more, each once"),
        (CLASSES, "", "text.classes: expected labels for kind classes"),
        ("split: seeded", "split: official", "split: expected official with text.val, or seeded without"),
        ("inputs: text", "inputs: molecule", "a task whose inputs are text needs the section text"),
        ("metric: accuracy", "metric: pearson", "metric: expected .* for kind classes, got 'pearson'"),
        ("format: csv", "format: xml", "field 'text.format': .*got 'xml'"),
        ("first: [title, body]", "first: []", "field 'text.first'"),
        ("rows: 10}", "row: 10}", "field 'text.train.row' is not known; did you mean rows"),
        ("label: mood", "lable: mood", "field 'text.lable' is not known; did you mean label"),
        ("rows: 2, header: [text, mood]", "rows: 2, head: [text, mood]", "'text.test.dev.head' .* did you mean header"),
    ],
)
def test_a_wrong_text_entry_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    assert old in TEXT
    path.write_text(TEXT.replace(old, new))
    with pytest.raises(RequestError, match=f"task 'mood': .*{message}") as caught:
        catalogue.read_suite(path)
    assert "\n" not in str(caught.value)


def test_listing_loads_no_heavy_library() -> None:
    code = "import sys; from tasks import catalogue; catalogue.suites(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "pandas", "rdkit"} & set(loaded)


def test_the_entries_of_the_docs_are_valid(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "adding.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "\ntasks:" in block]
    assert len(blocks) == 2
    for number, block in enumerate(blocks):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, encoding="utf-8")
        assert catalogue.read_suite(path).tasks
