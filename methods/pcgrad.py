"""PCGrad (Yu et al. 2020): continued pretraining in which conflicting gradients are projected, in random order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from methods.method import method

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage


@method(
    "pcgrad",
    title="PCGrad, gradient surgery",
    paper="Yu et al. 2020, arXiv 2001.06782, Algorithm 1",
    published=(),
    cost="cp with one backward pass for each objective",
    learns=True,
    extra="rules",
    needs=("torchjd",),
)
def pcgrad(settings: Settings) -> list[Stage]:
    """Continued pretraining with the weights of each batch's projected gradients, then fine-tuning."""
    from methods.stages.continued import Continued
    from methods.stages.finetune import FineTune
    from methods.weighting.pcgrad import PCGrad
    from methods.weighting.rule import Rule

    return [Continued(settings.continued, Rule(PCGrad)), FineTune(settings.finetune)]
