"""A prepared demo problem."""

from __future__ import annotations

import pytest

from bench.commands.prepare import prepare_pairs
from bench.protocol_files import load
from methods import METHODS
from methods.settings import Settings
from tasks import BACKBONES
from tasks.catalogue import get
from tasks.problem import Problem


@pytest.fixture(scope="session")
def smoke(bench_home: object) -> Settings:
    """The settings of tapweight on demo:logp under the smoke protocol, its data prepared."""
    rules, task = load("smoke"), get("demo:logp")
    prepare_pairs([("tapweight", task, "resnet18")], rules, mirror=None, download=False, workers=1)
    return rules.resolve(METHODS.get("tapweight"), task, "resnet18").settings


@pytest.fixture(scope="session")
def demo_problem(smoke: Settings) -> Problem:
    """The problem of demo:logp with seed 0; stages never change it."""
    backbone = BACKBONES.get("resnet18")
    spec = backbone.describe(get("demo:logp"), smoke, 0)
    return backbone.build(spec, smoke, "cpu")[0]
