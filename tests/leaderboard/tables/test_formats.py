"""Every format of a table shows the same, whatever a name holds."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.tables import Column, Table, TableCell, TableRow, all_tables
from leaderboard.tables import csv as as_csv
from leaderboard.tables import html as as_html
from leaderboard.tables import latex as as_latex
from leaderboard.tables import markdown as as_markdown
from leaderboard.tables.words import one_line
from tests.leaderboard.tables import made, reading
from tests.leaderboard.tables.reading import Read, expected

HOSTILE = [
    "<script>alert('x')</script>",
    "a|b & c_d $e^f$ 100% #1 {x} ~y \\input{/etc/passwd}",
    "**bold** _it_ `code` [l](javascript:x) ![i](y) ~~s~~ &lt; &#60;",
    "=1+1",
    "@sum",
    "-2+3",
    "[x]: y",
    "*star --- dash-- <= >= 中 é \x1b[31mred\x1b[0m\r\n\u202eback",
    'quote"s, comma\ttab',
    "\\",
    "",
]
SOME = st.one_of(
    st.sampled_from(HOSTILE), st.text(max_size=12), st.text("\\|*_`[]()<>&;#$%{}~^-!:'\"ab 1", max_size=12)
)


def tables() -> list[Table]:
    """Those of a full report, and of one whose methods have hostile names."""
    names = [*HOSTILE[:5], "tapweight"]
    return [*all_tables(made.report()), *all_tables(made.report(made.board(names)))]


def one(name: str, title: str = "title") -> Table:
    """A small table with every kind of cell, in which ``name`` stands wherever a record's words may."""
    score = TableCell(
        text="0.775 ± 0.013", after="(5)", numbers={"mean": 0.7751, "sd": 0.01251, "n": 5.0}, strong=True, signs="†°"
    )
    worse = TableCell(text="-0.750", numbers={"mean": -0.75}, mark="worse")
    return Table(
        name="a",
        title=title,
        columns=[
            Column(key="method", title="method", align="left"),
            Column(key=name, title=name, unit="RMSE ↓"),
            Column(key="why", title="why", align="left"),
        ],
        rows=[
            TableRow(cells=[TableCell(text=name), score, TableCell(text=name)]),
            TableRow(cells=[TableCell(text="b"), worse, TableCell(text="–")], section=f"of {name}"),
            TableRow(cells=[TableCell(text=name), TableCell(text=name), TableCell()], faint=True, section="published"),
        ],
        notes=[name],
    )


def same(found: Read, wanted: Read) -> None:
    assert [[cell.strip() for cell in row] for row in found.rows] == wanted.rows
    assert found.bold == wanted.bold


def check_markdown(table: Table) -> None:
    found, wanted = reading.markdown(as_markdown.table(table)), expected(table)
    wanted.rows = [row + [""] * (len(table.columns) - len(row)) for row in wanted.rows]
    same(found, wanted)


def check_html(table: Table) -> None:
    text = as_html.table(table)
    found = reading.html(text)
    same(found, expected(table, " {}"))
    assert {tag for tag, _ in found.tags} <= {
        "figure", "table", "caption", "thead", "tbody", "tr", "th", "td", "strong", "span"
    }  # fmt: skip
    assert {key for _, attributes in found.tags for key in attributes} <= {
        "class", "id", "scope", "colspan", "data-sort", "role", "aria-label"
    }  # fmt: skip
    sorts = [float(value) for _, attributes in found.tags if (value := attributes.get("data-sort")) is not None]
    assert sorts == [cell.sort_by for row in table.rows for cell in row.cells if cell.sort_by is not None]
    faint = [attributes.get("class") for tag, attributes in found.tags if tag == "tr"].count("faint")
    assert faint == sum(row.faint for row in table.rows)


def check_latex(table: Table) -> None:
    text = as_latex.table(table)
    assert text.isascii()
    same(reading.latex(text), expected_latex(table))
    depth = 0
    escaped = False
    for place, character in enumerate(text):
        if not escaped:
            depth += (character == "{") - (character == "}")
            assert depth >= 0
            assert character not in "^" or text[place - 1] == "$"
            assert character not in "#~`"
            if character in "%_":  # only in our own first line and at the end of a line
                assert text[place:].startswith((r"% \usepackage", "%\n"))
        escaped = character == "\\" and not escaped
    assert depth == 0
    assert text.replace(r"\$", "").count("$") % 2 == 0


def expected_latex(table: Table) -> Read:
    """``<=`` is one sign there; the reader writes it with two, as the tables do."""
    found = expected(table)
    found.rows = [[cell.replace("≤", "<=").replace("≥", ">=") for cell in row] for row in found.rows]
    return found


def check_csv(table: Table) -> None:
    rows = reading.comma_separated(as_csv.table(table))
    assert len(rows) == len(table.rows)
    for read, row in zip(rows, table.rows, strict=True):
        for column, cell in zip(table.columns, row.cells, strict=True):
            for name, value in cell.numbers.items():
                assert float(read[guarded(f"{column.key} {name}".strip())]) == value
        for key, value in read.items():
            assert not key.startswith(("=", "+", "-", "@"))
            if value.startswith(("=", "+", "-", "@")):
                float(value)  # a number of ours


def guarded(text: str) -> str:
    line = one_line(text)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


@pytest.mark.parametrize("check", [check_markdown, check_html, check_latex, check_csv])
def test_all_tables_of_a_report(check: object) -> None:
    assert callable(check)
    for table in tables():
        check(table)


@pytest.mark.parametrize("check", [check_markdown, check_html, check_latex])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names(check: object, name: str) -> None:
    assert callable(check)
    check(one(name))


@settings(max_examples=80, deadline=None)
@given(SOME)
def test_any_name(name: str) -> None:
    table = one(name)
    check_markdown(table)
    check_html(table)
    check_latex(table)


@settings(max_examples=80, deadline=None)
@given(SOME)
def test_a_line_of_markdown_is_one_item_of_text(name: str) -> None:
    from markdown_it import MarkdownIt

    parsed = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(as_markdown.bullets([name, "x"]))
    kinds = [token.type for token in parsed]
    item = ["list_item_open", "paragraph_open", "inline", "paragraph_close", "list_item_close"]
    if one_line(name):
        assert kinds == ["bullet_list_open", *item, *item, "bullet_list_close"]
        assert reading.inline(parsed[3]) == (one_line(name), False)


@settings(max_examples=60, deadline=None)
@given(SOME)
def test_a_spreadsheet_takes_no_text_for_a_formula(name: str) -> None:
    table = one(name)
    table.columns[1].key = "score"
    check_csv(table)
    (first, *_, last) = reading.comma_separated(as_csv.table(table))
    assert first["why"] == guarded(name)
    assert (first["score mean"], first["score sd"], first["score n"]) == ("0.7751", "0.01251", "5")
    assert first["score remarks"] == "bold †°"
    assert last["score remarks"] == (guarded(name) if one_line(name) != "–" else "")
    assert last["section"] == "published"


def test_html_says_what_heads_what() -> None:
    text = as_html.table(one("a name"))
    assert '<th scope="row">a name</th>' in text
    assert '<th scope="col" class="numbers">a name <span class="unit">RMSE ↓</span></th>' in text
    assert '<tr class="section"><th scope="rowgroup" colspan="3">published</th></tr>' in text
    assert '<span class="worse" role="img" aria-label="worse">▼</span>' in text
    assert "style" not in text


def test_json_is_the_model_itself() -> None:
    for table in tables():
        assert Table.model_validate_json(table.model_dump_json()) == table


def test_signs_of_latex() -> None:
    table = one("a--b -1.5 [x]")
    text = as_latex.table(table)
    assert r"\textbf{0.775 $\pm$ 0.013} (5)$^\dagger$$^\circ$" in text
    assert r"$-$0.750 $\blacktriangledown$" in text
    assert r"a-{}-b $-$1.5 {[}x]" in text
    assert r"\textcolor{gray}{a-{}-b" in text
    assert text.count(r"\midrule") == 3


def test_wide_tables_of_latex_are_scaled() -> None:
    table = one("x")
    assert "resizebox" not in as_latex.table(table)
    table.columns = table.columns * 3
    for row in table.rows:
        row.cells = row.cells * 3
    assert r"\resizebox{\textwidth}{!}{%" in as_latex.table(table)
    check_latex(table)
