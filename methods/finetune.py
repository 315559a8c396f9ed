"""Direct fine-tuning: the baseline of every table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from methods.method import method

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage


@method(
    "finetune",
    title="Fine-tuning",
    paper="Xiang et al. 2022 (ImageMol); Liu et al. 2019 (RoBERTa); Hu et al. 2020 (GIN)",
    published=("image", "text", "graph"),
    cost="1",
)
def finetune(settings: Settings) -> list[Stage]:
    """Fine-tune the general-domain start on the task."""
    from methods.stages.finetune import FineTune

    return [FineTune(settings.finetune)]
