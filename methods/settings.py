"""The protocol's sections about training. Values live in ``bench/protocols``; here is what they mean."""

from __future__ import annotations

from typing import Literal, TypeVar

from pydantic import Field, SerializeAsAny, model_validator

from tasks.settings import Section, Share, TaskSettings

Own = TypeVar("Own", bound=Section)


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


class HypergradientSettings(Section):
    """How q_i, the alignment of an objective with the validation gradient, is computed."""

    name: Literal["forward", "backward", "central", "one-sided", "neumann", "conjugate-gradients", "as-released"]
    radius: float = Field(gt=0, default=0.01)  # norm of a finite difference's step
    terms: int = Field(gt=0, default=1)  # of the Neumann series beyond the first; of the conjugate gradients
    step: float = Field(gt=0, default=1.0)  # of the Neumann series


class UpperLevelSettings(Section):
    """The level that moves the weights: gradient steps on alpha along the validation loss."""

    validation_batch: int = Field(gt=0)  # of D_val
    loss: Literal["published", "pairwise"] = "published"  # pairwise: a surrogate of the AUC that ignores offsets
    hypergradient: HypergradientSettings
    alignment: Literal["raw", "ema", "cosine"]  # q as it is, over the root of a running mean of q squared, or cosine
    ema_decay: float = Field(ge=0, lt=1, default=0.9)
    rate: float = Field(ge=0)  # eta_alpha: 2 gamma lr_alpha for three levels, lr_alpha for two
    rate_schedule: Literal["constant", "step"]
    idle: tuple[str, ...] = ()  # objectives that are the constant 0 and keep their weight


class TriLevelSettings(UpperLevelSettings):
    """Levels II and III of TapWeight (arXiv 2410.10006, Eq. 5); level I is ``continued``."""

    gamma: float = Field(ge=0)  # of the proximal term, sum-of-squares form
    batch: int = Field(gt=0)  # of D_tr
    optimiser: OptimiserSettings  # of omega
    unroll_one: int = Field(gt=0)  # steps of level I before level II moves once
    unroll_two: int = Field(gt=0)  # steps of level II before level III moves once
    point: Literal["post", "pre"]  # where q is taken: after the step, on its batch; or before it, on the coming batch

    @model_validator(mode="after")
    def _consistent(self) -> TriLevelSettings:
        if self.hypergradient.name == "one-sided" and self.point != "pre":
            raise ValueError("hypergradient 'one-sided' reuses the losses of the training pass, so it needs point: pre")
        return self


class BiLevelSettings(UpperLevelSettings):
    """TapWeight without its second level (arXiv 2410.10006, Eq. 9): one body on L_pt + c L_tr."""

    coefficient: float = Field(ge=0)  # c
    batch: int = Field(gt=0)  # of D_tr
    unroll: int = Field(gt=0)  # steps of the body before the weights move once


class Settings(TaskSettings):
    """What one cell uses: the common sections and the method's own."""

    start: StartSettings
    continued: ContinuedSettings
    finetune: FinetuneSettings
    method: SerializeAsAny[Section] | None = None

    def own(self, kind: type[Own]) -> Own:
        """Return the method's own section, which is of class ``kind``."""
        assert isinstance(self.method, kind)
        return self.method
