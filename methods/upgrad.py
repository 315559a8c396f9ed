"""UPGrad (Quinton & Rey 2024): continued pretraining in a direction that raises no loss to first order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from methods.method import method

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage


@method(
    "upgrad",
    title="UPGrad, Jacobian descent",
    paper="Quinton & Rey 2024, arXiv 2406.16232",
    published=(),
    cost="cp with one backward pass for each objective",
    learns=True,
    extra="rules",
    needs=("torchjd", "qpsolvers", "quadprog"),
)
def upgrad(settings: Settings) -> list[Stage]:
    """Continued pretraining with the weights of each batch's unconflicting gradients, then fine-tuning."""
    from methods.stages.continued import Continued
    from methods.stages.finetune import FineTune
    from methods.weighting.rule import Rule
    from methods.weighting.upgrad import UPGrad

    return [Continued(settings.continued, Rule(UPGrad)), FineTune(settings.finetune)]
