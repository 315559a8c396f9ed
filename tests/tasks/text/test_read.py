"""Rows of files: nothing is unquoted, merged or taken for missing; what is wrong is named by file, row and value."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import NotPreparedError, RequestError
from tasks.info import TextFile
from tasks.text.read import Rows, read_rows
from tests.tasks.text.made import task


def read(tmp_path: Path, content: str | bytes, file: dict[str, Any] | None = None, **changes: Any) -> Rows:
    raw = content if isinstance(content, bytes) else content.encode()
    path = tmp_path / "rows.gz"
    path.write_bytes(gzip.compress(raw))
    entry = TextFile.model_validate({"file": "own/rows.gz", "rows": 1} | (file or {}))
    return read_rows(task(tmp_path / "mirror", **changes), entry, path)


def objects(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_tsv_has_no_quoting_and_no_missing_values(tmp_path: Path) -> None:
    rows = read(tmp_path, 'label\tsentence\nyes\t"open\nno\tNone\nno\tNA\nyes\tit ""s" fine \n')
    assert rows.first == ['"open', "None", "NA", 'it ""s" fine ']
    assert rows.labels == [1, 0, 0, 1]
    assert rows.second == []


def test_only_line_feeds_end_a_row(tmp_path: Path) -> None:
    rows = read(tmp_path, "sentence\tlabel\none\x85two\u2028three\x0bfour\rfive\tyes\nlast\tno")
    assert rows.first == ["one\x85two\u2028three\x0bfour\rfive", "last"]


def test_a_mark_at_the_beginning_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    assert read(tmp_path, "\ufeffsentence\tlabel\none\tyes\n").first == ["one"]


def test_pairs_and_headers_of_the_entry(tmp_path: Path) -> None:
    rows = read(tmp_path, "a\tb\tyes\nc\td\tno\n", second="other", header=("sentence", "other", "label"))
    assert (rows.first, rows.second, rows.labels) == (["a", "c"], ["b", "d"], [1, 0])


def test_a_csv_is_quoted_and_its_columns_are_joined(tmp_path: Path) -> None:
    content = '"yes","A ""big"" day","rain\\sun, #39;s"\n"no","two\nlines","x"\n'
    file = {"header": ["label", "title", "body"], "first": ["title", "body"]}
    rows = read(tmp_path, content, file, format="csv")
    assert rows.first == ['A "big" day rain\\sun, #39;s', "two\nlines x"]
    assert rows.labels == [1, 0]


def test_json_lines_keep_labels_as_written(tmp_path: Path) -> None:
    content = objects({"sentence": "one\ntwo", "label": 1, "id": 7}, {"label": True, "sentence": "x"})
    rows = read(tmp_path, content, format="jsonl", classes=("true", "1"))
    assert (rows.first, rows.labels) == (["one\ntwo", "x"], [1, 0])


def test_values_are_numbers(tmp_path: Path) -> None:
    rows = read(tmp_path, "sentence\tlabel\na\t5.000\nb\t-1e-2\n", kind="regression", metric="pearson", classes=())
    assert rows.labels == [5, -0.01]


def test_blank_texts_are_dropped_and_counted(tmp_path: Path) -> None:
    content = "sentence\tother\tlabel\n\tx\tyes\na\t \tno\na\tb\tyes\n"
    rows = read(tmp_path, content, second="other")
    assert (rows.first, rows.second, rows.labels, rows.empty) == (["a"], ["b"], [1], 2)
    # The label of a row that is dropped does not matter.
    assert read(tmp_path, "sentence\tlabel\n\t?\na\tno\n").empty == 1


@pytest.mark.parametrize(
    ("content", "changes", "error", "message"),
    [
        ("sentence\tlabel\na\tyes\nb\n", {}, NotPreparedError, "row 2: expected 2 columns, got 1: 'b'"),
        ("sentence\tlabel\na\tb\tyes\n", {}, NotPreparedError, "row 1: expected 2 columns, got 3: 'a'"),
        (
            "sentense\tlabel\na\tyes\n",
            {},
            NotPreparedError,
            "no column 'sentence'; the nearest are 'sentense', 'label'",
        ),
        ("", {}, NotPreparedError, "no column 'sentence'; the nearest are none"),
        ("sentence\tlabel\na\tyes\nb\tmaybe\n", {}, RequestError, "row 2: label 'maybe' is none .* known: no, yes"),
        ("sentence\tlabel\na\tYes\n", {}, RequestError, "row 1: label 'Yes' is none .*did you mean yes"),
        (f"sentence\tlabel\na\t{'y' * 99}\n", {}, RequestError, r"label 'y+\.\.\. is none"),
        (b"sentence\tlabel\na\tyes\n\xff\tno\n", {}, NotPreparedError, "is not tsv after row .*utf-8"),
        ("sentence,label\na,yes\nb\n", {"format": "csv"}, NotPreparedError, "row 2: expected 2 columns, got 1: 'b'"),
        ('sentence,label\n"a,yes\n', {"format": "csv"}, NotPreparedError, "is not csv after row 0: unexpected end"),
        ('sentence,label\n"a"b,yes\n', {"format": "csv"}, NotPreparedError, "is not csv after row 0: .* expected"),
        ("{\n", {"format": "jsonl"}, NotPreparedError, "is not jsonl after row 0"),
        (
            objects({"sentence": "a", "label": "no"}, [1]),
            {"format": "jsonl"},
            NotPreparedError,
            r"row 2: .*, got '\[1\]",
        ),
        (objects({"sentence": "a"}), {"format": "jsonl"}, NotPreparedError, "row 1, has no column 'label'"),
        (
            objects({"sentence": 5, "label": "no"}),
            {"format": "jsonl"},
            NotPreparedError,
            "row 1: expected a text, got 5",
        ),
        (
            objects({"sentence": None, "label": "no"}),
            {"format": "jsonl"},
            NotPreparedError,
            "expected a text, got None",
        ),
        (
            '{"sentence": "\\ud83d", "label": "no"}\n',
            {"format": "jsonl"},
            NotPreparedError,
            "jsonl after row 0: .*surrog",
        ),
        (objects({"sentence": "a", "label": None}), {"format": "jsonl"}, RequestError, "row 1: label 'null' is none"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, content: str | bytes, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        read(tmp_path, content, **changes)
    assert str(caught.value).startswith("own:set: own/rows.gz")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["", "five", "nan", "inf", "1,5"])
def test_a_score_that_is_no_number_is_named(tmp_path: Path, value: str) -> None:
    content = f"sentence\tlabel\na\t1\nb\t{value}\n"
    with pytest.raises(RequestError, match=f"own/rows.gz, row 2: expected a number in column 'label', got '{value}'"):
        read(tmp_path, content, kind="regression", metric="pearson", classes=())
