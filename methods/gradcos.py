"""Gradient similarity (Du et al. 2018): joint training where objectives count while they agree with the end task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from methods.method import method
from methods.settings import JointSettings

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage


@method(
    "gradcos",
    title="Gradient cosine similarity",
    paper="Du et al. 2018, arXiv 1812.02224, weighted version",
    published=(),
    cost="cp with one backward pass for each term and one labelled batch a step",
    section="gradcos",
    options=JointSettings,
    learns=True,
)
def gradcos(settings: Settings) -> list[Stage]:
    """Train one body on all terms, each objective by its cosine with the end task's gradient, then fine-tune it."""
    from methods.stages.joint import pipeline
    from methods.weighting.gradcos import GradCos
    from methods.weighting.rule import Rule

    return pipeline(settings, Rule(GradCos))
