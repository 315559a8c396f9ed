"""Dynamic weight average (Liu et al. 2019): continued pretraining that favours losses which stopped falling."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from methods.method import method
from tasks.settings import Section

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage


class DwaSettings(Section):
    """Over what losses are averaged and how sharply they are compared."""

    window: int = Field(gt=0, default=10)  # steps; ours, for the paper's epoch: a twentieth of a run of 200 steps
    temperature: float = Field(gt=0, default=2.0)  # T of the paper


@method(
    "dwa",
    title="Dynamic weight average",
    paper="Liu et al. 2019, arXiv 1803.10704, Eq. 7",
    published=(),
    cost="as cp",
    section="dwa",
    options=DwaSettings,
    learns=True,
)
def dwa(settings: Settings) -> list[Stage]:
    """Continued pretraining, equal weights during the first two windows, then fine-tuning."""
    from methods.stages.continued import Continued
    from methods.stages.finetune import FineTune
    from methods.weighting.dwa import DynamicWeightAverage
    from methods.weighting.rule import Rule

    rule = Rule(DynamicWeightAverage, settings.own(DwaSettings).model_dump(mode="json"))
    return [Continued(settings.continued, rule), FineTune(settings.finetune)]
