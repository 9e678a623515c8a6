"""Random changes of joints in training, the same for a (seed, step) whatever else draws numbers.

Axes: N batch, C = 3 values per joint (x, y, confidence), T frames, V joints.
"""

import torch
from pydantic import BaseModel, Field, NonNegativeFloat
from torch import Tensor

from gaitbench.model import GaitBatch
from gaitbench.seeding import derive_seed
from gaitbench_skeleton.graph import COCO_SWAP

__all__ = ["JointAugmentConfig", "augment_joints", "step_generator", "without_mirroring"]


class JointAugmentConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is done to the joints of a training clip, in this order."""

    time_flip: float = Field(0.0, ge=0, le=1)
    """Probability that a clip runs backwards."""
    swap_sides: float = Field(0.0, ge=0, le=1)
    """Probability, frame by frame, that left and right joints trade places; x stays as it is."""
    mirror: float = Field(0.0, ge=0, le=1)
    """Probability that a clip's x is mirrored about the mean of all its joints; joints keep their numbers."""
    joint_noise: NonNegativeFloat = 0.0
    """Standard deviation of an offset of x and y that a joint keeps for the whole clip, in the joints' unit."""
    point_noise: NonNegativeFloat = 0.0
    """Standard deviation of noise on every single value, the confidence included."""
    shift: tuple[NonNegativeFloat, NonNegativeFloat] = (0.0, 0.0)
    """Largest shift of the whole clip either way along x and y, in the joints' unit."""


def without_mirroring(config: BaseModel) -> BaseModel:
    """A model's configuration whose ``augment`` keeps left and right apart, for labels that tell them apart.

    Example:
        >>> class Config(BaseModel):
        ...     augment: JointAugmentConfig = JointAugmentConfig(time_flip=0.5, mirror=0.5)
        >>> without_mirroring(Config()).augment.mirror
        0.0
    """
    augment: JointAugmentConfig = config.augment  # type: ignore[attr-defined]
    return config.model_copy(update={"augment": augment.model_copy(update={"swap_sides": 0.0, "mirror": 0.0})})


def step_generator(batch: GaitBatch) -> torch.Generator:
    """Make the generator of a training step, on the CPU.

    It depends on the batch's step and on the seed that the trainer gave PyTorch for this step (which follows from
    run seed, stage, step and rank), but not on how many numbers others have drawn since.

    Example:
        >>> batch = GaitBatch({}, {}, step=3)
        >>> torch.equal(torch.rand(2, generator=step_generator(batch)), torch.rand(2, generator=step_generator(batch)))
        True
    """
    return torch.Generator().manual_seed(derive_seed(torch.initial_seed(), "joints", batch.step))


def augment_joints(x: Tensor, config: JointAugmentConfig, rng: torch.Generator) -> Tensor:
    """Change every clip at random.

    Args:
        x: ``[N, 3, T, V]`` training clips, which have no padding.
        config: What is done.
        rng: On the CPU; it advances.

    Returns:
        ``[N, 3, T, V]``; ``x`` stays as it is.

    Source:
        Teepe et al., "GaitGraph", ICIP 2021, section on data augmentation (flip in time and sides, joint and point
        noise). Sizes are those of the published configurations; that noise also falls on the confidence is ours.

    Example:
        >>> x = torch.arange(34.0).reshape(1, 1, 2, 17).expand(1, 3, 2, 17)
        >>> backwards = augment_joints(x, JointAugmentConfig(time_flip=1.0), torch.Generator())
        >>> torch.equal(backwards, x.flip(2))
        True
    """
    num_clips, _, num_frames, num_joints = x.shape

    def happens(probability: float, *shape: int) -> Tensor:
        return (torch.rand(shape, generator=rng) < probability).to(x.device)

    def normal(scale: float, *shape: int) -> Tensor:
        return (scale * torch.randn(shape, generator=rng)).to(x.device)

    if config.time_flip:
        x = torch.where(happens(config.time_flip, num_clips, 1, 1, 1), x.flip(2), x)
    if config.swap_sides:
        swapped = x[..., torch.tensor(COCO_SWAP, device=x.device)]
        x = torch.where(happens(config.swap_sides, num_clips, 1, num_frames, 1), swapped, x)
    if config.mirror:
        middle = x[:, :1].mean(dim=(2, 3), keepdim=True)
        mirrored = torch.cat([2 * middle - x[:, :1], x[:, 1:]], dim=1)
        x = torch.where(happens(config.mirror, num_clips, 1, 1, 1), mirrored, x)
    if config.joint_noise:
        x = _add_to_position(x, normal(config.joint_noise, num_clips, 2, 1, num_joints))
    if config.point_noise:
        x = x + normal(config.point_noise, *x.shape)
    if any(config.shift):
        largest = torch.tensor(config.shift)[:, None, None]
        x = _add_to_position(x, ((2 * torch.rand((num_clips, 2, 1, 1), generator=rng) - 1) * largest).to(x.device))
    return x


def _add_to_position(x: Tensor, offset: Tensor) -> Tensor:
    """Add to x and y, not to the confidence."""
    return torch.cat([x[:, :2] + offset, x[:, 2:]], dim=1)
