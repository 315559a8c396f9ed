"""Random loss weighting (Lin et al. 2022): continued pretraining under weights that know nothing, a control."""

from __future__ import annotations

from typing import TYPE_CHECKING

from methods.method import method

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage


@method(
    "rlw",
    title="Random loss weighting",
    paper="Lin et al. 2022, arXiv 2111.10603, Section 3",
    published=(),
    cost="as cp",
    learns=True,
)
def rlw(settings: Settings) -> list[Stage]:
    """Continued pretraining with weights drawn anew for every step, then fine-tuning."""
    from methods.stages.continued import Continued
    from methods.stages.finetune import FineTune
    from methods.weighting.rlw import RandomLossWeighting
    from methods.weighting.rule import Rule

    return [Continued(settings.continued, Rule(RandomLossWeighting)), FineTune(settings.finetune)]
