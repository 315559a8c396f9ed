"""FAMO (Liu et al. 2023): continued pretraining in which the logarithms of all losses fall at one pace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from methods.method import method
from tasks.settings import Section

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage


class FamoSettings(Section):
    """The update of the logits xi."""

    beta: float = Field(ge=0, default=0.025)  # the paper's, whose code hands it to Adam; Algorithm 1 takes plain steps
    gamma: float = Field(ge=0, default=0.001)  # the paper's decay
    bounds: tuple[float, ...] = ()  # lower bounds of the losses, in the order of the objectives; none: 0


@method(
    "famo",
    title="FAMO",
    paper="Liu et al. 2023, arXiv 2306.03792, Algorithm 1",
    published=(),
    cost="as cp, and one more forward pass a step",
    section="famo",
    options=FamoSettings,
    learns=True,
)
def famo(settings: Settings) -> list[Stage]:
    """Continued pretraining, each batch's losses taken before and after its step, then fine-tuning."""
    from methods.stages.continued import Continued
    from methods.stages.finetune import FineTune
    from methods.weighting.famo import FAMO
    from methods.weighting.rule import Rule

    rule = Rule(FAMO, settings.own(FamoSettings).model_dump(mode="json"))
    return [Continued(settings.continued, rule), FineTune(settings.finetune)]
