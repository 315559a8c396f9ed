"""The protocol's sections about training. Values live in ``bench/protocols``; here is what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    Field,
    SerializationInfo,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from tasks.settings import Section, Share, TaskSettings

Own = TypeVar("Own", bound=Section)
Beta = Annotated[float, Field(ge=0, lt=1)]
COMPLETE = "complete"  # a context of model_dump, see :class:`Grown`
Precision = Literal["float32", "bfloat16"]
Schedule = Literal["constant", "linear", "cosine", "step"]  # two end at 0; step: times 0.9, thirty times, evenly


class Grown(Section):
    """A section that got fields after results were stored under it.

    In JSON, which names results, the ``added`` fields are left out while they have their default, so that results
    from before keep their names. With a context of ``COMPLETE`` all fields are there.
    """

    added: ClassVar[tuple[str, ...]]

    @model_serializer(mode="wrap")
    def _serialised(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        for name in self.added if info.context != COMPLETE else ():
            if getattr(self, name) == type(self).model_fields[name].get_default(call_default_factory=True):
                values.pop(name, None)
        return values


class OptimiserSettings(Grown):
    """An optimiser with its learning-rate schedule over the steps of its stage."""

    added = ("betas", "eps", "decay_norms")

    name: Literal["sgd", "adam", "adamw"]  # adam: weight decay is part of the gradient
    lr: float = Field(ge=0)
    momentum: float = Field(ge=0, lt=1, default=0.0)  # sgd only
    weight_decay: float = Field(ge=0)
    clip: float | None = Field(gt=0, default=None)  # largest norm of the gradient
    schedule: Schedule
    warmup: Share = 0.0  # leading part of the steps with a linear rise
    betas: tuple[Beta, Beta] = (0.9, 0.999)  # not of sgd
    eps: float = Field(gt=0, default=1e-8)  # not of sgd
    decay_norms: bool = True  # whether weight decay is for biases and normalisations too; RoBERTa: no


def equal_weights(objectives: Sequence[str]) -> dict[str, float]:
    """Return equal weights for the objectives that are named."""
    return {name: 1 / len(objectives) for name in objectives}


class StartSettings(Grown):
    """The general-domain starting weights that every method shares."""

    added = ("objectives",)

    kind: Literal["pretrain", "checkpoint", "random"]  # train once from scratch, read others' weights, or neither
    checkpoint: str = ""  # its path, or the name of published weights; enters identities as the checksum of the file
    seed: int = 0
    steps: int = Field(gt=0, default=1)
    batch: int = Field(gt=0, default=1)
    optimiser: OptimiserSettings | None = None
    objectives: tuple[str, ...] = ()  # that it trains on, with equal weights; none: on all. RoBERTa: masked-lm

    @property
    def weights(self) -> dict[str, float] | None:
        """The weights of the objectives that are named, if any are."""
        return equal_weights(self.objectives) or None

    @model_validator(mode="after")
    def _complete(self) -> StartSettings:
        needed = ("steps", "batch", "optimiser") if self.kind == "pretrain" else ()
        if missing := [name for name in needed if name not in self.model_fields_set or getattr(self, name) is None]:
            raise ValueError(
                f"expected steps, batch and optimiser with kind 'pretrain', got no {', no '.join(missing)}"
            )
        return self


class ContinuedSettings(Grown):
    """Continued pretraining: the whole of ``cp``, and level I of TapWeight."""

    added = ("source",)

    steps: int = Field(gt=0)
    batch: int = Field(gt=0)
    optimiser: OptimiserSettings
    source: Literal["corpus", "task"] = "corpus"  # D_pt: the general corpus, or the training inputs of the task


class PhaseSettings(Section):
    """What one phase of continued pretraining does otherwise than ``continued``; what is None is as there."""

    steps: int | None = Field(gt=0, default=None)
    batch: int | None = Field(gt=0, default=None)
    optimiser: OptimiserSettings | None = None

    def on(self, continued: ContinuedSettings) -> ContinuedSettings:
        """Return ``continued`` with the changes of this phase."""
        changes = {name: getattr(self, name) for name in PhaseSettings.model_fields}
        return continued.model_copy(update={name: value for name, value in changes.items() if value is not None})


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
    rate_schedule: Schedule
    idle: tuple[str, ...] = ()  # objectives that are the constant 0 and keep their weight


class TriLevelSettings(Grown, UpperLevelSettings):
    """Levels II and III of TapWeight (arXiv 2410.10006, Eq. 5); level I is ``continued``."""

    added = ("proximal", "largest_move")

    gamma: float = Field(ge=0)  # of the proximal term
    proximal: Literal["squares", "released-text"] = "squares"  # its sum, or the form of TapWeight's code for text
    batch: int = Field(gt=0)  # of D_tr
    optimiser: OptimiserSettings  # of omega
    unroll_one: int = Field(gt=0)  # steps of level I before level II moves once
    unroll_two: int = Field(gt=0)  # steps of level II before level III moves once
    largest_move: float | None = Field(gt=0, lt=1, default=None)  # of a weight, aimed at; None: any
    point: Literal["post", "pre"]  # where q is taken: after the step, on its batch; or before it, on the coming batch

    @model_validator(mode="after")
    def _consistent(self) -> TriLevelSettings:
        if self.hypergradient.name == "one-sided" and self.point != "pre":
            raise ValueError("hypergradient 'one-sided' reuses the losses of the training pass, so it needs point: pre")
        if self.proximal != "squares" and self.hypergradient.name in ("neumann", "conjugate-gradients", "as-released"):
            raise ValueError(f"proximal: expected 'squares' with {self.hypergradient.name!r}, got {self.proximal!r}")
        return self


class BiLevelSettings(UpperLevelSettings):
    """TapWeight without its second level (arXiv 2410.10006, Eq. 9): one body on L_pt + c L_tr."""

    coefficient: float = Field(ge=0)  # c
    batch: int = Field(gt=0)  # of D_tr
    unroll: int = Field(gt=0)  # steps of the body before the weights move once


class HeadOptimiserSettings(OptimiserSettings):
    """The end-task head's own optimiser in joint training.

    The constants are those of TARTAN's released code, but for its betas, (0.9, 0.98): ``paper`` has them on its tasks.
    """

    name: Literal["sgd", "adamw"] = "adamw"
    lr: float = Field(ge=0, default=1e-3)
    weight_decay: float = Field(ge=0, default=0.1)
    clip: float | None = Field(gt=0, default=1.0)
    schedule: Schedule = "cosine"  # TARTAN: linear, to 0 as well
    warmup: Share = 0.06


class JointSettings(Grown):
    """Joint training of one body on the objectives and the end task; body and steps are those of ``continued``."""

    added = ("objectives",)

    batch: int = Field(gt=0, default=128)  # of D_tr; TARTAN: 64, accumulated over two passes
    head: HeadOptimiserSettings = HeadOptimiserSettings()
    evaluate_every: int = Field(gt=0, default=30)  # steps between two validation scores; the last step has one too
    patience: int = Field(gt=0, default=20)  # stop when the best of so many last scores is below the best of all
    final_finetuning: bool = True  # fine-tune the best model at the end; the paper calls it optional
    objectives: tuple[str, ...] = ()  # beside the end task; none: all


class MetaSettings(Section):
    """Where joint training takes v, the validation gradient that its weights learn from (TARTAN, Algorithm 1)."""

    validation_batch: int = Field(gt=0, default=64)
    meta_head: Literal["separate", "shared"] = "separate"  # shared: the body's own end-task head
    meta_head_split: Literal["train", "dev"] = "train"  # what a separate head is trained on; TARTAN's code: dev
    meta_batch: int = Field(gt=0, default=32)  # of the one sample that it is trained on
    meta_steps: int = Field(gt=0, default=10)  # of its training, at most


class TrainingSettings(Section):
    """What holds for every stage that trains."""

    # Of the encoder's training passes. Parameters, heads, losses, scores and v stay in 32 bits.
    precision: Precision = "float32"


class Settings(TaskSettings):
    """What one cell uses: the common sections, the method's own, and those of methods that it is made of."""

    training: TrainingSettings = TrainingSettings()
    start: StartSettings
    continued: ContinuedSettings
    finetune: FinetuneSettings
    method: SerializeAsAny[Section] | None = None
    others: dict[str, SerializeAsAny[Section]] = Field(default={})  # of methods whose stages this one takes, by section

    def own(self, kind: type[Own]) -> Own:
        """Return the method's own section, which is of class ``kind``."""
        assert isinstance(self.method, kind)
        return self.method
