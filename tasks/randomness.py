"""The randomness of a step is a function of (seed, purpose, step) alone."""

from __future__ import annotations

import hashlib

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed that depends on ``seed`` and every part of ``purpose``."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator for one purpose; drawing on the CPU gives every device the same numbers."""
    return torch.Generator().manual_seed(derive(seed, *purpose))
