"""Attribute masking and context prediction of molecule graphs (Hu et al. 2020), each as the only pretraining."""

from __future__ import annotations

from typing import TYPE_CHECKING

from methods.finetune import finetune
from methods.method import method

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage

PAPER = "Strategies for Pre-training Graph Neural Networks, Hu et al. 2020, arXiv 1905.12265"


@method(
    "attrmask",
    title="Attribute masking",
    paper=PAPER + ", Section 3.1.2",
    published=("graph",),
    backbones=("gin",),
    cost="1: its pretraining is shared by all tasks",
    group="graph-pretraining",
    pretrained_on={"attribute-masking": 1.0},
)
def attrmask(settings: Settings) -> list[Stage]:
    """Pretraining that predicts the types of hidden atoms, then fine-tuning."""
    return list(finetune(settings))


@method(
    "contextpred",
    title="Context prediction",
    paper=PAPER + ", Section 3.1.1",
    published=("graph",),
    backbones=("gin",),
    cost="1: its pretraining is shared by all tasks",
    group="graph-pretraining",
    pretrained_on={"context-prediction": 1.0},
)
def contextpred(settings: Settings) -> list[Stage]:
    """Pretraining that tells an atom's surroundings from those of others, then fine-tuning."""
    return list(finetune(settings))
