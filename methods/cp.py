"""Continued pretraining with fixed equal weights ("CP w/o reweighting", TapWeight Section 4.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from methods.method import method

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage


@method(
    "cp",
    title="Continued pretraining, equal weights",
    paper="TapWeight, arXiv 2410.10006, Section 4.3",
    published=("image",),
    cost="2.2-2.8 (TapWeight Table 5)",
)
def cp(settings: Settings) -> list[Stage]:
    """Level I of TapWeight with s_i = 1/n held fixed, then fine-tuning."""
    from methods.stages.continued import Continued
    from methods.stages.finetune import FineTune
    from methods.weighting.fixed import Fixed

    return [Continued(settings.continued, Fixed), FineTune(settings.finetune)]
