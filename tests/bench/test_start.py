"""Where a cell's weights come from, and what its record says of that."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench import chain
from bench.errors import RequestError
from bench.records import scan
from methods.settings import StartSettings
from methods.stage import Uninterrupted
from methods.stages.start import start_stage
from tasks import BACKBONES
from tests.bench import short

RANDOM = ("start.kind=random",)


def test_a_record_says_where_its_weights_come_from(tmp_path: Path) -> None:
    assert short.run(tmp_path / "own", "finetune")[0].ok
    assert short.run(tmp_path / "random", "finetune", assignments=RANDOM)[0].ok
    cell = short.built("finetune")
    problem, _ = BACKBONES.get("resnet18").build(cell.spec, cell.resolved.settings, "cpu")
    weights = {name: tensor.contiguous() for name, tensor in problem.encoder().state_dict().items()}
    save_file(weights, tmp_path / "others.safetensors")
    given = ("start.kind=checkpoint", f"start.checkpoint={tmp_path / 'others.safetensors'}")
    assert short.run(tmp_path / "others", "finetune", assignments=given)[0].ok
    found = {name: scan(tmp_path / name).records[0].start for name in ("own", "random", "others")}
    assert found == {
        "own": "pretrained by this benchmark",
        "random": "random",
        "others": "published weights, others.safetensors",
    }


def test_a_random_start_is_drawn_from_its_seed(bench_home: Path) -> None:
    cell = short.built("cp", assignments=RANDOM)
    stage = cell.links[0].stage
    assert stage.shared
    assert stage.key(cell.spec) != short.built("cp").links[0].stage.key(cell.spec)
    problem, _ = BACKBONES.get("resnet18").build(cell.spec, cell.resolved.settings, "cpu")
    weights = stage.run(problem, {}, Uninterrupted()).weights
    assert all(torch.equal(tensor, weights["encoder"][name]) for name, tensor in problem.encoder().state_dict().items())
    assert weights["heads"].keys() == problem.objective_heads().state_dict().keys()


def test_a_method_that_is_a_pretraining_cannot_start_at_random() -> None:
    with pytest.raises(RequestError, match=r"start\.kind: expected pretrain or checkpoint"):
        start_stage(StartSettings(kind="random"), {"attribute-masking": 1.0})


def test_the_command_of_a_record_names_a_backbone_that_is_not_the_usual_one(tmp_path: Path) -> None:
    from bench.cell import _command

    rules = short.rules()
    usual, other = (chain.build("cp", "demo:rings", backbone, 0, rules).cell for backbone in ("resnet18", "gin"))
    assert "--backbone" not in _command(usual, rules.content())
    assert "--backbone gin" in _command(other, rules.content())
    own = chain.build("cp", "demo:rings-graph", "gin", 0, rules).cell
    assert "--backbone" not in _command(own, rules.content())
