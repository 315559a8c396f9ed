"""The registered variants of TapWeight: what each takes from the protocol and what makes it what it is."""

from __future__ import annotations

from typing import Any

import pytest

from bench.protocol_files import load
from methods import METHODS
from methods.settings import COMPLETE, BiLevelSettings, Settings, TriLevelSettings
from methods.stages.bilevel import BiLevel
from methods.stages.finetune import FineTune
from methods.stages.trilevel import TriLevel
from tasks.catalogue import get
from tasks.problem import Problem
from tests.methods.analytic import Uninterrupted, start_of

RELEASED = {
    "idle": ("mask-contrastive",), "alignment": "raw", "point": "post", "unroll_one": 1, "unroll_two": 1,
    "hypergradient": {"name": "as-released", "radius": 0.01, "terms": 1, "step": 1.0}, "loss": "published",
    "largest_move": None,
}  # fmt: skip


def resolved(name: str, protocol: str = "small") -> Settings:
    return load(protocol).resolve(METHODS.get(name), get("demo:logp"), "resnet18").settings


def level_three(name: str, settings: Settings) -> TriLevelSettings:
    first, last = METHODS.get(name).stages(settings)
    assert isinstance(first, TriLevel)
    assert isinstance(last, FineTune)
    assert first.validation == ("val-null" if name.endswith("null") else "val")
    return first.settings


@pytest.mark.parametrize("protocol", ["small", "paper"])
def test_variants_share_the_section_of_tapweight(protocol: str) -> None:
    """What they change is all that they change; the rate of the released scheme may have an override of its own."""
    own = level_three("tapweight", resolved("tapweight", protocol)).model_dump(context=COMPLETE)
    null, pairwise, released = (
        level_three(f"tapweight-{name}", resolved(f"tapweight-{name}", protocol)).model_dump(context=COMPLETE)
        for name in ("null", "pairwise", "as-released")
    )
    assert null == own
    assert pairwise == own | {"loss": "pairwise"}
    assert own["loss"] == "published"
    assert released | {"rate": 0} == own | RELEASED | {"rate": 0}


def test_what_a_variant_is_cannot_be_set_and_the_rest_can() -> None:
    task = get("demo:logp")
    with pytest.raises(Exception, match=r"tapweight.loss: Input should be 'pairwise'"):
        load("small", ["tapweight.loss=published"]).resolve(METHODS.get("tapweight-pairwise"), task, "resnet18")
    cosine = ["tapweight.alignment=cosine", "tapweight.hypergradient.name=backward"]
    found = load("small", [*cosine, "tapweight.gamma=0.5"])
    settings = level_three(
        "tapweight-as-released", found.resolve(METHODS.get("tapweight-as-released"), task, "resnet18").settings
    )
    assert (settings.alignment, settings.gamma) == ("raw", 0.5)


@pytest.mark.parametrize(("name", "validation"), [("tapweight-blo", "val"), ("tapweight-blo-null", "val-null")])
def test_two_levels(name: str, validation: str) -> None:
    entry, settings = METHODS.get(name), resolved(name)
    first, last = entry.stages(settings)
    assert isinstance(first, BiLevel)
    assert isinstance(last, FineTune)
    assert first == BiLevel(settings.continued, settings.own(BiLevelSettings), validation)  # type: ignore[arg-type]
    assert (first.settings.coefficient, first.settings.loss) == (1.0, "published")
    assert entry.control_of == (None if validation == "val" else "tapweight-blo")


def test_the_fifth_slot_of_the_released_code_is_zero_and_keeps_its_weight(
    demo_problem: Problem, smoke: Settings
) -> None:
    """With the raw q of a few steps, at a rate that shows: the slot gains where the others hurt, and the reverse."""
    values = smoke.method.model_dump(mode="json", exclude={"idle"}) | {"rate": 0.05}  # type: ignore[union-attr]
    settings = METHODS.get("tapweight-as-released").options.model_validate(values)  # type: ignore[union-attr]
    assert isinstance(settings, TriLevelSettings)
    stage = TriLevel(smoke.continued.model_copy(update={"steps": 4}), settings, "val")
    stage.validate(demo_problem.spec)
    rows: Any = stage.run(demo_problem, start_of(demo_problem), Uninterrupted()).log["trajectory"]
    slot = demo_problem.objectives.index("mask-contrastive")
    assert rows["steps"] == [1, 2, 3, 4]
    n = len(demo_problem.objectives)
    for k, (q, weights) in enumerate(zip(rows["alignment"], rows["weights"], strict=True)):
        assert q[slot] == 0
        assert rows["losses"][k][slot] == 0
        assert all(value != 0 for index, value in enumerate(q) if index != slot)
        assert 0 < weights[slot] < 1
    assert rows["weights"][0][slot] != pytest.approx(1 / n, abs=1e-6)
