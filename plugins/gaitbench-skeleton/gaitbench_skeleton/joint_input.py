"""How a batch of 2D skeletons reaches a network.

Axes: N batch, C = 3 values per joint (x, y, confidence), T frames, V joints.
"""

from torch import Tensor

from gaitbench.errors import ModelError, ShapeError
from gaitbench.model import GaitBatch, InputSpec
from gaitbench_skeleton.graph import NUM_JOINTS

__all__ = ["JOINTS", "joint_input"]

JOINTS = InputSpec(modality="skeleton2d", channels=3)
"""What every model of this package reads: COCO-17 joints as x, y in pixels and a confidence."""


def joint_input(batch: GaitBatch) -> tuple[Tensor, Tensor]:
    """Take the skeletons out of a batch.

    Args:
        batch: Any batch.

    Returns:
        Joints ``[N, 3, T, V]`` and the real frames of each clip ``[N]``.

    Raises:
        ModelError: The batch holds no 2D skeletons.
        ShapeError: They are not ``[N, 3, T, 17]``.
    """
    name = JOINTS.modality
    if name not in batch.inputs:
        raise ModelError(f"the batch holds {', '.join(batch.inputs) or 'nothing'}, but the model reads {name}")
    joints = batch.inputs[name]
    if joints.dim() != 4 or joints.shape[1] != JOINTS.channels or joints.shape[3] != NUM_JOINTS:
        raise ShapeError(f"{name} must be [N, {JOINTS.channels}, T, {NUM_JOINTS}], got {list(joints.shape)}")
    return joints, batch.num_frames[name]
