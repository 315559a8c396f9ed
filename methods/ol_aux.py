"""OL-AUX (Lin et al. 2019): joint training in which objectives that lowered the end task's loss gain weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from methods.method import method
from methods.settings import JointSettings

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage


class OlAuxSettings(JointSettings):
    """How the weights move."""

    beta: float = Field(ge=0, default=5.0)  # their learning rate, in the released code
    interval: int = Field(gt=0, default=5)  # N, steps between two of their moves


@method(
    "ol-aux",
    title="OL-AUX",
    paper="Lin et al. 2019, Adaptive Auxiliary Task Weighting for Reinforcement Learning, NeurIPS, Algorithm 1",
    published=(),
    cost="cp with one backward pass for each term and one labelled batch a step",
    section="ol-aux",
    options=OlAuxSettings,
    learns=True,
)
def ol_aux(settings: Settings) -> list[Stage]:
    """Train one body on all terms, the weights following the gradients' products with the end task's; fine-tune it."""
    from methods.stages.joint import pipeline
    from methods.weighting.olaux import OlAux
    from methods.weighting.rule import Rule

    own = settings.own(OlAuxSettings)
    alpha = settings.continued.optimiser.lr
    return pipeline(settings, Rule(OlAux, {"alpha": alpha, "beta": own.beta, "interval": own.interval}))
