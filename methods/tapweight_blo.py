"""TapWeight without its second level ("w/o MLO"), and its shuffled-label control."""

from __future__ import annotations

from typing import TYPE_CHECKING

from methods.method import method
from methods.settings import BiLevelSettings

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage
    from tasks.problem import Source

PAPER = "TapWeight, arXiv 2410.10006, Eq. 9"
COST = "not published"


@method(
    "tapweight-blo",
    title="TapWeight, bi-level",
    paper=PAPER,
    published=("image",),
    cost=COST,
    section="tapweight-blo",
    options=BiLevelSettings,
    learns=True,
)
def tapweight_blo(settings: Settings) -> list[Stage]:
    """Learn the weights while training one body on objectives and end task, then fine-tune its encoder."""
    return _stages(settings, validation="val")


@method(
    "tapweight-blo-null",
    title="TapWeight, bi-level, upper-level labels shuffled",
    paper=PAPER + "; control of this benchmark",
    published=(),
    cost=COST,
    section="tapweight-blo",
    options=BiLevelSettings,
    learns=True,
    control_of="tapweight-blo",
)
def tapweight_blo_null(settings: Settings) -> list[Stage]:
    """The same run with the validation labels permuted for the upper level only."""
    return _stages(settings, validation="val-null")


def _stages(settings: Settings, validation: Source) -> list[Stage]:
    from methods.stages.bilevel import BiLevel
    from methods.stages.finetune import FineTune

    return [BiLevel(settings.continued, settings.own(BiLevelSettings), validation), FineTune(settings.finetune)]
