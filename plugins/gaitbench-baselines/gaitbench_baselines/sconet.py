"""ScoNet: GaitBase that screens for a condition, scoliosis as published, instead of telling people apart.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, Self

import torch
from pydantic import BaseModel, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor

from gaitbench.card import Attribute
from gaitbench.errors import ModelError
from gaitbench.layers import ResNet9, SeparateBNNeck, SeparateFC, horizontal_pyramid_pool, set_pool, unfold_frames
from gaitbench.losses import batch_all_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of, logits_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.gaitbase import PUBLISHED_KEYS
from gaitbench_baselines.raster_input import raster_input

__all__ = ["PRESETS", "PUBLISHED_KEYS", "ScoNet", "ScoNetConfig"]


class ScoNetConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of ScoNet and what it screens for; the defaults are those published for Scoliosis1K."""

    attributes: tuple[Attribute, ...] = ()
    """The schema of the data; the runner sets it."""
    attribute: str = ""
    """Name of what is screened for, under which ``GaitOutput.attributes`` holds the scores; empty for every attribute
    of the schema, and for ``scoliosis`` without one."""
    column: NonNegativeInt = 0
    """Column of ``GaitBatch.attributes`` that holds the class of each sequence; a schema knows it."""
    classes: tuple[str, ...] = ("negative", "neutral", "positive")
    """Names of the classes, in the order of their indices; a schema knows them."""
    embedding: Literal["logits", "head"] = "logits"
    """What the output calls its embedding: the cosines to the classes, which is what is published, or the part vectors
    before them, which can be compared between people."""
    height_px: PositiveInt = 64
    """Rows of the silhouettes."""
    width_px: PositiveInt = 44
    """Columns of the silhouettes."""
    channels: tuple[PositiveInt, ...] = (64, 128, 256, 512)
    """Width of the stages."""
    strides: tuple[PositiveInt, ...] = (1, 2, 2, 1)
    """Stride of the stages."""
    num_blocks: tuple[PositiveInt, ...] = (1, 1, 1, 1)
    """Residual blocks of the stages."""
    stem_stride: Literal[1, 2] = 1
    """Stride of the first convolution: 1 as published; 2 quarters the cost of training."""
    embedding_width: PositiveInt = 256
    """Width of a part vector."""
    bins: tuple[PositiveInt, ...] = (16,)
    """Strips per scale; P is their sum."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet loss."""
    logit_scale: PositiveFloat = 16.0
    """Factor on the cosines in the cross-entropy."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target spread over all classes."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse what is no choice between classes."""
        if len(set(self.classes)) < max(2, len(self.classes)):
            raise ValueError(f"classes must be two or more different ones, got {list(self.classes)}")
        return self


class _Screened(NamedTuple):
    """Something that is screened for."""

    name: str
    column: int
    classes: tuple[str, ...]


class ScoNet(GaitModel):
    """GaitBase whose neck knows classes of a condition; its answer is the mean of the cosines over the strips.

    ``GaitOutput.attributes`` holds the scores ``[N, classes]``; the largest decides. Training needs the class of each
    sequence from a dataset's attributes; -1 is unknown and counts for the triplets only. Exactly invariant to the
    order of frames and to their repetition. Losses: ``triplet`` between the training labels (of Scoliosis1K: of
    sequences), ``cross_entropy`` between the classes. Published for one condition; of a schema with several attributes
    the neck knows the classes of all, one after the other, and the cross-entropy is the mean over attributes.

    Source:
        Zhou et al., "Gait Patterns as Biomarkers: A Video-Based Approach for Classifying Scoliosis", MICCAI 2024,
        section "ScoNet".

    Example:
        >>> import torch
        >>> model = ScoNet(ScoNetConfig(channels=(4, 4, 8, 8), embedding_width=32)).eval()
        >>> clips = torch.rand(2, 1, 5, 64, 44).round()
        >>> output = model(GaitBatch({"silhouette": clips}, {"silhouette": torch.tensor([5, 3])}))
        >>> output.embedding.shape, output.attributes["scoliosis"].shape
        (torch.Size([2, 3, 16]), torch.Size([2, 3]))
    """

    padding = "masked"
    config: ScoNetConfig

    def __init__(self, config: ScoNetConfig) -> None:
        super().__init__(config)
        self.trunk = ResNet9(
            1,
            channels=config.channels,
            strides=config.strides,
            num_blocks=config.num_blocks,
            stem_stride=config.stem_stride,
        )
        self.screened = _screened(config)
        num_parts = sum(config.bins)
        self.head = SeparateFC(num_parts, config.channels[-1], config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, sum(len(s.classes) for s in self.screened))

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes in [0, 1]."""
        config = self.config
        return (InputSpec(modality="silhouette", height_px=config.height_px, width_px=config.width_px),)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Judge silhouettes ``[N, 1, T, H, W]``; padding changes nothing outside training."""
        x, num_frames = raster_input(batch, "silhouette")
        maps = set_pool(unfold_frames(self.trunk(x), len(x) // len(num_frames)), num_frames)  # [N, C, H, W]
        head = self.head(horizontal_pyramid_pool(maps, self.config.bins))
        logits = self.neck(head).logits
        return GaitOutput(
            embedding=logits if self.config.embedding == "logits" else head,
            logits=logits,
            attributes={s.name: part.mean(dim=2) for s, part in zip(self.screened, self._parts(logits), strict=True)},
            extras={"head": head},
        )

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Batch-all triplet loss on the part vectors, cross-entropy on the cosines of sequences whose class is known.

        Raises:
            ModelError: The batch has no labels, or no such column of attributes, or a class that the model lacks.
        """
        config, labels, logits = self.config, labels_of(batch), logits_of(output)
        of_attributes = []
        for screened, part in zip(self.screened, self._parts(logits), strict=True):
            classes = _classes_of(batch, screened)
            is_known = classes >= 0
            if bool(is_known.any()):
                of_attributes.append(
                    part_cross_entropy(
                        part[is_known],
                        classes[is_known],
                        scale=config.logit_scale,
                        label_smoothing=config.label_smoothing,
                    )
                )
        # With nobody's class known the loss is zero, but still one that has a gradient.
        loss = torch.stack(of_attributes).mean() if of_attributes else logits.sum() * 0
        triplet = batch_all_triplet(output.extras["head"], labels, margin=config.margin)
        return {"triplet": triplet, "cross_entropy": loss}

    def _parts(self, logits: Tensor) -> tuple[Tensor, ...]:
        """``[N, classes, P]`` of each attribute."""
        return torch.split(logits, [len(screened.classes) for screened in self.screened], dim=1)


def _screened(config: ScoNetConfig) -> tuple[_Screened, ...]:
    """What is screened for, in the order of the schema.

    Raises:
        ModelError: The schema does not have it.
    """
    if not config.attributes:
        return (_Screened(config.attribute or "scoliosis", config.column, config.classes),)
    known = [_Screened(each.name, column, each.classes) for column, each in enumerate(config.attributes)]
    chosen = [screened for screened in known if config.attribute in ("", screened.name)]
    if not chosen:
        raise ModelError(
            f"ScoNet is to screen for {config.attribute!r}, and the data have {', '.join(s.name for s in known)}; set "
            "`attribute` to one of them, or leave it empty for all"
        )
    return tuple(chosen)


def _classes_of(batch: GaitBatch, screened: _Screened) -> Tensor:
    """``[N]`` int64."""
    attributes, (_, column, words) = batch.attributes, screened
    if attributes is None or attributes.shape[1] <= column:
        found = "none" if attributes is None else str(attributes.shape[1])
        raise ModelError(
            f"ScoNet learns the class from column {column} of the attributes, and the batch has {found}; train on a "
            "dataset with attributes, or set `column`"
        )
    classes = attributes[:, column]
    if int(classes.max()) >= len(words):
        raise ModelError(
            f"column {column} of the attributes holds class {int(classes.max())}, ScoNet has {len(words)}: "
            f"{', '.join(words)}; set `column` and `classes`"
        )
    return classes


def _recipe(stage: Stage) -> Recipe:
    return Recipe(stages=(stage,), precision="bf16-mixed")


_SMALL = {"channels": (16, 32, 64, 128), "stem_stride": 2, "embedding_width": 128, "bins": (8, 4, 2, 1)}
_SHORT = Stage(
    iterations=800,
    clips=ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=6),
    augment=AugmentConfig(shift=0.3, rescale=0.3),
    optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
    schedule=ScheduleConfig(name="onecycle", warmup=80),
)

PRESETS: dict[str, Preset] = {
    "paper": Preset(
        recipe=_recipe(
            Stage(
                iterations=20_000,
                clips=ClipConfig(subjects_per_batch=8, sequences_per_subject=8, num_frames=30),
                optimizer=OptimizerConfig(name="sgd", lr=0.1),
                schedule=ScheduleConfig(name="multistep", milestones=(10_000, 14_000, 18_000)),
            )
        ),
        note="recipe as published for Scoliosis1K, whose only attribute is the class",
    ),
    "quick": Preset(
        config={
            "attribute": "uneven_shoulders",
            "column": 6,
            "classes": ("level", "higher on the left", "higher on the right"),
            "embedding": "head",
            **_SMALL,
        },
        recipe=_recipe(_SHORT),
        note="screens walkers for uneven shoulders, and is compared by its part vectors; quarter width, first "
        "convolution with stride 2, 8 to 1 strips, short training; no flips, which would swap left and right",
    ),
    "quick@attribute": Preset(
        config=_SMALL,
        recipe=_recipe(_SHORT),
        note="screens for every attribute of the data at once, where the paper has one; quarter width, first "
        "convolution with stride 2, 8 to 1 strips, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
