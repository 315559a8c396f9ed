"""The folder that is written: whole, closed to the outside, safe against what records hold."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

from leaderboard.content import Picture, Report
from leaderboard.page.build import SCRIPTS, build, inline_json
from leaderboard.page.view import view


def page(report: Report, folder: Path) -> str:
    return build(report, folder)[0].read_text(encoding="utf-8")


def test_one_file_that_holds_everything(report: Report, tmp_path: Path) -> None:
    assert build(report, tmp_path) == [tmp_path / "page" / "index.html"]
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["index.html"]
    text = page(report, tmp_path)
    assert not re.search(r"<(link|iframe|object|embed|base)\b|\bsrc=|\bhref=", text.split('id="data"')[0])
    assert "https:" not in text
    assert re.findall("http:[^\"' ]*", text) == ["http://www.w3.org/2000/svg"]


def test_the_policy_names_script_and_style_by_their_hashes(report: Report, tmp_path: Path) -> None:
    text = page(report, tmp_path)
    (policy,) = re.findall('Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}';" in policy


def test_scripts_never_read_markup() -> None:
    folder = Path(__file__).parents[3] / "leaderboard" / "page"
    assert {path.name for path in folder.glob("*.js")} == set(SCRIPTS)
    for name in SCRIPTS:
        text = (folder / name).read_text(encoding="utf-8")
        for word in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "Function(",
            "</",
            "<!--",
        ):
            assert word not in text, (name, word)
        for word in ("fetch(", "XMLHttpRequest", "import(", "WebSocket", "sendBeacon"):
            assert word not in text, (name, word)


def test_data_survives_and_closes_nothing(report: Report, tmp_path: Path) -> None:
    hostile = {"a": "</script><!--<script>&\u2028\u2029\ud800'\""}
    text = inline_json(hostile)
    assert json.loads(text) == hostile
    assert text.isascii()
    assert not set("<>&") & set(text)
    (content,) = re.findall('id="data">(.*?)</script>', page(report, tmp_path), re.S)
    assert json.loads(content) == json.loads(json.dumps(view(report)))


def test_pictures_are_copied_beside_the_page(report: Report, tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "a.png").write_bytes(b"not this one")
    (tmp_path / "b.png").write_bytes(b"png")
    (tmp_path.parent / "outside.svg").write_text("secret")
    names = ("a", "b", "absent", "../outside")
    pictures = [Picture(kind="ranks", subject="glue", file=name, title="t", description="d") for name in names]
    board = report.boards[0].model_copy(update={"pictures": pictures})
    paths = build(report.model_copy(update={"boards": [board]}), tmp_path)
    assert [str(path.relative_to(tmp_path / "page")) for path in paths] == [
        "index.html",
        "pictures/a.svg",
        "pictures/b.png",
    ]
    assert paths[1].read_text() == (tmp_path / "a.svg").read_text()
    (content,) = re.findall('id="data">(.*?)</script>', paths[0].read_text(), re.S)
    assert [one["file"] for one in json.loads(content)["boards"][0]["pictures"]] == ["pictures/a.svg", "pictures/b.png"]


def test_text_on_its_grounds_can_be_read_in_both_modes() -> None:
    """Contrast by WCAG 2: 4.5 for text, 3 for lines that carry meaning and for the edges of controls."""
    style = (Path(__file__).parents[3] / "leaderboard" / "page" / "page.css").read_text(encoding="utf-8")
    colours = {name: (a, b) for name, a, b in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", style)}
    assert len(colours) >= 18
    for mode in (0, 1):
        for ink in ("ink", "quiet", "better", "worse", "accent"):
            for ground in ("paper", "raised", "chosen", "warn"):
                if (ink, ground) != ("accent", "warn"):
                    assert contrast(colours[ink][mode], colours[ground][mode]) >= 4.5, (mode, ink, ground)
        assert contrast(colours["edge"][mode], colours["paper"][mode]) >= 3


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
