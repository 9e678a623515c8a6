"""How a model is trained, as data: stages with their sampling, augmentation, losses, optimizer and schedule."""

from typing import Literal

from pydantic import BaseModel, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

__all__ = [
    "AugmentConfig",
    "ClipConfig",
    "OptimizerConfig",
    "Precision",
    "Preset",
    "Recipe",
    "ScheduleConfig",
    "Stage",
]

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
"""Number format of the forward and backward pass, in Lightning Fabric's words."""

Probability = float


class ClipConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Which sequences make a batch and which frames make a clip."""

    subjects_per_batch: PositiveInt = 8
    """P of a P x K batch."""
    sequences_per_subject: PositiveInt = 8
    """K of a P x K batch."""
    num_frames: PositiveInt = 30
    """Frames per clip."""
    max_frames: PositiveInt | None = None
    """With a value, the length of each batch's clips is drawn from [num_frames, max_frames]."""
    order: Literal["unordered", "ordered"] = "unordered"
    """``unordered``: random frames in random order. ``ordered``: a window of num_frames + skip consecutive
    frames at a random start, of which ``skip`` are dropped at random; a shorter sequence is repeated whole."""
    skip: NonNegativeInt = 0
    """Frames dropped from an ordered window."""


class AugmentConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Augmentations of rasters, drawn once per clip and applied to all its frames, in this order.

    Source: defaults of ranges as in the gait field's common recipes (perspective, flip, rotation of +-10 degrees,
    erasing); shift and scale are ours.
    """

    perspective: Probability = Field(0.0, ge=0, le=1)
    """Probability of a random perspective distortion; corners move within 10 columns of the sides (at width 64)."""
    flip: Probability = Field(0.0, ge=0, le=1)
    """Probability of a horizontal flip."""
    rotate: Probability = Field(0.0, ge=0, le=1)
    """Probability of a rotation."""
    rotate_deg: NonNegativeFloat = 10.0
    """Largest rotation either way."""
    shift: Probability = Field(0.0, ge=0, le=1)
    """Probability of a shift."""
    shift_fraction: NonNegativeFloat = 0.05
    """Largest shift either way, as a share of height and width."""
    rescale: Probability = Field(0.0, ge=0, le=1)
    """Probability of a change of scale."""
    rescale_fraction: NonNegativeFloat = 0.05
    """Largest relative change of scale either way, drawn for height and width apart."""
    erase: Probability = Field(0.0, ge=0, le=1)
    """Probability of erasing one rectangle."""
    erase_area: tuple[float, float] = (0.02, 0.4)
    """Smallest and largest erased share of the image."""
    erase_aspect: tuple[float, float] = (0.3, 3.3)
    """Smallest and largest height over width of the erased rectangle."""


class OptimizerConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The optimizer of a stage."""

    name: Literal["sgd", "adam", "adamw"] = "sgd"
    """Which one."""
    lr: PositiveFloat = 0.1
    """Learning rate at the start, after warm-up."""
    momentum: NonNegativeFloat = 0.9
    """SGD's momentum, Adam's first beta."""
    weight_decay: NonNegativeFloat = 5e-4
    """Weight decay."""
    lr_scale: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Glob pattern of parameter names to a factor on the learning rate; the first matching pattern counts."""
    no_decay: tuple[str, ...] = ()
    """Glob patterns of parameters without weight decay."""
    grad_clip: PositiveFloat | None = None
    """Largest norm of the whole gradient."""


class ScheduleConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Learning rate over the steps of a stage."""

    name: Literal["constant", "multistep", "cosine", "onecycle"] = "multistep"
    """``onecycle`` rises linearly over ``warmup`` steps and falls as a cosine to ``final_factor``."""
    milestones: tuple[PositiveInt, ...] = ()
    """Steps at which ``multistep`` multiplies by ``gamma``."""
    gamma: PositiveFloat = 0.1
    """Factor at each milestone."""
    warmup: NonNegativeInt = 0
    """Steps of linear warm-up, for every schedule."""
    final_factor: NonNegativeFloat = 0.0
    """Share of the learning rate left at the end of a cosine."""


class Stage(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One stretch of training."""

    name: str = "train"
    """Shown in progress and logs; a model's losses may depend on it."""
    kind: Literal["gradient", "closed-form"] = "gradient"
    """``closed-form`` fits a :class:`gaitbench.model.ClosedFormModel` once and ignores the rest."""
    iterations: NonNegativeInt = 1000
    """Optimizer steps."""
    clips: ClipConfig = ClipConfig()
    """Sampling."""
    augment: AugmentConfig = AugmentConfig()
    """Augmentation."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """Optimizer."""
    schedule: ScheduleConfig = ScheduleConfig()
    """Learning rate over time."""
    loss_weights: dict[str, float] = Field(default_factory=dict)
    """Loss name to weight; a loss that is not named counts with weight 1."""
    freeze: tuple[str, ...] = ()
    """Glob patterns of parameter names that do not train in this stage."""


class Recipe(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The whole training of a model."""

    stages: tuple[Stage, ...] = (Stage(),)
    """Run one after the other, each with a fresh optimizer."""
    precision: Precision = "32-true"
    """Number format; embedding at test time uses the same."""
    checkpoint_every: PositiveInt = 500
    """Steps between checkpoints."""
    max_test_frames: PositiveInt | None = 720
    """Longest test sequence: the first frames up to this number are embedded."""
    test_frames_per_batch: PositiveInt = 2048
    """Frames embedded together at test time; bounds memory and never changes a result."""


class Preset(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A named configuration of a model with its training."""

    config: dict[str, object] = Field(default_factory=dict)
    """Fields of the model's config that differ from its defaults."""
    recipe: Recipe = Recipe()
    """How it is trained."""
    note: str = ""
    """What a reader of a table must know, such as a reduced width."""
