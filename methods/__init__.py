"""What is compared: weighting rules, training stages, and methods as short lists of stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.registry import Registry

if TYPE_CHECKING:
    from methods.method import Method

METHODS: Registry[Method] = Registry("method", "methods", "bench.methods")
