"""The paper protocol against the published table (TapWeight, arXiv 2410.10006, Appendix B.4)."""

from __future__ import annotations

import pytest

from bench.protocol_files import load
from methods import METHODS
from methods.settings import TriLevelSettings
from tasks.catalogue import get, suites

# task: global steps, lr I, lr II, lr III
PUBLISHED = {
    "muv": (30_000, 0.02, 0.05, 200),
    "hiv": (20_000, 0.02, 0.05, 200),
    "tox21": (10_000, 0.02, 0.05, 200),
    "toxcast": (10_000, 0.02, 0.05, 200),
    "bace": (3_000, 0.02, 0.05, 200),
    "bbbp": (3_000, 0.02, 0.05, 200),
    "clintox": (3_000, 0.02, 0.05, 200),
    "sider": (3_000, 0.02, 0.05, 200),
    "esol": (10_000, 0.02, 1e-3, 1),
    "freesolv": (10_000, 0.02, 1e-3, 1),
    "lipophilicity": (10_000, 0.02, 1e-3, 1),
    "qm7": (10_000, 0.01, 1e-4, 0.1),
    "qm9": (30_000, 0.01, 1e-4, 0.1),
}
GAMMA = 1e-3


def test_the_table_names_all_thirteen_tasks() -> None:
    assert {task.name for task in suites()["moleculenet"].tasks} == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_values_of_the_paper(name: str) -> None:
    steps, lr_one, lr_two, lr_three = PUBLISHED[name]
    settings = load("paper").resolve(METHODS.get("tapweight"), get(f"moleculenet:{name}"), "resnet18").settings
    two = settings.method
    assert isinstance(two, TriLevelSettings)
    assert settings.continued.steps == steps
    assert settings.continued.optimiser.lr == lr_one
    assert two.optimiser.lr == lr_two
    assert two.gamma == GAMMA
    assert two.rate == pytest.approx(2 * GAMMA * lr_three)  # eta_alpha = 2 gamma lr_alpha
    assert (settings.continued.batch, two.batch, two.validation_batch) == (1024, 64, 64)
    assert (two.alignment, two.unroll_one) == ("raw", 1)
    for optimiser in (settings.continued.optimiser, two.optimiser):
        assert (optimiser.name, optimiser.momentum, optimiser.weight_decay) == ("sgd", 0.9, 1e-5)
        assert optimiser.schedule == "step"
    assert settings.finetune.patience == 30
    assert (settings.finetune.epochs, settings.finetune.batch) == (100, 128)
    assert not settings.labels.standardise
    assert settings.corpus.clusters == (100, 1000, 10000)
    assert settings.corpus.molecules == 1_000_000
