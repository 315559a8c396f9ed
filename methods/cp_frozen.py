"""Continued pretraining with the final weights of a learning method, held fixed from the start."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.errors import RequestError, nearest
from methods import METHODS
from methods.method import method
from methods.settings import PhaseSettings
from tasks.settings import Section

if TYPE_CHECKING:
    from methods.settings import Settings
    from methods.stage import Stage


class CpFrozenSettings(PhaseSettings):
    """Whose weights, and how the pretraining under them differs from ``continued``."""

    of: str = "tapweight"  # any method that learns weights; its own section is read too


def learner(own: Section | None) -> Sequence[str]:
    """Return the method whose weights are taken; raises RequestError if it learns none."""
    assert isinstance(own, CpFrozenSettings)
    known = [name for name in METHODS.names() if METHODS.get(name).learns]
    if own.of not in known:
        raise RequestError(
            f"cp-frozen.of: expected a method that learns weights, got {own.of!r}; {nearest(own.of, known)}"
        )
    return [own.of]


@method(
    "cp-frozen",
    title="Continued pretraining, learned weights held fixed",
    paper="ours; the weights are those of the method in cp-frozen.of",
    published=(),
    cost="that of the learning method, and cp",
    section="cp-frozen",
    options=CpFrozenSettings,
    made_of=learner,
)
def cp_frozen(settings: Settings) -> list[Stage]:
    """Learn the weights, go back to the network before that, pretrain it with the final weights, then fine-tune.

    What the weights are worth by themselves, without the path on which they were learned. Of a method
    that weights the end task as well, that weight is dropped and the others are divided by their sum.
    """
    from methods.stages.finetune import FineTune
    from methods.stages.frozen import Frozen
    from methods.stages.rewound import Rewound

    own = settings.own(CpFrozenSettings)
    entry = METHODS.get(own.of)
    if entry.missing:
        install = f"pip install 'bench-reweighting[{entry.extra}]'"
        raise RequestError(f"cp-frozen.of: {own.of} needs {', '.join(entry.missing)}, not installed here; {install}")
    *before, last = [each for each in entry.part(settings) if not isinstance(each, FineTune)]
    return [*before, Rewound(last, last.name), Frozen(own.on(settings.continued)), FineTune(settings.finetune)]
