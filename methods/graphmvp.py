"""GraphMVP (Liu et al. 2022): pretraining between the graph and the conformer of a molecule, and its two variants.

The loss that is trained on is the paper's sum divided by the sum of its weights, so that the weights sum to 1 as
everywhere; with Adam, whose steps do not depend on the loss's scale, that is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from methods.finetune import finetune
from methods.method import method

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage

PAPER = "GraphMVP, Liu et al. 2022, arXiv 2110.07728"
COST = "1: its pretraining is shared by all tasks"


def _shares(**alpha: float) -> dict[str, float]:
    """Return the weights alpha_1 (contrastive), alpha_2 (generative), alpha_3 (of the graph alone) with sum 1."""
    return {name.replace("_", "-"): value / sum(alpha.values()) for name, value in alpha.items()}


@method(
    "graphmvp",
    title="GraphMVP",
    paper=PAPER + ", Eq. 7",
    published=("graph",),
    backbones=("gin",),
    cost=COST,
    group="graph-pretraining",
    pretrained_on=_shares(graphmvp_contrastive=1, graphmvp_generative=1),
)
def graphmvp(settings: Settings) -> list[Stage]:
    """Pretraining on alpha_1 L_C + alpha_2 L_G with alpha_1 = alpha_2 = 1, then fine-tuning."""
    return list(finetune(settings))


@method(
    "graphmvp-g",
    title="GraphMVP with attribute masking",
    paper=PAPER + ", Eq. 8",
    published=("graph",),
    backbones=("gin",),
    cost=COST,
    group="graph-pretraining",
    pretrained_on=_shares(graphmvp_contrastive=1, graphmvp_generative=1, attribute_masking=1),
)
def graphmvp_g(settings: Settings) -> list[Stage]:
    """As ``graphmvp``, plus alpha_3 L_2D with attribute masking and alpha_3 = 1."""
    return list(finetune(settings))


@method(
    "graphmvp-c",
    title="GraphMVP with context prediction",
    paper=PAPER + ", Eq. 8",
    published=("graph",),
    backbones=("gin",),
    cost=COST,
    group="graph-pretraining",
    pretrained_on=_shares(graphmvp_contrastive=1, graphmvp_generative=1, context_prediction=0.1),
)
def graphmvp_c(settings: Settings) -> list[Stage]:
    """As ``graphmvp``, plus alpha_3 L_2D with context prediction and alpha_3 = 0.1."""
    return list(finetune(settings))
