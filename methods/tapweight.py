"""TapWeight: objective weights learned by tri-level optimisation, and its shuffled-label control."""

from __future__ import annotations

from typing import TYPE_CHECKING

from methods.method import method
from methods.settings import TriLevelSettings

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage
    from tasks.problem import Source

PAPER = "TapWeight, arXiv 2410.10006, Eq. 5"
COST = "3.3-3.9 (TapWeight Table 5)"


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
    return _stages(settings, validation="val")


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


def _stages(settings: Settings, validation: Source) -> list[Stage]:
    from methods.stages.finetune import FineTune
    from methods.stages.trilevel import TriLevel

    return [TriLevel(settings.continued, settings.own(TriLevelSettings), validation), FineTune(settings.finetune)]
