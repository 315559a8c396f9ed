"""The state of the global random generators: to pass through a network again with the same dropout masks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


def random_state(device: torch.device) -> list[Tensor]:
    """Return the states of the global generators that a pass on ``device`` may draw from."""
    return [generator.get_state() for generator in _generators(device)]


@contextmanager
def replayed(state: Sequence[Tensor], device: torch.device) -> Iterator[None]:
    """Let the global generators go on from ``state``, and put them back as they were."""
    before = random_state(device)
    _restore(state, device)
    try:
        yield
    finally:
        _restore(before, device)


def _restore(state: Sequence[Tensor], device: torch.device) -> None:
    for generator, one in zip(_generators(device), state, strict=True):
        generator.set_state(one)


def _generators(device: torch.device) -> list[torch.Generator]:
    found = [torch.default_generator]
    if device.type == "cuda":
        torch.cuda.init()  # there are none before
        index = torch.cuda.current_device() if device.index is None else device.index
        found.append(torch.cuda.default_generators[index])
    return found
