"""Write the report as a page: one folder that opens from disk and asks for nothing outside itself.

Script, style and data stand in index.html, because browsers refuse to load modules and data from files beside a page
that was opened from disk. The page's content security policy names the two by their hashes, so that nothing else can
run, whatever a record holds.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench.files import write_atomic
from leaderboard.content import Report
from leaderboard.page.view import view

SCRIPTS = (
    "dom.js",
    "numbers.js",
    "model.js",
    "state.js",
    "chart.js",
    "table.js",
    "notes.js",
    "suite.js",
    "detail.js",
    "sections.js",
    "page.js",
)


def build(report: Report, folder: Path) -> list[Path]:
    """Write ``folder/page`` and return its files: index.html, then copies of the pictures that ``folder`` holds.

    Raises
    ------
    OSError: if the disk is full or the folder cannot be written.
    """
    page = folder / "page"
    copies = _copy_pictures(report, folder, page / "pictures")
    text = html(view(report, {stem: f"pictures/{path.name}" for stem, path in copies.items()}))
    write_atomic(page / "index.html", lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return [page / "index.html", *copies.values()]


def html(data: dict[str, Any]) -> str:
    """The page that shows ``data``, see :func:`leaderboard.page.view.view`."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    style = _asset("page.css")
    script = "".join(_asset(name) for name in SCRIPTS)
    template = Environment(autoescape=True, undefined=StrictUndefined).from_string(_asset("index.html.jinja"))
    return template.render(
        style=Markup(style),  # ours, and free of closing tags
        script=Markup(script),
        data=Markup(inline_json(data)),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def inline_json(data: Any) -> str:
    """JSON in ASCII that no HTML parser takes for markup: it can stand inside a script element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _copy_pictures(report: Report, folder: Path, target: Path) -> dict[str, Path]:
    """Copy each picture, as SVG if there is one, so that the page's folder can be sent on alone."""
    found: dict[str, Path] = {}
    for picture in (picture for board in report.boards for picture in board.pictures):
        sources = [folder / f"{picture.file}{ending}" for ending in (".svg", ".png")]
        inside = (source for source in sources if source.resolve().is_relative_to(folder.resolve()))
        source = next((source for source in inside if source.is_file()), None)
        if source:
            found[picture.file] = target / source.name
            write_atomic(found[picture.file], partial(shutil.copyfile, source))
    return found


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
