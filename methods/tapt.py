"""Task-adaptive and domain-adaptive pretraining (Gururangan et al. 2020): continued pretraining on other inputs.

On text the paper's only objective is masked LM, which the protocols name in ``objectives``; elsewhere, where no paper
evaluates them, all objectives have equal weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from methods import METHODS
from methods.method import method
from methods.settings import PhaseSettings, equal_weights

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage

PAPER = "Gururangan et al. 2020, arXiv 2004.10964"
COST = "cp with as many steps"


class AdaptiveSettings(PhaseSettings):
    """How the phase, on the task's own inputs or the domain's, differs from ``continued``."""

    objectives: tuple[str, ...] = ()  # that it trains on, with equal weights; none: on all


@method(
    "tapt",
    title="TAPT, pretraining on the task's own inputs",
    paper=PAPER + ", Section 4",
    published=("text",),
    cost=COST,
    section="tapt",
    options=AdaptiveSettings,
)
def tapt(settings: Settings) -> list[Stage]:
    """Continued pretraining on the inputs of the training part, without their labels, then fine-tuning."""
    from methods.stages.continued import Continued
    from methods.stages.finetune import FineTune
    from methods.stages.selected import Selected

    own = settings.own(AdaptiveSettings)
    phase = own.on(settings.continued)
    if weights := equal_weights(own.objectives):
        return [Selected(phase, source="task", name="tapt", weights=weights), FineTune(settings.finetune)]
    return [Continued(phase, source="task", name="tapt"), FineTune(settings.finetune)]


@method(
    "dapt",
    title="DAPT, pretraining on the domain's inputs",
    paper=PAPER + ", Section 3",
    published=("text",),
    cost=COST,
    section="dapt",
    options=AdaptiveSettings,
)
def dapt(settings: Settings) -> list[Stage]:
    """Continued pretraining on the domain's inputs, then fine-tuning.

    Where a task has none, as on molecules, the corpus plays the part of the domain; with the settings of
    ``continued`` this is then ``cp`` with equal weights, and shares its artifact.
    """
    from methods.stages.continued import Continued
    from methods.stages.finetune import FineTune
    from methods.stages.selected import Selected
    from methods.weighting.fixed import Fixed
    from methods.weighting.rule import Rule

    own = settings.own(AdaptiveSettings)
    phase, rule = own.on(settings.continued), Rule(Fixed, {"s": []})  # as cp has it
    if weights := equal_weights(own.objectives):
        return [Selected(phase, source="domain", name="dapt", weights=weights), FineTune(settings.finetune)]
    return [Continued(phase, rule, source="domain"), FineTune(settings.finetune)]


@method(
    "dapt-tapt",
    title="DAPT, then TAPT",
    paper=PAPER + ", Section 4.2",
    published=("text",),
    cost="dapt and tapt",
    made_of=lambda own: ("dapt", "tapt"),
)
def dapt_tapt(settings: Settings) -> list[Stage]:
    """One after the other, then fine-tuning."""
    domain, _ = METHODS.get("dapt").part(settings)
    return [domain, *METHODS.get("tapt").part(settings)]
