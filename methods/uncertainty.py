"""Uncertainty weighting (Kendall et al. 2018): continued pretraining under learned log-variances of the losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from methods.method import method
from tasks.settings import Section

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage


class UncertaintySettings(Section):
    """How fast the log-variances move."""

    rate: float = Field(ge=0, default=0.02)  # ours; the paper leaves them to the optimiser of the network


@method(
    "uncertainty",
    title="Uncertainty weighting",
    paper="Kendall et al. 2018, arXiv 1705.07115, Section 3",
    published=(),
    cost="as cp",
    section="uncertainty",
    options=UncertaintySettings,
    learns=True,
)
def uncertainty(settings: Settings) -> list[Stage]:
    """Continued pretraining in which a loss that stays high loses weight, then fine-tuning."""
    from methods.stages.continued import Continued
    from methods.stages.finetune import FineTune
    from methods.weighting.rule import Rule
    from methods.weighting.uncertainty import Uncertainty

    rule = Rule(Uncertainty, settings.own(UncertaintySettings).model_dump(mode="json"))
    return [Continued(settings.continued, rule), FineTune(settings.finetune)]
