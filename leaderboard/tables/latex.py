"""A table as LaTeX with booktabs, for pdflatex."""

from __future__ import annotations

import re

from leaderboard.tables.table import Table, TableCell, TableRow
from leaderboard.tables.words import one_line

WIDE = 8  # a table with more columns is scaled to the width of the text
SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
    "[": "{[}",  # a row that starts with one of these two would change the line break before it
    "*": "{*}",
    "±": r"$\pm$",
    "°": r"$^\circ$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "▲": r"$\blacktriangle$",
    "▼": r"$\blacktriangledown$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "×": r"$\times$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "…": r"\ldots{}",
}


def table(content: Table) -> str:
    """A floating table with caption, label and notes; the first line names the packages that it needs."""
    wide = len(content.columns) > WIDE
    sides = "".join(column.align[0] for column in content.columns)
    head = " & ".join(escaped(column.heading) for column in content.columns)
    lines = [
        r"% \usepackage[T1]{fontenc} \usepackage{amssymb,booktabs,graphicx,textcomp,xcolor}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(content.title)}}}",
        rf"\label{{tab:{content.name}}}",
        *([r"\resizebox{\textwidth}{!}{%"] if wide else []),
        rf"\begin{{tabular}}{{{sides}}}",
        r"\toprule",
        rf"{head} \\",
        r"\midrule",
        *_rows(content),
        r"\bottomrule",
        r"\end{tabular}" + ("}" if wide else ""),
    ]
    if content.notes:
        notes = " ".join(escaped(note) for note in content.notes)
        lines += ["", r"\smallskip", rf"{{\footnotesize\raggedright {notes}\par}}"]
    return "\n".join([*lines, r"\end{table}", ""])


def escaped(text: str) -> str:
    """One line of ASCII; a character without a command of its own is named by its code point."""
    safe = "".join(
        SPECIAL.get(character) or (character if character.isascii() else rf"\texttt{{U+{ord(character):04X}}}")
        for character in one_line(text).replace("<=", "≤").replace(">=", "≥")
    )
    minus = re.sub(r"(?<![\w-])-(?=\d)", "$-$", safe)
    return minus.replace("--", "-{}-")  # else a dash


def _rows(content: Table) -> list[str]:
    lines = []
    part = None
    for place, row in enumerate(content.rows):
        if row.section != part and place:
            lines.append(r"\midrule")
        if row.section and row.section != part:
            lines.append(rf"\multicolumn{{{len(content.columns)}}}{{l}}{{\textit{{{escaped(row.section)}}}}} \\")
        part = row.section
        lines.append(" & ".join(_cell(cell, row) for cell in row.cells) + r" \\")
    return lines


def _cell(cell: TableCell, row: TableRow) -> str:
    text = escaped(cell.text)
    text = rf"\textbf{{{text}}}" if cell.strong and text else text
    rest = (" " if cell.rest.startswith(" ") else "") + escaped(cell.rest)
    return rf"\textcolor{{gray}}{{{text}{rest}}}" if row.faint and text else text + rest
