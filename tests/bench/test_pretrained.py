"""A published model that a protocol starts from by name: fetched by prepare alone, verified by loading it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch

from bench import chain
from bench.commands.prepare import prepare_pairs, prepare_tasks
from bench.errors import NotPreparedError, RequestError
from bench.files import home
from bench.protocol_files import load
from methods import METHODS
from methods.stage import Uninterrupted
from tasks import BACKBONES, pretrained
from tasks.backbones.roberta import architecture, describe
from tasks.catalogue import get, suites
from tasks.graph.gin import build_gin
from tasks.text.corpus import describe_corpus
from tasks.text.tokenizer import load_tokenizer

# RoBERTa at a size for tests; its tokenizer is that of the demo suite.
SMALL = ("text.tokenizer=own", "text.vocabulary=400", "text.sentences=1200", "text.layers=1", "text.width=16",
         "text.heads=2")  # fmt: skip
TASK = "demo:mood"
FILES = pretrained.MODELS["roberta-base"].files


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the model as their authors publish them; data is prepared in a new cache."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    rules = load("paper", SMALL)
    prepare_pairs([("finetune", get(TASK), "roberta")], rules, mirror=None, download=False, workers=1)
    text = settings().text
    suite = get(TASK).suite
    tokenizer = load_tokenizer(text, describe_corpus(suites()[suite], text)["checksum"], suite=suite)
    folder = tmp_path / "published"
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config = AutoConfig.for_model(**architecture(text, tokenizer.vocabulary))  # type: ignore[no-untyped-call]
        AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    model = json.loads(tokenizer.backend.to_str())["model"]
    numbers = tokenizer.backend.get_vocab()
    (folder / "vocab.json").write_text(json.dumps(numbers), encoding="utf-8")
    (folder / "merges.txt").write_text("".join(f"{a} {b}\n" for a, b in model["merges"]), encoding="utf-8")
    return folder


@pytest.fixture
def asked(published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The paths that were asked for of a server that has the files."""
    found: list[str] = []
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    class Noted(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            found.append(self.path.removeprefix("/"))

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Noted, directory=str(published))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        publish(monkeypatch, f"http://127.0.0.1:{server.server_port}")
        yield found
        server.shutdown()
        thread.join()


def publish(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setitem(pretrained.MODELS, "roberta-base", replace(pretrained.MODELS["roberta-base"], url=url))


def settings() -> Any:
    return load("paper", SMALL).resolve(METHODS.get("finetune"), get(TASK), "roberta").settings


def test_prepare_fetches_it_once_and_a_run_starts_from_it(
    asked: list[str], published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_tasks(TASK, "finetune", "paper", SMALL, None, 1, None)
    assert sorted(asked) == sorted(FILES)
    folder = home() / "models" / "roberta-base"
    assert f"roberta-base: {folder}\n" in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == {*FILES, pretrained.VERIFIED}
    prepare_tasks(TASK, "finetune", "paper", SMALL, None, 1, None)
    assert len(asked) == len(FILES), "it is there"
    cell = chain.build("finetune", TASK, "roberta", 0, load("paper", SMALL))
    by_path = chain.build("finetune", TASK, "roberta", 0, load("paper", (*SMALL, f"start.checkpoint={folder}")))
    assert cell.cell.identity == by_path.cell.identity
    problem, _ = BACKBONES.get("roberta").build(describe(get(TASK), settings(), 0), settings(), "cpu")
    cell.links[0].stage.check()
    started = cell.links[0].stage.run(problem, {}, Uninterrupted()).weights["encoder"]
    expected = problem.load_checkpoint(published).state_dict()
    assert all(torch.equal(started[name], tensor) for name, tensor in expected.items())
    assert not torch.equal(next(iter(expected.values())), next(iter(problem.encoder().state_dict().values())))


def test_a_run_never_downloads_it(asked: list[str]) -> None:
    with pytest.raises(NotPreparedError) as caught:
        chain.build("finetune", TASK, "roberta", 0, load("paper", SMALL)).links[0].stage.check()
    assert "python -m bench prepare --tasks" in str(caught.value)
    prepare_pairs([("finetune", get(TASK), "roberta")], load("paper", SMALL), mirror=None, download=False, workers=1)
    assert not asked


def test_without_a_network_one_line_names_the_files_and_the_setting(
    published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    publish(monkeypatch, "http://127.0.0.1:9")  # nobody answers there
    with pytest.raises(NotPreparedError) as caught:
        prepare_tasks(TASK, "finetune", "paper", SMALL, None, 1, None)
    message = str(caught.value)
    assert "\n" not in message
    for part in (*FILES, "http://127.0.0.1:9", "--set start.checkpoint=FOLDER", "config.json not found"):
        assert part in message
    prepare_tasks(TASK, "finetune", "paper", (*SMALL, f"start.checkpoint={published}"), None, 1, None)


def test_a_folder_is_read_by_prepare_too(published: Path) -> None:
    named = (*SMALL, f"start.checkpoint={published}")
    (published / "model.safetensors").unlink()
    with pytest.raises(
        RequestError, match=r"^checkpoint .*: expected weights, model\.safetensors .*got a folder without"
    ):
        prepare_tasks(TASK, "finetune", "paper", named, None, 1, None)
    with pytest.raises(RequestError, match=r"^checkpoint nowhere: expected a folder with config\.json"):
        prepare_tasks(TASK, "finetune", "paper", (*SMALL, "start.checkpoint=nowhere"), None, 1, None)


def test_a_mirror_is_asked_first(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, "http://127.0.0.1:9")
    (tmp_path / "mirror" / "models").mkdir(parents=True)
    published.rename(tmp_path / "mirror" / "models" / "roberta-base")
    prepare_tasks(TASK, "finetune", "paper", SMALL, str(tmp_path / "mirror"), 1, None)
    assert pretrained.model_path("roberta-base") == home() / "models" / "roberta-base"


def test_places_are_named_in_the_order_of_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    publish(monkeypatch, "http://127.0.0.1:9")
    local = tmp_path / "models" / "roberta-base" / "config.json"
    with pytest.raises(NotPreparedError, match=rf"looked at {local}, http://127.0.0.1:9/config.json \("):
        pretrained.prepare_model(pretrained.MODELS["roberta-base"], lambda _: None, mirror=str(tmp_path))
    there = r"http://127.0.0.1:9/below/models/roberta-base/config.json \(.*, http://127.0.0.1:9/config.json \("
    with pytest.raises(NotPreparedError, match=f"looked at {there}"):
        pretrained.prepare_model(pretrained.MODELS["roberta-base"], lambda _: None, mirror="http://127.0.0.1:9/below/")
    with pytest.raises(RequestError, match="--mirror: expected an existing folder"):
        pretrained.prepare_model(pretrained.MODELS["roberta-base"], lambda _: None, mirror=str(tmp_path / "gone"))


def test_what_does_not_load_is_not_taken(asked: list[str], published: Path) -> None:
    weights = published / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RequestError, match=r"to fetch roberta-base anew, remove .*models/roberta-base"):
        prepare_tasks(TASK, "finetune", "paper", SMALL, None, 1, None)
    with pytest.raises(NotPreparedError):
        pretrained.model_path("roberta-base")
    (home() / "models" / "roberta-base" / "model.safetensors").unlink()
    weights.write_bytes(whole)
    prepare_tasks(TASK, "finetune", "paper", SMALL, None, 1, None)
    assert pretrained.model_path("roberta-base").is_dir()


def test_a_folder_of_that_name_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "roberta-base").mkdir()
    assert pretrained.model_path("roberta-base") == Path("roberta-base")
    assert pretrained.model_path("elsewhere/x") == Path("elsewhere/x")


def test_weights_of_graphs_are_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = ("graph.width=8", "graph.layers=2", "graph.molecules=20", "start.kind=checkpoint")
    named = (*small, "start.checkpoint=gin-attrmask")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    target = tmp_path / "mirror" / "models" / "gin-attrmask" / "masking.pth"
    target.parent.mkdir(parents=True)
    made = build_gin("published", 2, 8, 0.0, torch.Generator().manual_seed(1))
    torch.save({f"gnn.{name}": tensor for name, tensor in made.state_dict().items()}, target)
    prepare_tasks("demo:rings-graph", "finetune", "smoke", named, str(tmp_path / "mirror"), 1, None)
    path = pretrained.model_path("gin-attrmask")
    assert path == home() / "models" / "gin-attrmask" / "masking.pth"
    assert path.read_bytes() == target.read_bytes()
    with pytest.raises(RequestError, match="expected weights for resnet18, got gin-attrmask, which are for gin"):
        prepare_tasks("demo:rings", "finetune", "smoke", named, None, 1, None)
