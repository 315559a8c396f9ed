"""The protocol's sections about data and encoders. Values live in ``bench/protocols``; here is what they mean."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A section of a protocol: unknown keys are refused, and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        wanted = cls.model_fields[info.field_name or ""].annotation
        values = value if isinstance(value, list | tuple) else [value]
        if wanted is not bool and any(isinstance(one, bool) for one in values):
            raise ValueError(f"expected no truth value, which YAML makes of yes, no, on and off, got {value!r}")
        return value


class LabelSettings(Section):
    """How labels enter the losses. Scores are always in the units of the task."""

    standardise: bool  # regression targets by mean and sd of the training part
    # Part of validation that weights learn from, while the rest chooses epochs; 0: all of it does both, as released.
    weights_share: Annotated[float, Field(ge=0, lt=1)] = 0.0


class CorpusSettings(Section):
    """The unlabelled molecules and their cluster labels.

    ``shares`` may name a file of the user's own, see ``tasks.molecules.files``.
    """

    molecules: int = Field(gt=0)
    shares: dict[str, Share]  # file below ``molecules/`` of the mirror, without ending -> share of the pool
    clusters: tuple[int, int, int]  # K of the three clusterings; each limited to molecules / 100
    seed: int
    exclude: Literal["suite", "none"]  # drop molecules of the validation and test parts of the suite's tasks


class ImageSettings(Section):
    """Rendering, augmentation and views of molecule images, and the width of the ResNet-18."""

    render_pixels: int = Field(ge=32)  # side of the drawing
    pixels: int = Field(ge=16)  # side the encoder sees; area-downsampled from the drawing
    width: int = Field(ge=4)  # channels of the stem; the feature has 8 * width entries
    flip: Share
    gray: Share
    rotation: Literal["right-angles", "any"]
    fill: Literal["white", "black"]  # corners that a rotation by any angle uncovers
    jigsaw_keep: Share  # probability of forcing the identity on top of the uniform draw
    permutations: int = Field(ge=2)
    permutation_seed: int
    mask_pixels: int = Field(ge=1)
    contrastive_share: Annotated[float, Field(gt=0, le=1)]  # leading part of the batch that has mask-contrastive views
    contrastive_features: Literal["raw", "normalised"] = "raw"  # normalised: ours, the loss cannot shrink features


class TextSettings(Section):
    """The tokenizer, the encoder, its unlabelled text and its objectives."""

    # The folder of a saved model, or the name of published weights: its architecture and tokenizer stand in for
    # tokenizer, vocabulary, layers, width and heads. Its weights are read where start.checkpoint names them.
    model: str = ""
    tokenizer: Literal["own", "roberta-base"]  # a byte-level BPE trained on the corpus, or RoBERTa's
    vocabulary: int = Field(ge=300)  # of the own tokenizer
    sentences: int = Field(gt=0)  # of the general-domain corpus
    seed: int = 0  # of the choice of sentences
    layers: int = Field(ge=1)
    width: int = Field(ge=8)
    heads: int = Field(ge=1)
    dropout: Share
    tokens: int = Field(ge=8)  # of a labelled example, special ones included; longer texts are cut
    corpus_tokens: int = Field(ge=8)  # of an unlabelled example
    document_tokens: int | None = Field(ge=8, default=None)  # of a task's own or its domain's; none: corpus_tokens
    mask_share: Annotated[float, Field(gt=0, lt=1)] = 0.15  # of the tokens that masked LM predicts
    temperature: float = Field(gt=0, default=0.05)  # tau of the contrastive loss (SimCSE)


class GraphSettings(Section):
    """Molecule graphs: features, the GIN, and its four objectives (Hu et al. 2020; GraphMVP, Liu et al. 2022)."""

    features: Literal["published", "ogb"]  # atom index and chirality, bond type and direction; or OGB's full ones
    layers: int = Field(ge=1)
    width: int = Field(ge=4)
    dropout: Share  # after each layer, while fine-tuning; pretraining has none
    molecules: int = Field(gt=0)  # of the corpus, and of a task's own inputs, that get conformers: one costs 1/54 s
    conformers: int = Field(ge=1)  # of a molecule
    conformer_seed: int = 0
    mask_share: Annotated[float, Field(gt=0, lt=1)] = 0.15  # of the atoms that attribute masking hides
    mask_bonds: bool = False  # hide the bonds of hidden atoms too, and predict them
    radius: int = Field(ge=1, default=5)  # bonds from the centre to the edge of the substructure
    context: tuple[int, int] = (4, 7)  # bonds from the centre to the inner and the outer edge of the context
    contrastive: Literal["ebm-nce", "info-nce"] = "ebm-nce"
    temperature: float = Field(gt=0, default=0.2)  # T of the contrastive loss
    beta: float = Field(ge=0, default=2.0)  # of the KL term of the generative loss
    crop: Share = 0.15  # of the atoms that a subgraph leaves out
    schnet_width: int = Field(ge=4)
    schnet_filters: int = Field(ge=4)
    schnet_interactions: int = Field(ge=1)
    schnet_gaussians: int = Field(ge=2)
    cutoff: float = Field(gt=0, default=10.0)  # angstrom
    conformer_rate: float = Field(
        gt=0, default=1.0
    )  # of SchNet and the way back from it: learning rate over the encoder's

    @model_validator(mode="after")
    def _overlapping(self) -> GraphSettings:
        inner, outer = self.context
        if not 0 <= inner < min(self.radius, outer):
            raise ValueError(
                f"context: expected an inner edge below its outer edge and below radius {self.radius}, "
                f"got {inner} and {outer}"
            )
        return self


class TaskSettings(Section):
    """All sections that this layer reads."""

    labels: LabelSettings
    corpus: CorpusSettings
    image: ImageSettings
    text: TextSettings
    graph: GraphSettings
