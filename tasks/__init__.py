"""What is measured: data sets, splits, metrics, and the modalities with their encoders and objectives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.registry import Registry

if TYPE_CHECKING:
    from tasks.backbone import Backbone

BACKBONES: Registry[Backbone] = Registry("backbone", "tasks.backbones", "bench.backbones")
