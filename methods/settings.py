"""The protocol's sections about training. Values live in ``bench/protocols``; here is what they mean."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SerializeAsAny, model_validator

from tasks.settings import Section, Share, TaskSettings


class OptimiserSettings(Section):
    """An optimiser with its learning-rate schedule over the steps of its stage."""

    name: Literal["sgd", "adamw"]
    lr: float = Field(ge=0)
    momentum: float = Field(ge=0, lt=1, default=0.0)  # sgd only
    weight_decay: float = Field(ge=0)
    clip: float | None = Field(gt=0, default=None)  # largest norm of the gradient
    schedule: Literal["constant", "cosine", "step"]  # cosine ends at 0; step: times 0.9, thirty times, evenly
    warmup: Share = 0.0  # leading part of the steps with a linear rise


class StartSettings(Section):
    """The general-domain starting weights that every method shares."""

    kind: Literal["pretrain", "checkpoint"]  # train once from scratch, or read an ImageMol-style file
    checkpoint: str = ""  # its path; enters identities as the checksum of the file
    seed: int = 0
    steps: int = Field(gt=0, default=1)
    batch: int = Field(gt=0, default=1)
    optimiser: OptimiserSettings | None = None

    @model_validator(mode="after")
    def _complete(self) -> StartSettings:
        if self.kind == "pretrain" and self.optimiser is None:
            raise ValueError("kind 'pretrain' needs steps, batch and optimiser")
        return self


class ContinuedSettings(Section):
    """Continued pretraining: the whole of ``cp``, and level I of TapWeight."""

    steps: int = Field(gt=0)
    batch: int = Field(gt=0)
    optimiser: OptimiserSettings


class FinetuneSettings(Section):
    """Fine-tuning with early stopping on validation: the same last stage for every method."""

    epochs: int = Field(gt=0)
    batch: int = Field(gt=0)
    patience: int = Field(ge=0)  # stop when more epochs than this in a row bring no better validation score
    optimiser: OptimiserSettings


class TriLevelSettings(Section):
    """Levels II and III of TapWeight (arXiv 2410.10006, Eq. 5); level I is ``continued``."""

    gamma: float = Field(ge=0)  # of the proximal term, sum-of-squares form
    batch: int = Field(gt=0)  # of D_tr
    optimiser: OptimiserSettings  # of omega
    validation_batch: int = Field(gt=0)  # of D_val
    every: int = Field(gt=0)  # level-I steps before levels II and III move once
    alignment: Literal["raw", "ema"]  # q as it is, or divided by the root of a running mean of q squared
    ema_decay: float = Field(ge=0, lt=1, default=0.9)
    rate: float = Field(ge=0)  # eta_alpha = 2 gamma lr_alpha
    rate_schedule: Literal["constant", "step"]


class Settings(TaskSettings):
    """What one cell uses: the common sections and the method's own."""

    start: StartSettings
    continued: ContinuedSettings
    finetune: FinetuneSettings
    method: SerializeAsAny[Section] | None = None
