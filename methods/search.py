"""Search for fixed weights at a stated budget, chosen on validation: at random, or by a model of earlier trials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from methods.method import method
from tasks.settings import Section

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage

COST = "trials x (cp + fine-tuning), and fine-tuning"


class SearchSettings(Section):
    """The budget. It stands in the record."""

    trials: int = Field(gt=0, default=10)  # continued pretraining with fine-tuning after it; the first: equal weights
    epochs: int | None = Field(gt=0, default=None)  # of a trial's fine-tuning, if fewer than those of ``finetune``
    startup: int = Field(gt=0, default=5)  # search-tpe: trials before the first that the model proposes; Optuna: 10


@method(
    "search-random",
    title="Random search for fixed weights",
    paper="Bergstra and Bengio 2012, JMLR 13, 281-305",
    published=(),
    cost=COST,
    section="search",
    options=SearchSettings,
    learns=True,
    group="search",
)
def search_random(settings: Settings) -> list[Stage]:
    """Weights drawn uniformly from the simplex; the best trial's encoder is fine-tuned."""
    return _stages(settings, startup=None)


@method(
    "search-tpe",
    title="Search for fixed weights by TPE",
    paper="Bergstra et al. 2011, NeurIPS 24; Optuna, arXiv 1907.10902",
    published=(),
    cost=COST,
    section="search",
    options=SearchSettings,
    learns=True,
    group="search",
    extra="search",
    needs=("optuna",),
)
def search_tpe(settings: Settings) -> list[Stage]:
    """The first trials are those of ``search-random``; then a tree-structured Parzen estimator proposes."""
    return _stages(settings, startup=settings.own(SearchSettings).startup)


def _stages(settings: Settings, startup: int | None) -> list[Stage]:
    from methods.stages.finetune import FineTune
    from methods.stages.search import Search

    own, finetune = settings.own(SearchSettings), settings.finetune
    trial = finetune.model_copy(update={"epochs": min(own.epochs or finetune.epochs, finetune.epochs)})
    return [Search(settings.continued, trial, own.trials, startup), FineTune(finetune)]
