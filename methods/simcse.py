"""SimCSE without supervision (Gao et al. 2021), alone and with masked LM: objectives by name, with fixed weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from methods.method import method
from methods.settings import PhaseSettings

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage

PAPER = "SimCSE, Gao et al. 2021, arXiv 2104.08821"


class SimcseSettings(PhaseSettings):
    """How the phase differs from ``continued``. Its last step is handed on: no choice by a similarity task."""

    masked_lm: float = Field(gt=0, default=0.1)  # lambda, beside the 1 of the contrastive loss; simcse-mlm only


@method(
    "simcse",
    title="SimCSE, the contrastive objective alone",
    paper=PAPER + ", Eq. 4",
    published=("text",),
    backbones=("roberta",),  # with an objective of that name
    cost="below cp: the other objectives' passes are left out",
    section="simcse",
    options=SimcseSettings,
)
def simcse(settings: Settings) -> list[Stage]:
    """Continued pretraining on the contrastive loss, then fine-tuning."""
    return _stages(settings, "simcse", {"contrastive": 1.0})


@method(
    "simcse-mlm",
    title="SimCSE with masked LM",
    paper=PAPER + ", Section 5 and Table D.2",
    published=("text",),
    backbones=("roberta",),
    cost="below cp: the other objectives' passes are left out",
    section="simcse",
    options=SimcseSettings,
)
def simcse_mlm(settings: Settings) -> list[Stage]:
    """Continued pretraining on L_cl + lambda L_mlm, then fine-tuning.

    The loss that is trained on is that sum divided by 1 + lambda, so that the weights sum to 1 as everywhere;
    with AdamW, whose steps do not depend on the loss's scale, that is the same but for the clipping.
    """
    share = settings.own(SimcseSettings).masked_lm
    return _stages(settings, "simcse-mlm", {"contrastive": 1 / (1 + share), "masked-lm": share / (1 + share)})


def _stages(settings: Settings, name: str, weights: dict[str, float]) -> list[Stage]:
    from methods.stages.finetune import FineTune
    from methods.stages.selected import Selected

    phase = settings.own(SimcseSettings).on(settings.continued)
    return [Selected(phase, name=name, weights=weights), FineTune(settings.finetune)]
