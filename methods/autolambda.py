"""Auto-Lambda (Liu et al. 2022): joint training whose weights look one step ahead, and its shuffled-label control."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from methods.method import method
from methods.settings import JointSettings, MetaSettings

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage
    from tasks.problem import Source

PAPER = "Liu et al. 2022, arXiv 2202.03091, auxiliary learning"
COST = "cp with one backward pass for each term and two labelled batches a step"


class AutoLambdaSettings(JointSettings):
    """How the weights move."""

    validation_batch: int = Field(gt=0, default=64)
    rate: float = Field(ge=0, default=1e-4)  # Adam's, in the released code; 3e-4 for CIFAR-100


@method(
    "autolambda",
    title="Auto-Lambda",
    paper=PAPER,
    published=(),
    cost=COST,
    section="autolambda",
    options=AutoLambdaSettings,
    learns=True,
)
def autolambda(settings: Settings) -> list[Stage]:
    """Train one body on all terms, the weights descending on the validation loss one step ahead, then fine-tune it."""
    return _stages(settings, validation="val")


@method(
    "autolambda-null",
    title="Auto-Lambda, validation labels shuffled",
    paper=PAPER + "; control of this benchmark",
    published=(),
    cost=COST,
    section="autolambda",
    options=AutoLambdaSettings,
    learns=True,
    control_of="autolambda",
)
def autolambda_null(settings: Settings) -> list[Stage]:
    """The same run with the labels of the look-ahead permuted: what the weights do without a signal."""
    return _stages(settings, validation="val-null")


def _stages(settings: Settings, validation: Source) -> list[Stage]:
    from methods.stages.joint import pipeline
    from methods.weighting.autolambda import AutoLambda
    from methods.weighting.rule import Rule

    own = settings.own(AutoLambdaSettings)
    meta = MetaSettings(validation_batch=own.validation_batch, meta_head="shared")
    return pipeline(settings, Rule(AutoLambda, {"rate": own.rate}), meta, validation)
