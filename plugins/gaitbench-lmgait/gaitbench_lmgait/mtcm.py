"""What looks along time: the motion temporal capture module and its ablations.

Axes: N batch, C channels, T frames, H rows, W columns.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from gaitbench.layers import clear_padding, init_parameters

__all__ = ["MotionTemporalCapture", "TemporalConv", "frame_differences"]


class TemporalConv(nn.Sequential):
    """A 3D convolution without bias, batch norm and ReLU; T, H and W stay. By itself it is the paper's "3D-CNN".

    Args:
        in_channels: C.
        out_channels: Channels that go out.
        kernel: Sides along T, H and W, all odd.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int, int]) -> None:
        padding = tuple(side // 2 for side in kernel)
        super().__init__(
            nn.Conv3d(in_channels, out_channels, kernel, padding=padding, bias=False),
            nn.BatchNorm3d(out_channels),
            nn.ReLU(inplace=True),
        )
        init_parameters(self)


class MotionTemporalCapture(nn.Module):
    """Single pixels over time beside differences between frames, put together frame by frame.

    Args:
        channels: C, in and out.
        has_pte: Whether there is the branch of single pixels: a convolution along time.
        has_rte: Whether there is the branch of regions: a 3D convolution of the differences.
        has_pte_conv: False has the branch of single pixels hand on the frames as they are.
        has_rte_difference: False has the branch of regions convolve the frames themselves.
        has_rte_conv: False has the branch of regions hand on the differences as they are.
        fusion: ``conv`` stacks the branches' channels and convolves them pixel by pixel; ``sum`` adds them.
        last_difference: ``zero`` or the one before it, where the last frame has no successor.

    Source:
        Wu et al., "Language-Guided and Motion-Aware Gait Representation for Generalizable Recognition", arXiv
        2601.11931, equations 8 to 12; table 5 takes the three parts away one by one. Kernels, widths, the padding to T
        frames and the batch norms are ours.

    Example:
        >>> module = MotionTemporalCapture(16)
        >>> [module.pte[0].weight.numel(), module.rte[0].weight.numel(), module.fuse[0].weight.numel()]
        [768, 6912, 512]
        >>> module(torch.rand(2, 16, 5, 8, 4)).shape
        torch.Size([2, 16, 5, 8, 4])
    """

    def __init__(
        self,
        channels: int,
        *,
        has_pte: bool = True,
        has_rte: bool = True,
        has_pte_conv: bool = True,
        has_rte_difference: bool = True,
        has_rte_conv: bool = True,
        fusion: Literal["conv", "sum"] = "conv",
        last_difference: Literal["zero", "repeat"] = "zero",
    ) -> None:
        super().__init__()
        if not (has_pte or has_rte):
            raise ValueError("the motion module needs at least one of its two branches")
        self.pte = _branch(channels, (3, 1, 1), has_pte_conv) if has_pte else None
        self.rte = _branch(channels, (3, 3, 3), has_rte_conv) if has_rte else None
        self.has_rte_difference = has_rte_difference
        self.fuse = None
        if fusion == "conv":
            self.fuse = TemporalConv((has_pte + has_rte) * channels, channels, (1, 1, 1))
        self.last_difference = last_difference

    def forward(self, x: Tensor, is_padding: Tensor | None = None) -> Tensor:
        """Map ``[N, C, T, H, W]`` to the same shape.

        Args:
            x: Clips.
            is_padding: ``[N, T]`` bool, true for frames that must not reach their neighbours; None for no frame.
        """
        x = clear_padding(x, is_padding)
        seen = []
        if self.pte is not None:
            seen.append(self.pte(x))
        if self.rte is not None:
            change = frame_differences(x, is_padding, self.last_difference) if self.has_rte_difference else x
            seen.append(self.rte(change))
        if self.fuse is not None:
            fused: Tensor = self.fuse(torch.cat(seen, dim=1))
            return fused
        return torch.stack(seen).sum(dim=0) if len(seen) > 1 else seen[0]


def _branch(channels: int, kernel: tuple[int, int, int], has_conv: bool) -> nn.Module:
    return TemporalConv(channels, channels, kernel) if has_conv else nn.Identity()


def frame_differences(x: Tensor, is_padding: Tensor | None = None, last: Literal["zero", "repeat"] = "zero") -> Tensor:
    """Subtract each frame from the next.

    Args:
        x: ``[N, C, T, H, W]``.
        is_padding: ``[N, T]`` bool, true for padded frames; None for no frame.
        last: What the last frame of a clip gets: zero, or the difference before it.

    Returns:
        ``[N, C, T, H, W]``, 0 for padding and for clips of a single frame.

    Source:
        Wu et al., arXiv 2601.11931, equation 9. T - 1 differences are brought to T frames, which is ours.

    Example:
        >>> frame_differences(torch.tensor([1.0, 3.0, 4.0]).view(1, 1, 3, 1, 1)).flatten()
        tensor([2., 1., 0.])
    """
    length = x.shape[2]
    difference = torch.cat([x[:, :, 1:] - x[:, :, :-1], torch.zeros_like(x[:, :, :1])], dim=2)
    is_real = torch.ones(len(x), length, dtype=torch.bool, device=x.device) if is_padding is None else ~is_padding
    has_next = torch.cat([is_real[:, 1:], torch.zeros_like(is_real[:, :1])], dim=1)  # [N, T]
    difference = difference * has_next[:, None, :, None, None].to(x.dtype)
    if last == "repeat" and length > 1:
        is_last = is_real & ~has_next
        before = torch.cat([torch.zeros_like(x[:, :, :1]), difference[:, :, :-1]], dim=2)
        difference = torch.where(is_last[:, None, :, None, None], before, difference)
    return difference
