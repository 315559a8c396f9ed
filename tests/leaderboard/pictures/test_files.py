"""Which pictures a board has, and the files they become, also with names that mean harm."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from leaderboard.content import Board
from leaderboard.pictures import KINDS, draw, pictures_of
from leaderboard.pictures.style import plain
from tests.leaderboard.pictures.made import board

HOSTILE = "a$b_{", "<b>&\"'", "$x$ \\frac{1}", "line\nbreak\x00\x1b[31m\u202e", "名前", "%s{}" * 30


def texts(path: Path) -> list[str]:
    """The text elements of an SVG, which must be well-formed and hold nothing that runs or loads."""
    content = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(content)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert not tags & {"script", "foreignObject", "image", "a", "animate"}
    assert "javascript:" not in content
    assert not re.search(r"\son[a-z]+=", content)
    for element in root.iter():
        for name, value in element.attrib.items():
            if name.endswith("href"):
                assert value.startswith("#")
    return ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]


def written(folder: Path, shown: Board) -> dict[str, tuple[Path, Path]]:
    """Draw all pictures of a board: kind and subject -> PNG and SVG."""
    found = {}
    for picture in pictures_of(shown, several=False):
        png, svg = draw(shown, picture, folder)
        assert (png.suffix, svg.suffix) == (".png", ".svg")
        found[f"{picture.kind} {picture.subject}"] = png, svg
    return found


def assert_not_blank(path: Path) -> None:
    pixels = imread(path)
    assert pixels.shape[0] > 100
    assert pixels.shape[1] > 300
    assert len(np.unique(pixels[::2, ::2, :3] @ [1.0, 3.0, 5.0])) > 20


def test_a_full_board_has_all_kinds(tmp_path: Path) -> None:
    found = written(tmp_path, board())
    assert {name.split()[0] for name in found} == set(KINDS)
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == sorted(
        f"{name}.{ending}"
        for name in ("error-removed-one", "ranks-one", "pareto-one", "seeds-one", "learning-one",
                     "weights-one-a", "weights-one-b")
        for ending in ("png", "svg")
    )  # fmt: skip
    for name, (png, svg) in found.items():
        assert_not_blank(png)
        assert any("tapweight" in text for text in texts(svg)), name


def test_titles_and_descriptions_are_told_and_kept(tmp_path: Path) -> None:
    shown = board()
    for picture in pictures_of(shown, several=False):
        assert len(picture.description) > 60
        assert picture.title.endswith(("one", "one:a", "one:b"))
        svg = draw(shown, picture, tmp_path)[1].read_text(encoding="utf-8")
        assert picture.title in svg
        assert "tapweight" in picture.description


def test_only_what_has_data_is_drawn() -> None:
    shown = board()
    assert {picture.kind for picture in pictures_of(board(["finetune"]), several=False)} == {"seeds", "learning"}
    bare = shown.model_copy(update={"suites": [], "curves": []})
    assert {picture.kind for picture in pictures_of(bare, several=False)} == {"seeds", "pareto"}
    for table in bare.tasks:
        for entry in table.entries:
            entry.cost = None
    assert {picture.kind for picture in pictures_of(bare, several=False)} == {"seeds"}
    for table in bare.tasks:
        for entry in table.entries:
            entry.summary = None
    assert pictures_of(bare, several=False) == []


def test_the_protocol_is_in_the_name_where_there_are_several() -> None:
    assert {picture.file for picture in pictures_of(board(), several=True)} >= {
        "pictures/seeds-one-small",
        "pictures/weights-one-a-small",
    }
    one, two = ({picture.file for picture in pictures_of(board(protocol=name), True)} for name in ("A b", "a-b"))
    assert not one & two


def test_file_names_are_slugs_and_differ() -> None:
    shown = board(tasks=("one:a b", "one:a-b", "one:../../A_B", "<x>:" + "long" * 90, "::", "one:é"))
    files = [picture.file for picture in pictures_of(shown, several=False)]
    assert len(set(files)) == len(files)
    assert all(re.fullmatch(r"pictures/[a-z0-9-]{1,120}", file) for file in files)


def test_the_same_board_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (written(tmp_path / name, board()) for name in ("one", "two"))
    for name, paths in first.items():
        for one, two in zip(paths, second[name], strict=True):
            assert one.read_bytes() == two.read_bytes()


def test_settings_of_the_user_change_nothing_and_are_kept(tmp_path: Path) -> None:
    from matplotlib import rc_context, rcParams

    shown = board()
    picture = next(found for found in pictures_of(shown, several=False) if found.kind == "pareto")
    plainly = [path.read_bytes() for path in draw(shown, picture, tmp_path / "one")]
    with rc_context({"font.size": 40, "text.parse_math": True, "axes.grid": True, "svg.fonttype": "path"}):
        assert [path.read_bytes() for path in draw(shown, picture, tmp_path / "two")] == plainly
        assert rcParams["font.size"] == 40


@pytest.mark.filterwarnings("error")
def test_names_that_mean_harm_are_drawn_as_text(tmp_path: Path) -> None:
    methods = ["finetune", *HOSTILE, f"{HOSTILE[0]}-null"]
    shown = board(methods, tasks=[f"$s_{{<i>:{name}" for name in HOSTILE], focus=HOSTILE[0], protocol=HOSTILE[1])
    for curves in shown.curves:
        for curve in curves.weights:
            curve.objectives = ["$\\alpha_{", "<script>alert(1)</script>", "\x07bell"]
            curve.note = "$</text><script>"
    for table in shown.suites:
        assert table.ranking
        table.ranking.no_groups = "$because_{ <i>"
    found = written(tmp_path, shown)
    assert {name.split()[0] for name in found} == set(KINDS)
    for name, (png, svg) in found.items():
        assert_not_blank(png)
        assert any("a$b_{" in text for text in texts(svg)), name
    assert any("<script>alert" in text for text in texts(found[f"weights {shown.tasks[0].task}"][1]))


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param(board(["finetune"], ["one:a"], seeds=1, focus="finetune", epochs=1), id="one of everything"),
        pytest.param(board(["tapweight"], ["one:a"], seeds=1, epochs=1), id="no baseline"),
        pytest.param(board(["finetune", "m-null"], ["one:a"], focus=None), id="control without its method"),
        pytest.param(board(["finetune", *(f"m{k}" for k in range(22)), *(f"m{k}-null" for k in range(4))],
                           ["one:a", "one:b"], seeds=2, focus="m3"), id="27 methods"),
        pytest.param(board(tasks=[f"one:t{k}" for k in range(21)]), id="21 tasks"),
    ],
)  # fmt: skip
def test_small_and_large_boards(shown: Board, tmp_path: Path) -> None:
    first = {picture.kind: picture for picture in reversed(pictures_of(shown, several=False))}
    assert "seeds" in first
    for picture in first.values():
        png, svg = draw(shown, picture, tmp_path)
        assert_not_blank(png)
        assert texts(svg)


def test_equal_scores_and_missing_cells_are_drawn(tmp_path: Path) -> None:
    shown = board()
    for entry in shown.tasks[0].entries:
        assert entry.summary
        entry.summary.scores, entry.summary.mean, entry.summary.sd = [0.0] * 3, 0.0, 0.0
    shown.tasks[1].entries[1].summary = None
    shown.suites[0].rows[1].error_removed[1] = None
    shown.suites[0].rows[1].iqm = shown.suites[0].rows[1].iqm_over_tasks = None
    found = written(tmp_path, shown)
    assert "no record" in texts(found["seeds one"][1])
    assert {"no record", "tasks missing"} <= set(texts(found["error-removed one"][1]))


def test_long_names_are_cut_in_the_middle() -> None:
    assert plain("short") == "short"
    assert plain("abcdefghijklmnopqrstuvwxyz-null", 12) == "abcdefg…null"
    assert len(plain("x" * 500)) == 28
    assert plain("a\tb\n\x00c\u202e") == "a b c"
