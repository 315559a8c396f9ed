"""Published numbers: as printed, on the board's tasks alone, with what the tables say against themselves."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from leaderboard.content import PublishedRow, PublishedTable
from leaderboard.published import papers, published_costs_for, published_for
from leaderboard.published.paper import read

DOCS = Path(__file__).resolve().parents[3] / "docs" / "published.md"

CLASSIFICATION = ("bace", "bbbp", "clintox", "sider", "tox21", "toxcast", "hiv", "muv")
REGRESSION = ("freesolv", "esol", "lipophilicity", "qm7", "qm9")
GLUE = ("mnli", "qnli", "qqp", "rte", "sst2", "mrpc", "cola", "stsb")
MOLECULES = [f"moleculenet:{name}" for name in (*CLASSIFICATION, *REGRESSION)]
LANGUAGE = [f"glue:{name}" for name in GLUE]
TARTAN = [f"tartan:{name}" for name in ("acl-arc", "scierc", "chemprot", "hyperpartisan")]

# Sums of the rows, added by hand from the printed scores.
SUMS = {
    "Table 1": {
        "AttrMask": 561.3,
        "ContextPred": 567.2,
        "GraphMVP": 573.6,
        "ImageMol (FT)": 585.4,
        "CP w/o reweighting": 568.4,
        "TapWeight w/o MLO": 591.2,
        "TapWeight": 602.1,
    },
    "Table 2": {
        "AttrMask": 171.86,
        "ContextPred": 163.34,
        "GraphMVP": 143.39,
        "ImageMol": 150.43,
        "TapWeight": 134.01,
    },
    "GLUE": {"Finetuning": 684.5, "SimCSE": 672.0, "TAPT": 681.1, "TapWeight": 689.7},
    "without domain data": {"RoBERTa": 226.09, "TAPT": 229.44, "MT-TARTAN": 235.58, "META-TARTAN": 236.05},
    "with domain data": {"DAPT": 225.80, "DAPT+TAPT": 224.96, "MT-TARTAN": 236.37, "META-TARTAN": 235.84},
    "Hyperpartisan": {"TAPT": 93.39, "META-TARTAN": 96.84},
}
DEVIATIONS = {
    "without domain data": {"RoBERTa": 7.49, "TAPT": 6.26, "MT-TARTAN": 5.79, "META-TARTAN": 6.02},
    "with domain data": {"DAPT": 4.35, "DAPT+TAPT": 7.88, "MT-TARTAN": 3.49, "META-TARTAN": 4.96},
    "Hyperpartisan": {"TAPT": 2.26, "META-TARTAN": 1.72},
}


def find(where: str) -> PublishedTable:
    """The one table whose source names ``where``, with all its columns."""
    (table,) = [table for table in published_for([*MOLECULES, *LANGUAGE, *TARTAN]) if where in table.source]
    return table


def row(where: str, name: str) -> PublishedRow:
    (found,) = [row for row in find(where).rows if row.name == name]
    return found


def value(where: str, name: str, task: str) -> float:
    (found,) = [score.value for score in row(where, name).scores if score.task == task]
    return found


@pytest.mark.parametrize("where", SUMS)
def test_rows_sum_to_what_the_paper_prints(where: str) -> None:
    sums = {row.name: sum(score.value for score in row.scores) for row in find(where).rows}
    assert sums == pytest.approx(SUMS[where], abs=1e-6)


@pytest.mark.parametrize("where", SUMS)
def test_deviations(where: str) -> None:
    found = {row.name: [score.sd for score in row.scores if score.sd is not None] for row in find(where).rows}
    expected = DEVIATIONS.get(where, dict.fromkeys(found, 0.0))
    assert {name: sum(values) for name, values in found.items()} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("where", "name", "task", "expected"),
    [
        # One value in each column, in different rows: a sum does not see two columns that changed places.
        ("Table 1", "TapWeight", "moleculenet:bace", 83.1),
        ("Table 1", "ImageMol (FT)", "moleculenet:bbbp", 67.3),
        ("Table 1", "GraphMVP", "moleculenet:clintox", 79.0),
        ("Table 1", "AttrMask", "moleculenet:sider", 60.4),
        ("Table 1", "CP w/o reweighting", "moleculenet:tox21", 74.6),
        ("Table 1", "TapWeight w/o MLO", "moleculenet:toxcast", 65.9),
        ("Table 1", "ContextPred", "moleculenet:hiv", 75.8),
        ("Table 1", "TapWeight", "moleculenet:muv", 80.5),
        ("Table 2", "ImageMol", "moleculenet:freesolv", 3.04),
        ("Table 2", "GraphMVP", "moleculenet:esol", 1.13),
        ("Table 2", "ContextPred", "moleculenet:lipophilicity", 0.83),
        ("Table 2", "TapWeight", "moleculenet:qm7", 126.0),
        ("Table 2", "AttrMask", "moleculenet:qm9", 5.03),
        ("GLUE", "TapWeight", "glue:mnli", 86.8),
        ("GLUE", "Finetuning", "glue:qnli", 92.8),
        ("GLUE", "SimCSE", "glue:qqp", 90.7),
        ("GLUE", "TAPT", "glue:rte", 78.2),
        ("GLUE", "TapWeight", "glue:sst2", 94.9),
        ("GLUE", "TAPT", "glue:mrpc", 90.1),
        ("GLUE", "SimCSE", "glue:cola", 59.7),
        ("GLUE", "Finetuning", "glue:stsb", 91.2),
        ("without domain data", "META-TARTAN", "tartan:acl-arc", 70.08),
        ("without domain data", "TAPT", "tartan:scierc", 79.53),
        ("without domain data", "RoBERTa", "tartan:chemprot", 82.10),
        ("with domain data", "MT-TARTAN", "tartan:acl-arc", 71.58),
        ("with domain data", "DAPT", "tartan:scierc", 76.44),
        ("with domain data", "DAPT+TAPT", "tartan:chemprot", 78.22),
    ],
)
def test_spot_values(where: str, name: str, task: str, expected: float) -> None:
    assert value(where, name, task) == expected


def test_averages_as_printed_and_recomputed() -> None:
    printed = {row.name: row.average for row in find("Table 1").rows}
    assert list(printed.values()) == [70.2, 70.9, 71.7, 73.2, 71.1, 73.9, 75.3]
    again = {row.name: row.recomputed_average for row in find("Table 1").rows}
    assert again == pytest.approx({name: total / 8 for name, total in SUMS["Table 1"].items()}, abs=1e-9)
    assert [row.average for row in find("GLUE").rows] == [85.6, 83.6, 85.1, 86.2]
    assert [row.recomputed_average for row in find("GLUE").rows] == [85.5625, 84.0, 85.1375, 86.2125]
    for where in ("Table 2", "without domain data", "with domain data", "Hyperpartisan"):
        assert all(row.average is None and row.recomputed_average is None for row in find(where).rows)


def test_flags_are_exactly_these() -> None:
    suggestion = "what the table suggests, not a sentence of the paper"
    assert {table.source: table.flags for table in published_for([*MOLECULES, *LANGUAGE, *TARTAN]) if table.flags} == {
        "arXiv 2410.10006 v1, Table 1": [
            f"TapWeight “best on all 8 classification tasks” ({suggestion}): on BBBP ContextPred has 71.2 too"
        ],
        "arXiv 2410.10006 v1, Table 2": [
            f"TapWeight “best on all 5 regression tasks” ({suggestion}): on Lipo ImageMol has 0.76 too"
        ],
        "arXiv 2410.10006 v1, the GLUE table (Table 3, by the training sizes it quotes)": [
            "SimCSE: average printed as 83.6, of the printed scores 84.00",
            "TapWeight “best on all 8 GLUE tasks” (the paper's claim): on QNLI Finetuning has 92.8 against 92.5; "
            "on STS-B Finetuning has 91.2 too",
        ],
    }


def test_three_tasks_give_their_columns_alone_and_the_flags_of_the_whole_table() -> None:
    (table,) = published_for(["moleculenet:hiv", "demo:motif", "moleculenet:bace", "moleculenet:tox21"])
    assert [score.task.partition(":")[2] for score in table.rows[0].scores] == ["bace", "tox21", "hiv"]
    assert all(len(row.scores) == 3 for row in table.rows)
    assert table.rows[-1].average == 75.3
    assert table.rows[-1].recomputed_average == 602.1 / 8
    assert "BBBP" in table.flags[0]
    # What differs on a task is said only where the task is shown.
    assert any(line.startswith("HIV: 41,127 rows") for line in table.differences)
    assert not any(line.startswith("ToxCast") for line in table.differences)


def test_no_task_in_common_gives_nothing() -> None:
    for tasks in ([], ["demo:motif", "analytic:planted"], ["glue-subset:mnli"], ["bace"]):
        assert published_for(tasks) == []
        assert published_costs_for(tasks) == []


def test_costs_go_with_the_papers_tasks() -> None:
    costs = {(cost.method, cost.low, cost.high) for cost in published_costs_for(["glue:rte"])}
    assert costs == {("cp", 2.18, 2.76), ("tapweight", 3.29, 3.93)}
    assert published_costs_for(["tartan:scierc"]) == []


def test_runs_and_spread() -> None:
    assert {table.n for table in published_for([*MOLECULES, *LANGUAGE])} == {None}
    assert {table.spread for table in published_for([*MOLECULES, *LANGUAGE])} == {"none printed"}
    assert (find("without domain data").n, find("with domain data").n, find("Hyperpartisan").n) == (10, 10, None)
    assert all("assumed" in table.spread for table in published_for(TARTAN))


def test_warnings_come_with_the_rows() -> None:
    copied = [line for line in find("Table 1").differences if "GraphMVP paper digit for digit" in line]
    assert len(copied) == 1
    assert copied[0].startswith("AttrMask, ContextPred, GraphMVP: ")
    assert any("order of Table 1 is assumed" in line for line in find("Table 2").differences)
    assert any("do not compare" in line for line in find("Table 2").differences if line.startswith("QM9"))
    assert not any("Wikipedia" in line for line in find("Table 1").differences)
    assert any("Wikipedia" in line for line in find("GLUE").differences)


def test_what_is_not_entered_is_listed() -> None:
    assert [paper.source for paper in papers()] == ["arXiv 2410.10006 v1", "arXiv 2109.07437"]
    assert all(paper.absent for paper in papers())


def test_names_are_those_of_the_registries() -> None:
    from methods.method import METHODS
    from tasks.catalogue import suites

    not_yet_ours = {"simcse", "attrmask", "contextpred", "graphmvp"}
    for table in [table for paper in papers() for table in paper.tables]:
        assert {line.method for line in table.rows} <= {*METHODS.names(), *not_yet_ours}
        if table.suite in suites():
            tasks = {task.id: task for task in suites()[table.suite].tasks}
            for column in table.columns:
                assert column.task in tasks
                assert column.higher_is_better == tasks[column.task].higher_is_better


def test_the_page_shows_a_file_that_is_valid_and_names_every_flag(tmp_path: Path) -> None:
    text = DOCS.read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (tmp_path / "example.yaml").write_text(example, encoding="utf-8")
    assert read(tmp_path / "example.yaml").tables[0].rows[1].sd == [0.9]
    for table in published_for([*MOLECULES, *LANGUAGE, *TARTAN]):
        for flag in table.flags:
            assert flag.rpartition(": ")[2] in text
