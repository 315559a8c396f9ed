"""The backbone of molecule graphs: prepared, described, built."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.errors import NotPreparedError, RequestError
from methods import METHODS
from tasks import BACKBONES
from tasks.backbones import gin
from tasks.backbones.gin import OBJECTIVES, build, describe, prepare
from tasks.catalogue import get, suites
from tasks.graph.cache import GraphCache
from tasks.graph.problem import GraphProblem
from tasks.molecules.corpus import load_corpus
from tasks.molecules.table import load_table, molecule_tasks
from tasks.settings import TaskSettings
from tests.tasks.graph.small import modules, problem
from tests.tasks.protocol import graph_settings, task_settings

SETTINGS = task_settings()
TASK = get("demo:rings-graph")
OWN = {"attrmask", "contextpred", "graphmvp", "graphmvp-g", "graphmvp-c"}


@pytest.fixture(scope="module", autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache that no other test has filled."""
    with pytest.MonkeyPatch.context() as during:
        during.setenv("BENCH_HOME", str(tmp_path_factory.mktemp("gin")))
        yield


@pytest.fixture(scope="module")
def lines(own_home: None) -> list[str]:
    found: list[str] = []
    for _ in range(2):  # idempotent
        prepare(molecule_tasks(suites()["demo"]), SETTINGS, mirror=None, download=False, workers=1, say=found.append)
    return found


def changed(**changes: Any) -> TaskSettings:
    return SETTINGS.model_copy(update={"graph": graph_settings(**changes)})


def test_registered_described_and_built(lines: list[str]) -> None:
    backbone = BACKBONES.get("gin")
    assert (backbone.modality, backbone.inputs) == ("graph", "molecule")
    assert all("\n" not in line for line in lines)
    assert sum("missing molecules embedded" in line for line in lines) == 1, "the second time nothing is missing"
    spec = describe(TASK, SETTINGS, 0)
    made, key = build(spec, SETTINGS, "cpu")
    assert isinstance(made, GraphProblem)
    assert made.objectives == (*OBJECTIVES, "planted")
    assert json.loads(json.dumps([dict(spec.encoder), dict(spec.corpus)])) == [spec.encoder, spec.corpus]
    encoder, heads, head = modules(made)
    for source in ("corpus", "task"):
        assert made.objective_losses(encoder, heads, made.stream(source, 8, "p").batch(0)).isfinite().all()  # type: ignore[arg-type]
    assert 0 <= made.score(encoder, head, "test", key)["roc_auc"] <= 1
    facts = made.facts()
    assert facts["table"]["train"] == 256
    assert facts["corpus"]["molecules"] == 1600
    assert facts["unlabelled"] == {"corpus": 24, "task": 24}
    assert facts["conformer_failures"] == {"corpus": {}, "task": {}}


def test_unlabelled_molecules_are_spread_over_corpus_and_task(lines: list[str]) -> None:
    pool, table = load_corpus(suites()["demo"], SETTINGS.corpus), load_table(TASK)
    chosen = gin._corpus_molecules(pool, SETTINGS)
    places = [pool.smiles.index(one) for one in chosen]
    assert len(set(places)) == 24
    assert max(places) > 1200
    assert min(places) < 400, "from all of the corpus, which is sorted by source"
    own = gin._own_molecules(table, SETTINGS)
    train = [table.smiles[row] for row in table.train]
    assert own == train[::11], "each at most once, from the training part alone"
    assert gin._own_molecules(table, changed(molecules=256)) == train


def test_planted_labels_are_one_for_all_seeds_and_another_for_each_source(lines: list[str]) -> None:
    first, second = (build(describe(TASK, SETTINGS, seed), SETTINGS, "cpu")[0] for seed in (0, 3))
    assert isinstance(first, GraphProblem)
    assert isinstance(second, GraphProblem)
    labels = [made._sources[source].planted for made in (first, second) for source in ("corpus", "task")]
    assert all(one is not None and one.min() >= 0 and one.max() < 16 for one in labels)
    assert torch.equal(labels[0], labels[2])  # type: ignore[arg-type]
    assert torch.equal(labels[1], labels[3])  # type: ignore[arg-type]
    assert not torch.equal(labels[0], labels[1])  # type: ignore[arg-type]


def test_only_suites_that_plant_labels_have_the_objective(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert [name for name, suite in suites().items() if suite.planted_classes] == ["demo"]
    bare = {"demo": suites()["demo"].model_copy(update={"planted_classes": 0})}
    monkeypatch.setattr(gin, "suites", lambda: bare)
    spec = describe(TASK, SETTINGS, 0)
    assert spec.objectives == OBJECTIVES
    made, _ = build(spec, SETTINGS, "cpu")
    assert "planted" not in made.stream("corpus", 4, "p").batch(0)


def test_the_spec_depends_on_what_matters(lines: list[str]) -> None:
    base = describe(TASK, SETTINGS, 0)
    assert describe(TASK, SETTINGS, 0) == base
    assert describe(TASK, SETTINGS, 1) == replace(base, seed=1)
    assert describe(TASK, task_settings(standardise=False), 0).labels != base.labels
    for change in ({"width": 16}, {"layers": 3}, {"dropout": 0.2}, {"features": "ogb"}):
        other = describe(TASK, changed(**change), 0)
        assert other.encoder != base.encoder, change
        assert other.corpus == base.corpus, change
    views: tuple[dict[str, Any], ...] = (
        {"molecules": 12}, {"conformers": 2}, {"conformer_seed": 1}, {"mask_share": 0.3}, {"mask_bonds": True},
        {"radius": 4}, {"context": (1, 4)}, {"contrastive": "info-nce"}, {"temperature": 0.1}, {"beta": 1.0},
        {"crop": 0.3}, {"schnet_width": 16}, {"schnet_filters": 16}, {"schnet_interactions": 2},
        {"schnet_gaussians": 8}, {"cutoff": 5.0},
    )  # fmt: skip
    for change in views:
        other = describe(TASK, changed(**change), 0)
        assert other.corpus != base.corpus, change
        assert other.encoder == base.encoder, change
        with pytest.raises(RequestError, match="settings and data that the spec describes"):
            build(base, changed(**change), "cpu")
    assert describe(get("demo:logp"), SETTINGS, 0).corpus == base.corpus  # shared stages rely on it
    assert describe(get("demo:rings"), SETTINGS, 0).split_checksum == base.split_checksum


def test_both_forms_of_features_need_one_preparation(lines: list[str]) -> None:
    for features, columns in (("published", 2), ("ogb", 9)):
        settings = changed(features=features)
        made, _ = build(describe(TASK, settings, 0), settings, "cpu")
        assert made.stream("train", 4, "t").batch(0)["whole.atoms"].shape[1] == columns


def test_what_is_not_prepared_is_named(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    more = changed(conformers=3)
    with pytest.raises(NotPreparedError, match=r"no readable conformer.*python -m bench prepare"):
        build(describe(TASK, more, 0), more, "cpu")
    monkeypatch.setattr(GraphCache, "folder", Path("nowhere"))
    with pytest.raises(NotPreparedError, match=r"no readable graph.*python -m bench prepare"):
        build(describe(TASK, SETTINGS, 0), SETTINGS, "cpu")


def test_describing_loads_no_torch(lines: list[str]) -> None:
    code = (
        "import sys\n"
        "from tasks.backbones.gin import describe\n"
        "from tasks.catalogue import get\n"
        "from tests.tasks.protocol import task_settings\n"
        "describe(get('demo:rings-graph'), task_settings(), 0)\n"
        "print({'torch', 'torch_geometric', 'rdkit', 'ogb'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_checkpoint_gives_the_encoder_its_weights_and_leaves_heads_fresh(tmp_path: Path) -> None:
    made, (source, heads, _) = problem()[0], modules(problem(seed=5)[0])
    torch.save({f"gnn.{name}": tensor for name, tensor in source.state_dict().items()}, tmp_path / "weights.pth")
    loaded = made.load_checkpoint(tmp_path / "weights.pth")
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in source.state_dict().items())
    assert loaded.dropout == 0.5
    fresh, own = made.load_heads(tmp_path / "weights.pth").state_dict(), made.objective_heads().state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in fresh.items())
    assert any(not torch.equal(tensor, own[name]) for name, tensor in heads.state_dict().items())


def test_graph_methods_name_objectives_that_there_are() -> None:
    found = {name: METHODS.get(name).pretrained_on for name in METHODS.names()}
    own = {
        name: weights
        for name, weights in found.items()
        if weights is not None and METHODS.get(name).published == ("graph",)
    }
    assert set(own) == OWN
    for weights in own.values():
        assert set(weights) <= set(OBJECTIVES)
        assert sum(weights.values()) == pytest.approx(1)
    ratio = {name: value / own["graphmvp-c"]["graphmvp-contrastive"] for name, value in own["graphmvp-c"].items()}
    assert ratio == pytest.approx({"graphmvp-contrastive": 1, "graphmvp-generative": 1, "context-prediction": 0.1})
