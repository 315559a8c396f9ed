"""Continued pretraining with fixed weights ("CP w/o reweighting", TapWeight Section 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from methods.method import method
from tasks.settings import Section

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage


class CpSettings(Section):
    """The fixed weights."""

    weights: tuple[float, ...] = Field(default=())  # in the order of the objectives; none: equal ones


@method(
    "cp",
    title="Continued pretraining, fixed weights",
    paper="TapWeight, arXiv 2410.10006, Section 4.3",
    published=("image",),
    cost="2.2-2.8 (TapWeight Table 5)",
    section="cp",
    options=CpSettings,
)
def cp(settings: Settings) -> list[Stage]:
    """Level I of TapWeight with s_i held fixed, at 1/n unless given, then fine-tuning."""
    from methods.stages.continued import Continued
    from methods.stages.finetune import FineTune
    from methods.weighting.fixed import Fixed
    from methods.weighting.rule import Rule

    rule = Rule(Fixed, {"s": list(settings.own(CpSettings).weights)})
    return [Continued(settings.continued, rule), FineTune(settings.finetune)]
