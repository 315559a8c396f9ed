"""TARTAN: end-task aware training, with constant or learned weights, and its shuffled-label control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from methods.method import method
from methods.settings import JointSettings, MetaSettings

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage
    from tasks.problem import Source

PAPER = "TARTAN, Dery et al. 2022, arXiv 2109.07437"


class TartanSettings(JointSettings, MetaSettings):
    """Both methods; all but the part on joint training is META-TARTAN's."""

    eta: float = Field(ge=0, default=0.01)  # of the raw weights; the paper's grid goes up to 0.1
    score: Literal["cosine", "dot"] = "cosine"  # Algorithm 1, or Eq. 7
    weight_update: Literal["before", "after"] = "after"  # the body's step; Algorithm 1: before, released code: after
    jacobian: bool = False  # put the softmax's Jacobian before the scores, as TapWeight does


@method(
    "mt-tartan",
    title="MT-TARTAN, equal weights",
    paper=PAPER,
    published=("text",),
    cost="cp and one labelled batch a step",
    section="tartan",
    options=TartanSettings,
    group="tartan",
)
def mt_tartan(settings: Settings) -> list[Stage]:
    """Train one body on the objectives and the end task, 1 / (n + 1) each, then fine-tune it."""
    from methods.stages.joint import pipeline
    from methods.weighting.fixed import Fixed
    from methods.weighting.rule import Rule

    return pipeline(settings, Rule(Fixed))


@method(
    "meta-tartan",
    title="META-TARTAN",
    paper=PAPER + ", Algorithm 1",
    published=("text",),
    cost="cp with one backward pass for each term, two labelled batches and a meta head a step",
    section="tartan",
    options=TartanSettings,
    learns=True,
    group="tartan",
)
def meta_tartan(settings: Settings) -> list[Stage]:
    """Train one body on all terms, raising the weights of those aligned with the validation gradient; fine-tune it."""
    return _meta(settings, validation="val")


@method(
    "meta-tartan-null",
    title="META-TARTAN, validation labels shuffled",
    paper=PAPER + ", Algorithm 1; control of this benchmark",
    published=(),
    cost="as meta-tartan",
    section="tartan",
    options=TartanSettings,
    learns=True,
    control_of="meta-tartan",
)
def meta_tartan_null(settings: Settings) -> list[Stage]:
    """The same run with the labels of the validation gradient permuted: what the weights do without a signal."""
    return _meta(settings, validation="val-null")


def _meta(settings: Settings, validation: Source) -> list[Stage]:
    from methods.stages.joint import pipeline
    from methods.weighting.metatartan import MetaTartan
    from methods.weighting.rule import Rule

    own = settings.own(TartanSettings)
    options = {"eta": own.eta, "score": own.score, "order": own.weight_update, "jacobian": own.jacobian}
    return pipeline(settings, Rule(MetaTartan, options), own, validation)
