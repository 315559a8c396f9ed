"""The backbone of text tasks: prepared, described, built."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from bench.errors import NotPreparedError, RequestError
from tasks import BACKBONES
from tasks.backbones.roberta import build, describe, prepare
from tasks.catalogue import get
from tasks.settings import TaskSettings
from tests.tasks.protocol import task_settings, text_settings
from tests.tasks.text.small import NAMES, modules

SETTINGS = task_settings()


@pytest.fixture(scope="module")
def prepared() -> list[str]:
    lines: list[str] = []
    prepare([get("demo:mood")], SETTINGS, mirror=None, download=False, workers=1, say=lines.append)
    prepare([get("demo:mood")], SETTINGS, mirror=None, download=False, workers=1, say=lines.append)  # idempotent
    return lines


def test_registered_described_and_built(prepared: list[str]) -> None:
    backbone = BACKBONES.get("roberta")
    assert (backbone.modality, backbone.inputs) == ("text", "text")
    assert all("\n" not in line for line in prepared)
    spec = describe(get("demo:mood"), SETTINGS, 0)
    made, key = build(spec, SETTINGS, "cpu")
    assert made.objectives == NAMES
    assert json.loads(json.dumps([dict(spec.encoder), dict(spec.corpus)])) == [spec.encoder, spec.corpus]
    encoder, heads, head = modules(made)
    for source in ("corpus", "task"):
        assert made.objective_losses(encoder, heads, made.stream(source, 8, "p").batch(0)).isfinite().all()  # type: ignore[arg-type]
    assert 0 <= made.score(encoder, head, "test", key)["accuracy"] <= 1
    assert made.facts()["unlabelled"]["task"] == made.facts()["table"]["train"] == 256


def test_the_spec_depends_on_what_matters(prepared: list[str]) -> None:
    task, base = get("demo:mood"), describe(get("demo:mood"), SETTINGS, 0)
    assert describe(task, SETTINGS, 0) == base
    assert describe(task, SETTINGS, 1) == replace(base, seed=1)
    for change in ({"width": 64}, {"layers": 2}, {"dropout": 0.2}, {"tokens": 40}):
        assert describe(task, changed(**change), 0).encoder != base.encoder
    for change in ({"corpus_tokens": 16}, {"mask_share": 0.3}, {"temperature": 0.1}):
        other = describe(task, changed(**change), 0)
        assert other.corpus != base.corpus
        assert other.encoder == base.encoder
        with pytest.raises(RequestError, match="settings and data that the spec describes"):
            build(base, changed(**change), "cpu")
    with pytest.raises(NotPreparedError, match=r"tokenizer of demo: .*bench prepare --tasks demo"):
        describe(task, changed(vocabulary=350), 0)


def test_describing_loads_no_torch(prepared: list[str]) -> None:
    code = (
        "import sys\n"
        "from tasks.backbones.roberta import describe\n"
        "from tasks.catalogue import get\n"
        "from tests.tasks.protocol import task_settings\n"
        "describe(get('demo:mood'), task_settings(), 0)\n"
        "print({'torch', 'transformers', 'tokenizers'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def changed(**changes: Any) -> TaskSettings:
    return SETTINGS.model_copy(update={"text": text_settings(**changes)})
