"""Encoders by their name at the Hugging Face hub: fetched by prepare alone, then as a folder of the same files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bench import chain
from bench.commands.prepare import prepare_tasks
from bench.errors import NotPreparedError, RequestError
from bench.protocol_files import load
from methods.settings import StartSettings
from methods.stages.start import start_stage
from tasks import pretrained
from tasks.text.models import load_saved
from tests.tasks.text.saved_models import TASK, prepared, settings, word_pieces
from tests.tasks.text.small import sentences

NAME = "hf:someone/small-bert"
NEEDED = {"config.json", "model.safetensors"}


class Hub:
    """A server with the hub's addresses: what it has, which paths were asked for, which it fails at."""

    def __init__(self, root: Path) -> None:
        self.root, self.asked, self.broken = root, list[str](), set[str]()

    def folder(self, name: str) -> Path:
        """Where its files of a model lie."""
        return self.root / name.removeprefix("hf:") / "resolve" / "main"


@pytest.fixture
def hub(tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    found = Hub(tmp_path / "hub")
    found.root.mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Noted(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            file = self.path.rpartition("/")[2]
            found.asked.append(file)
            if file in found.broken:
                self.send_error(500)
            else:
                super().do_GET()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Noted, directory=str(found.root))) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setattr(pretrained, "HUB", f"http://127.0.0.1:{server.server_port}")
        yield found
        server.shutdown()
        thread.join()


def named(model: Path | str) -> tuple[str, ...]:
    return f"text.model={model}", "start.kind=checkpoint", f"start.checkpoint={model}"


def fetch(model: Path | str = NAME, mirror: Path | str | None = None) -> None:
    prepare_tasks(TASK, "finetune", "smoke", named(model), None if mirror is None else str(mirror), 1, None)


def identity(model: Path | str) -> str:
    return chain.build("finetune", TASK, "roberta", 0, load("smoke", named(model))).cell.identity


def files_of(name: str) -> set[str]:
    return {path.name for path in pretrained.model_path(name).iterdir()} - {pretrained.VERIFIED}


@pytest.mark.parametrize("tokenizer", ["tokenizer.json", "vocab.txt"])
@pytest.mark.parametrize("name", ["hf:bert-small", NAME])
def test_it_is_fetched_once_and_is_a_folder_of_the_same_content(
    tokenizer: str, name: str, hub: Hub, saved: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = hub.folder(name)
    shutil.copytree(saved("bert"), folder)
    if tokenizer == "vocab.txt":
        for path in folder.glob("*token*.json"):
            path.unlink()
        numbers = word_pieces().get_vocab()
        (folder / tokenizer).write_text("".join(f"{one}\n" for one in sorted(numbers, key=numbers.get)))
    there = {path.name for path in folder.iterdir()}
    assert {*NEEDED, tokenizer} <= there
    for more in ("README.md", "pytorch_model.bin", "tf_model.h5"):
        (folder / more).write_bytes(b"not read")
    fetch(name)
    assert files_of(name) == there
    fetch(name)
    assert sorted(hub.asked) == sorted([*NEEDED, *pretrained.TOKENIZER]), "each once"
    copy = shutil.copytree(pretrained.model_path(name), tmp_path / "copy")
    fetch(copy)
    assert prepared(name) == prepared(copy) == prepared(saved("bert"))
    assert identity(name) == identity(copy)
    encoded = load_saved(settings(name).text, suite="demo").encode(sentences(20))
    assert encoded == load_saved(settings(saved("bert")).text, suite="demo").encode(sentences(20))
    start = start_stage(StartSettings.model_validate({"kind": "checkpoint", "checkpoint": name}))
    assert start.origin == f"published weights, {name}"  # type: ignore[attr-defined]


def test_a_mirror_with_the_model_needs_no_network(
    hub: Hub, saved: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretrained, "HUB", "http://127.0.0.1:9")  # nobody answers there
    shutil.copytree(saved("bert"), tmp_path / "mirror" / "models" / "someone" / "small-bert")
    fetch(NAME, tmp_path / "mirror")
    assert files_of(NAME) == {path.name for path in saved("bert").iterdir()}
    assert identity(NAME) == identity(saved("bert"))


def test_a_mirror_without_the_model_is_passed_over(hub: Hub, saved: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(saved("bert"), hub.folder(NAME))
    fetch(NAME, pretrained.HUB + "/elsewhere")
    assert hub.asked.count("config.json") == 2
    assert hub.asked.count("vocab.txt") == 1
    assert files_of(NAME) == {path.name for path in saved("bert").iterdir()}


def test_an_optional_file_that_may_exist_is_an_error(hub: Hub, saved: Callable[[str], Path]) -> None:
    shutil.copytree(saved("bert"), hub.folder(NAME))
    hub.broken.add("merges.txt")
    with pytest.raises(NotPreparedError, match=rf"{NAME}: merges\.txt not found; .*merges\.txt \(500 ") as caught:
        fetch()
    assert "\n" not in str(caught.value)
    with pytest.raises(NotPreparedError, match="is not at"):
        pretrained.model_path(NAME)
    hub.broken.clear()
    fetch()
    assert hub.asked.count("model.safetensors") == 1, "what came is kept"
    assert "merges.txt" not in files_of(NAME)


def test_pickled_weights_are_not_fetched(hub: Hub, saved: Callable[[str], Path]) -> None:
    shutil.copytree(saved("bert"), hub.folder(NAME))
    (hub.folder(NAME) / "model.safetensors").rename(hub.folder(NAME) / "pytorch_model.bin")
    with pytest.raises(NotPreparedError, match=rf"{NAME}: model\.safetensors not found; .*; pickled weights") as caught:
        fetch()
    assert "\n" not in str(caught.value)
    assert "save_pretrained" in str(caught.value)
    assert hub.asked == ["config.json", "model.safetensors"]


def test_a_run_never_fetches_it(hub: Hub, saved: Callable[[str], Path]) -> None:
    shutil.copytree(saved("bert"), hub.folder(NAME))
    with pytest.raises(NotPreparedError, match=rf"text\.model: {NAME} is not at .*; run: python -m bench prepare --ta"):
        prepared(NAME)
    start = start_stage(StartSettings.model_validate({"kind": "checkpoint", "checkpoint": NAME}))
    with pytest.raises(NotPreparedError, match=rf"start\.checkpoint: {NAME} is not at .*--set start\.checkpoint=FOLD"):
        start.check()
    assert not hub.asked


def test_what_is_no_name_is_refused(hub: Hub) -> None:
    for name in ("hf:", "hf:.", "hf:..", "hf:../x", "hf:a/..", "hf:a/b/c", "hf:/a", "hf:a/", "hf:a?b", "hf:é"):
        for setting in ("text.model", "start.checkpoint"):
            said = f"{setting}: expected hf:NAME or hf:OWNER/NAME, .*, got {re.escape(repr(name))}$"
            with pytest.raises(RequestError, match=said):
                pretrained.model_path(name, setting)
        with pytest.raises(RequestError, match=r"^text\.model: expected hf:NAME"):
            prepared(name)
    assert not hub.asked


def test_a_name_without_the_prefix_is_a_folder(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RequestError, match=r"hf:NAME of the Hugging Face hub, or one of roberta-base, got bert-small"):
        fetch("bert-small")
    assert not hub.asked
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hf:x").mkdir()
    assert pretrained.model_path("hf:x") == Path("hf:x")
    assert pretrained.published("hf:y") is not None


def test_what_cannot_be_had_is_asked_for_under_the_setting_that_names_it(hub: Hub) -> None:
    alone = ("text.model=hf:nobody/nothing", "start.kind=pretrain")
    with pytest.raises(NotPreparedError, match=r"config\.json not found; .* and pass --set text\.model=FOLDER$"):
        prepare_tasks(TASK, "finetune", "smoke", alone, None, 1, None)


def test_it_is_no_encoder_of_graphs(hub: Hub, tmp_path: Path) -> None:
    weights = tmp_path / "mirror" / "models" / "gin-attrmask" / "masking.pth"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"of graphs")
    with pytest.raises(NotPreparedError, match=r"hf:gin-attrmask: config\.json not found; looked at "):
        fetch("hf:gin-attrmask", tmp_path / "mirror")
    small = ("graph.width=8", "graph.layers=2", "graph.molecules=20", *named(NAME)[1:])
    with pytest.raises(RequestError, match=f"expected weights for gin, got {NAME}, which are for roberta"):
        prepare_tasks("demo:rings-graph", "finetune", "smoke", small, None, 1, None)
