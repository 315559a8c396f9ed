"""TapWeight: objective weights learned by tri-level optimisation, its shuffled-label control and two variants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from methods.method import method
from methods.settings import TriLevelSettings

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage
    from tasks.problem import Source

PAPER = "TapWeight, arXiv 2410.10006, Eq. 5"
COST = "3.3-3.9 (TapWeight Table 5)"


class PairwiseSettings(TriLevelSettings):
    """The section "tapweight" with the pairwise loss at level III."""

    loss: Literal["pairwise"] = "pairwise"


class AsReleasedSettings(TriLevelSettings):
    """The section "tapweight" with what the released molecule code does in place of what the section says of it."""

    idle: tuple[str, ...] = ("mask-contrastive",)  # the switch that would turn it on is 0 in all released scripts

    @model_validator(mode="before")
    @classmethod
    def _as_released(cls, given: dict[str, Any]) -> dict[str, Any]:
        scheme = {"name": "as-released", "radius": 0.01}
        pace = {"point": "post", "unroll_one": 1, "unroll_two": 1, "largest_move": None}
        return {**given, **pace, "loss": "published", "alignment": "raw", "hypergradient": scheme}


@method(
    "tapweight",
    title="TapWeight, tri-level",
    paper=PAPER,
    published=("image", "text"),
    cost=COST,
    section="tapweight",
    options=TriLevelSettings,
    learns=True,
)
def tapweight(settings: Settings) -> list[Stage]:
    """Learn the weights while pretraining, then fine-tune the pretrained encoder theta."""
    return _stages(settings)


@method(
    "tapweight-null",
    title="TapWeight, level-III labels shuffled",
    paper=PAPER + "; control of this benchmark",
    published=(),
    cost=COST,
    section="tapweight",
    options=TriLevelSettings,
    learns=True,
    control_of="tapweight",
)
def tapweight_null(settings: Settings) -> list[Stage]:
    """The same run with the validation labels permuted for level III only: what the weights do without a signal."""
    return _stages(settings, validation="val-null")


@method(
    "tapweight-pairwise",
    title="TapWeight, level-III loss pairwise",
    paper=PAPER + "; variant of this benchmark",
    published=(),
    cost=COST,
    section="tapweight",
    options=PairwiseSettings,
    learns=True,
)
def tapweight_pairwise(settings: Settings) -> list[Stage]:
    """The same run with a level-III loss on ordered pairs, which no offset of the outputs and no class share enters."""
    return _stages(settings)


@method(
    "tapweight-as-released",
    title="TapWeight as released, fifth objective idle",
    paper=PAPER + "; its released molecule code",
    published=("image",),
    cost=COST,
    backbones=("resnet18",),  # whose objectives the released code names
    section="tapweight",
    options=AsReleasedSettings,
    learns=True,
)
def tapweight_as_released(settings: Settings) -> list[Stage]:
    """The released scheme: two finite differences at every step, a constant 0 in the place of the fifth objective."""
    return _stages(settings)


def _stages(settings: Settings, validation: Source = "val") -> list[Stage]:
    from methods.stages.finetune import FineTune
    from methods.stages.trilevel import TriLevel

    return [TriLevel(settings.continued, settings.own(TriLevelSettings), validation), FineTune(settings.finetune)]
