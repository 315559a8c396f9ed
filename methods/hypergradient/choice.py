"""From the protocol's section to a hypergradient."""

from __future__ import annotations

from functools import partial

from methods.hypergradient.backward import backward
from methods.hypergradient.central import central
from methods.hypergradient.conjugate import conjugate_gradients
from methods.hypergradient.forward import forward
from methods.hypergradient.neumann import neumann
from methods.hypergradient.one_sided import one_sided
from methods.hypergradient.probe import Hypergradient
from methods.hypergradient.released import as_released
from methods.settings import HypergradientSettings


def choose(settings: HypergradientSettings) -> Hypergradient:
    """Return the hypergradient that ``settings`` names."""
    found: dict[str, Hypergradient] = {
        "forward": forward,
        "backward": backward,
        "central": partial(central, radius=settings.radius),
        "one-sided": partial(one_sided, radius=settings.radius),
        "neumann": partial(neumann, terms=settings.terms, step=settings.step),
        "conjugate-gradients": partial(conjugate_gradients, terms=settings.terms),
        "as-released": partial(as_released, radius=settings.radius),
    }
    return found[settings.name]
