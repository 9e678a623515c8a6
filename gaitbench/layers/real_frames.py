"""Work on the frames that are no padding: those alone go through a network, and come back to their places.

Axes: N clips, C channels, T frames, K real frames of all clips, H rows, W columns.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from gaitbench.errors import ShapeError
from gaitbench.layers.frame_wise import fold_frames, unfold_frames

__all__ = ["RealFrames"]


class RealFrames(NamedTuple):
    """Which frames of a batch of clips are real.

    Example:
        >>> frames = RealFrames.of(torch.tensor([2, 1]), 2)  # two clips of two frames, the last one of them padding
        >>> clips = torch.arange(4.0).view(2, 1, 2, 1, 1)
        >>> frames.pick(clips).flatten(), frames.put(frames.pick(clips) + 1).flatten()
        (tensor([0., 1., 2.]), tensor([1., 2., 3., 0.]))
    """

    rows: Tensor | None
    """``[K]`` int64 rows of the folded batch; None where all frames are real."""
    clip: Tensor
    """``[K]`` int64: the clip of each real frame."""
    num_frames: Tensor
    """``[N]`` int64: real frames of each clip."""
    clip_frames: int
    """T."""

    @classmethod
    def of(cls, num_frames: Tensor, clip_frames: int) -> Self:
        """Find them.

        Args:
            num_frames: ``[N]`` int64, real frames per clip.
            clip_frames: T.
        """
        is_real = torch.arange(clip_frames, device=num_frames.device) < num_frames[:, None]  # [N, T]
        clip = torch.arange(len(num_frames), device=num_frames.device).repeat_interleave(clip_frames)
        (rows,) = is_real.flatten().nonzero(as_tuple=True)
        if len(rows) == is_real.numel():
            return cls(None, clip, num_frames, clip_frames)
        return cls(rows, clip[rows], num_frames, clip_frames)

    @property
    def num_clips(self) -> int:
        """N."""
        return len(self.num_frames)

    def pick(self, clips: Tensor) -> Tensor:
        """Take the real frames of ``[N, C, T, H, W]`` as ``[K, C, H, W]``, channels last in memory.

        Raises:
            ShapeError: N or T are others.
        """
        if clips.dim() != 5 or (clips.shape[0], clips.shape[2]) != (self.num_clips, self.clip_frames):
            raise ShapeError(
                f"clips must be [N, C, T, H, W] with N = {self.num_clips} and T = {self.clip_frames}, "
                f"got {list(clips.shape)}"
            )
        folded = fold_frames(clips)
        return folded if self.rows is None else folded.index_select(0, self.rows)

    def put(self, frames: Tensor) -> Tensor:
        """Bring ``[K, C, H, W]`` back into clips ``[N, C, T, H, W]`` that are 0 where there is padding."""
        if self.rows is not None:
            whole = frames.new_zeros(self.num_clips * self.clip_frames, *frames.shape[1:])
            if frames.is_contiguous(memory_format=torch.channels_last):
                whole = whole.contiguous(memory_format=torch.channels_last)
            frames = whole.index_copy(0, self.rows, frames)
        return unfold_frames(frames, self.clip_frames)
