"""Names of our own and of other people's distributions."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import MANY, RequestError, nearest
from bench.registry import Registry
from tests.bench.commandline import bench, distribution, refused, run

METHOD = """
from methods.method import method

@method("theirs", title="Their method", paper="Someone 2025", published=("image",), cost="1")
def theirs(settings):
    from methods.stages.finetune import FineTune
    return [FineTune(settings.finetune)]
"""
SUITE = """
from tasks.catalogue import suites
from tasks.info import SuiteInfo, TaskInfo

task = TaskInfo(suite="theirs", name="logp", title="t", kind="regression", metric="rmse", file="demo:logp",
                targets=("logp",), rows=320)
SUITE = SuiteInfo(name="theirs", title="Their suite", corpus="demo", tasks=(task,))
"""
BACKBONE = """
from tasks.backbone import Backbone

def never(*_, **__): raise AssertionError

BACKBONE = Backbone("llama", "t", "text", "text", never, never, never)
"""


def test_modules_and_objects_of_other_distributions_are_found(tmp_path: Path) -> None:
    entries = (
        "[bench.methods]\ntheirs = their_method\n[bench.suites]\ntheirs = their_suite:SUITE\n"
        "[bench.backbones]\nllama = their_backbone:BACKBONE\n"
    )
    with distribution(
        tmp_path / "site", entries, their_method=METHOD, their_suite=SUITE, their_backbone=BACKBONE
    ):  # fmt: skip
        from tasks import BACKBONES

        assert "Their method" in bench("list", "methods").out
        assert "Their suite" in bench("list", "suites").out
        assert "theirs:logp" in bench("list", "tasks").out
        assert "Someone 2025" in bench("show", "theirs").out
        assert BACKBONES.names() == ["analytic", "gin", "llama", "resnet18", "roberta"]
        assert run(tmp_path / "run", methods="theirs", tasks="theirs").code == 0
    assert "Their method" not in bench("list", "methods").out


@pytest.mark.parametrize(
    ("entry", "source", "parts"),
    [
        (
            "[bench.methods]\nbad = absent_module",
            "",
            ["'bad'", "bench.methods", "absent_module", "ModuleNotFoundError"],
        ),
        ("[bench.methods]\nbad = their_module", "1 / 0", ["'bad'", "their_module", "ZeroDivisionError"]),
        ("[bench.methods]\nbad = their_module:x", "x = 3", ["'bad'", "expected a module or a Method, got int"]),
        (
            "[bench.methods]\nbad = their_module:theirs",
            METHOD,
            ["'bad'", "expected a module or a Method, got function"],
        ),
        ("[bench.methods]\nbad = their_module", METHOD.replace('"theirs",', '"cp",'), ["'bad'", "got 'cp'", "already"]),
        ("[bench.backbones]\nbad = their_module:x", "x = 3", ["'bad'", "bench.backbones", "expected a module"]),
        ("[bench.suites]\nbad = their_module:x", "x = 3", ["'bad'", "bench.suites", "SuiteInfo", "got int"]),
        ("[bench.suites]\nbad = absent_module:x", "", ["'bad'", "bench.suites", "absent_module"]),
    ],
)
def test_a_broken_entry_point_is_one_line(tmp_path: Path, entry: str, source: str, parts: list[str]) -> None:
    with distribution(tmp_path / "site", entry, their_module=source):
        command = ["show", "protocol", "small", "--method", "cp", "--task", "bace"]
        for _ in range(2):  # asking again gives the same answer
            refused(bench(*command), 2, *parts)


def test_an_object_is_registered_once_however_often_loading_fails(tmp_path: Path) -> None:
    source = (
        METHOD
        + "\nfrom methods import METHODS\nfrom dataclasses import replace\n"
        + "other = replace(METHODS._entries['theirs'], name='other')\n"
    )
    entry = "[bench.methods]\nother = their_module:other\nworse = absent_module"
    with distribution(tmp_path / "site", entry, their_module=source):
        for _ in range(2):
            refused(bench("list", "methods"), 2, "'worse'", "absent_module")


def test_a_name_is_registered_once() -> None:
    registry: Registry[str] = Registry("thing", "tests.bench", "bench.none")
    registry.register("one")("first")
    with pytest.raises(RequestError, match=r"thing: expected a new name, got 'one'"):
        registry.register("one")("second")


def test_nearest_names_come_first_and_all_names_where_they_are_few() -> None:
    assert nearest("Tapwieght", ["cp", "tapweight"]) == "did you mean tapweight? known: cp, tapweight"
    assert nearest("zzz", ["cp"]) == "known: cp"
    assert nearest("zzz", []) == "known: none"
    many = [f"name-{n}" for n in range(MANY + 1)]
    assert nearest("name-1", many).startswith("did you mean name-1 ")
    assert "known" not in nearest("name-1", many)
    assert nearest("zzz", many).count("name-") == len(many)
