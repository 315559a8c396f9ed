"""Reading tables back from each format, so that tests compare what is there with the table object."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from io import StringIO

from markdown_it import MarkdownIt
from markdown_it.token import Token

from leaderboard.tables import Table
from leaderboard.tables.words import one_line

Rows = list[list[str]]


@dataclass
class Read:
    """What a format shows: the heading, then the rows; and the cells in which something is bold."""

    rows: Rows = field(default_factory=list)
    bold: list[tuple[int, int]] = field(default_factory=list)
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)


def expected(table: Table, unit: str = " ({})") -> Read:
    """What every format should show, with a line of its own for each section."""
    found = Read([[one_line(c.title) + (unit.format(one_line(c.unit)) if c.unit else "") for c in table.columns]])
    found.rows[0] = [cell.strip() for cell in found.rows[0]]
    part = None
    for row in table.rows:
        if row.section and row.section != part:
            found.rows.append([one_line(row.section)])
        part = row.section
        found.bold += [(len(found.rows), k) for k, cell in enumerate(row.cells) if cell.strong and cell.text]
        found.rows.append([one_line(cell.plain) for cell in row.cells])
    return found


def markdown(text: str) -> Read:
    """The first table of ``text``, by a parser of CommonMark with tables; empty cells at the end of a row left out."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    found = Read()
    for token in parser.parse(text):
        if token.type == "tr_open":
            found.rows.append([])
        elif token.type == "inline" and token.level >= 3:
            words, bold = inline(token)
            if bold:
                found.bold.append((len(found.rows) - 1, len(found.rows[-1])))
            found.rows[-1].append(words)
    return found


def inline(token: Token) -> tuple[str, bool]:
    """The text of one inline token, and whether a part is bold; any markup but bold and italics is refused."""
    words, bold = "", False
    for child in token.children or []:
        assert child.type in ("text", "text_special", "strong_open", "strong_close", "em_open", "em_close"), child
        words += child.content
        bold |= child.type == "strong_open"
    return words, bold


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found = Read()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.found.rows.append([])
        elif tag in ("td", "th"):
            self.found.rows[-1].append("")
        elif tag == "strong":
            self.found.bold.append((len(self.found.rows) - 1, len(self.found.rows[-1]) - 1))

    def handle_data(self, data: str) -> None:
        if self.found.rows and self.found.rows[-1] and data.strip("\n"):
            self.found.rows[-1][-1] += data


def html(text: str) -> Read:
    """Every table row of ``text``."""
    reader = _Reader()
    reader.feed(text.partition("<figcaption>")[0])
    reader.close()
    return reader.found


LATEX = {
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textless{}": "<",
    r"\textgreater{}": ">", r"\textbar{}": "|", r"\textquotedbl{}": '"', r"\textasciigrave{}": "`",
    r"\textquotesingle{}": "'", r"\textendash{}": "–", r"\textemdash{}": "—", r"$\pm$": "±", r"$^\circ$": "°",
    r"$^\dagger$": "†", r"$^\ddagger$": "‡", r"$\blacktriangle$": "▲", r"$\blacktriangledown$": "▼",
    r"$\uparrow$": "↑", r"$\downarrow$": "↓", r"$\times$": "×", r"\textquotedblleft{}": "“",
    r"\textquotedblright{}": "”", r"\textquoteleft{}": "‘", r"\textquoteright{}": "’", r"\ldots{}": "…",
    r"$\leq$": "<=", r"$\geq$": ">=", r"\{": "{", r"\}": "}", r"\$": "$", r"\&": "&", r"\%": "%", r"\#": "#",
    r"\_": "_", "{[}": "[", "{*}": "*", "$-$": "-", "-{}-": "--",
}  # fmt: skip
PIECES = re.compile("|".join([r"\\texttt\{U\+([0-9A-F]+)\}", *map(re.escape, sorted(LATEX, key=len, reverse=True))]))


def latex_text(text: str) -> str:
    """The characters that LaTeX prints."""
    return PIECES.sub(lambda found: chr(int(found[1], 16)) if found[1] else LATEX[found[0]], text)


def latex(text: str) -> Read:
    """The rows between the rules."""
    body = text.split("\\toprule\n")[1].split("\\bottomrule")[0]
    found = Read()
    for line in body.splitlines():
        if line == r"\midrule":
            continue
        assert line.endswith(r" \\")
        if part := re.fullmatch(r"\\multicolumn\{\d+\}\{l\}\{\\textit\{(.*)\}\} \\\\", line):
            found.rows.append([latex_text(part[1])])
            continue
        cells = line.removesuffix(r" \\").split(" & ")
        found.rows.append([])
        for cell in cells:
            grey = re.fullmatch(r"\\textcolor\{gray\}\{(.*)\}", cell)
            inner = grey[1] if grey else cell
            if strong := re.match(r"\\textbf\{((?:\\.|[^\\{}]|\{[^{}]*\})*)\}", inner):
                found.bold.append((len(found.rows) - 1, len(found.rows[-1])))
                inner = strong[1] + inner[strong.end() :]
            found.rows[-1].append(latex_text(inner))
    return found


def comma_separated(text: str) -> list[dict[str, str]]:
    """One mapping per row."""
    return list(csv.DictReader(StringIO(text)))
