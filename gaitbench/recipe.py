"""How a model is trained, as data: stages with their sampling, augmentation, losses, optimizer and schedule."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from gaitbench.digest import file_digest

__all__ = [
    "AugmentConfig",
    "ClipConfig",
    "OptimizerConfig",
    "Precision",
    "Preset",
    "Recipe",
    "ScheduleConfig",
    "Stage",
    "StartWeights",
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
    batch_size: PositiveInt | None = None
    """With a value, batches are flat: that many different sequences, whoever they show, and P and K are not read. A
    training set that is smaller is dealt out whole before a sequence comes again."""
    num_frames: PositiveInt = 30
    """Frames per clip."""
    max_frames: PositiveInt | None = None
    """With a value, the length of each clip is drawn from [num_frames, max_frames], for every clip by itself; shorter
    clips of a batch are padded at the end."""
    order: Literal["unordered", "ordered"] = "unordered"
    """``unordered``: random frames in random order. ``ordered``: a window of num_frames + skip consecutive
    frames at a random start, of which ``skip`` are dropped at random; a shorter sequence is repeated whole."""
    skip: NonNegativeInt = 0
    """Frames dropped from an ordered window."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse an empty range of lengths."""
        if self.max_frames is not None and self.max_frames < self.num_frames:
            raise ValueError(f"max_frames {self.max_frames} must be num_frames {self.num_frames} or more")
        return self


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
    """SGD's momentum, Adam's first beta, unless the schedule cycles it."""
    eps: PositiveFloat = 1e-8
    """What Adam adds to the root of its second moment."""
    weight_decay: NonNegativeFloat = 5e-4
    """Weight decay."""
    lr_scale: dict[str, PositiveFloat] = Field(default_factory=dict)
    """Glob pattern of parameter names to a factor on the learning rate; the first matching pattern counts."""
    no_decay: tuple[str, ...] = ()
    """Glob patterns of parameters without weight decay."""
    grad_clip: PositiveFloat | None = None
    """Largest norm of the whole gradient."""


class ScheduleConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Learning rate over the steps of a stage, and momentum where it is cycled."""

    name: Literal["constant", "multistep", "cosine", "onecycle", "cosine-cycle"] = "multistep"
    """``onecycle`` rises linearly over ``warmup`` steps and falls as a cosine to ``final_factor``. ``cosine-cycle``
    rises and falls as cosines, from ``1 / start_divisor`` of the learning rate to all of it and back, as PyTorch's
    ``OneCycleLR`` does."""
    milestones: tuple[PositiveInt, ...] = ()
    """Steps at which ``multistep`` multiplies by ``gamma``."""
    gamma: PositiveFloat = 0.1
    """Factor at each milestone."""
    warmup: NonNegativeInt = 0
    """Steps of linear warm-up, for every schedule but ``cosine-cycle``."""
    final_factor: NonNegativeFloat = 0.0
    """Share of the learning rate left at the end of ``cosine`` and ``onecycle``."""
    cosine_steps: PositiveInt | None = None
    """Steps after which ``cosine`` has reached ``final_factor``, where it stays; None for the whole stage."""
    update_every: PositiveInt = 1
    """Steps between changes of the learning rate; it stays as it is in between."""
    min_lr: NonNegativeFloat = 0.0
    """No parameter's learning rate falls below, whatever its scale."""
    rise: float = Field(0.3, gt=0, lt=1)
    """Share of the stage in which ``cosine-cycle`` rises."""
    start_divisor: PositiveFloat = 25.0
    """``cosine-cycle`` starts with the learning rate divided by this."""
    final_divisor: PositiveFloat = 1e4
    """``cosine-cycle`` ends with the learning rate that it starts with, divided by this."""
    has_three_phases: bool = False
    """Whether ``cosine-cycle`` falls to where it started in as many steps as it rose in, and from there to the end;
    otherwise it falls to the end at once."""
    momentum_range: tuple[NonNegativeFloat, NonNegativeFloat] | None = None
    """Smallest and largest momentum (Adam's first beta), between which ``cosine-cycle`` moves it against the learning
    rate; None leaves the optimizer's. PyTorch's ``OneCycleLR`` cycles from 0.95 to 0.85 and back."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse phases that do not fit into the stage, and a momentum that cannot be cycled."""
        if self.has_three_phases and self.rise > 0.5:
            raise ValueError(
                f"rise {self.rise}: rising and falling back would take more than the stage; use 0.5 or less"
            )
        if self.momentum_range is not None:
            low, high = self.momentum_range
            if self.name != "cosine-cycle":
                raise ValueError(f"momentum_range belongs to the schedule 'cosine-cycle', not to {self.name!r}")
            if not low <= high < 1:
                raise ValueError(f"momentum_range must rise and stay below 1, got {self.momentum_range}")
        return self


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


class StartWeights(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Weights of another training that this one starts from; where only the path is given, the file is hashed."""

    path: Path
    """A file of safetensors, such as the one that ``gaitbench convert`` writes or a finished run keeps."""
    sha256: str = ""
    """Hash of the file, so that other weights under the same name make another run."""

    @model_validator(mode="before")
    @classmethod
    def _hash(cls, value: object) -> object:
        """Accept a bare path, and look the hash up where it is missing."""
        fields = dict(value) if isinstance(value, Mapping) else {"path": value}
        if not fields.get("sha256") and isinstance(path := fields.get("path"), str | Path):
            try:
                fields["sha256"] = file_digest(Path(path))
            except OSError as error:
                raise ValueError(f"cannot read the weights to start from, {path}: {error.strerror}") from error
        return fields


class Recipe(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """The whole training of a model."""

    stages: tuple[Stage, ...] = (Stage(),)
    """Run one after the other, each with a fresh optimizer."""
    start_from: StartWeights | None = None
    """Weights that replace the initial ones of the same name and shape, others being left alone; None for none."""
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
