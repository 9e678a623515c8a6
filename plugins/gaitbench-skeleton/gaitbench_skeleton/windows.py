"""Windows of a fixed length from sequences of any length.

Axes: N batch, C channels, T frames, V joints, W windows per sequence, L frames of a window.
"""

import torch
from torch import Tensor

__all__ = ["random_window", "spread_windows"]


def spread_windows(x: Tensor, num_frames: Tensor, *, length: int, num_windows: int = 1) -> Tensor:
    """Cut windows at fixed places: one in the middle, or several from the first frame to the last.

    A sequence that is shorter than a window is repeated whole until it fills one. Frames from ``num_frames`` on are
    never looked at.

    Args:
        x: ``[N, C, T, V]``, padded at the end of T.
        num_frames: ``[N]`` int64, real frames per sequence, between 1 and T.
        length: L.
        num_windows: W; 1 takes the middle.

    Returns:
        ``[N * W, C, L, V]``, the windows of one sequence side by side.

    Example:
        >>> x = torch.arange(5.0).reshape(1, 1, 5, 1)
        >>> spread_windows(x, torch.tensor([5]), length=3).flatten()
        tensor([1., 2., 3.])
        >>> spread_windows(x, torch.tensor([2]), length=3).flatten()
        tensor([0., 1., 0.])
    """
    room = (num_frames - length).clamp_min(0)[:, None]  # [N, 1]
    if num_windows == 1:
        start = room // 2
    else:
        place = torch.arange(num_windows, device=x.device)
        start = (place * room * 2 + num_windows - 1) // (2 * (num_windows - 1))  # rounded, halves up
    return _cut(x, num_frames, start, length)


def random_window(x: Tensor, num_frames: Tensor, *, length: int, rng: torch.Generator) -> Tensor:
    """Cut one window per sequence at a random place; a sequence that is too short is repeated whole.

    Args:
        x: ``[N, C, T, V]``, padded at the end of T.
        num_frames: ``[N]`` int64, real frames per sequence, between 1 and T.
        length: L.
        rng: On the CPU.

    Returns:
        ``[N, C, L, V]``.

    Example:
        >>> x = torch.arange(5.0).reshape(1, 1, 5, 1)
        >>> random_window(x, torch.tensor([5]), length=5, rng=torch.Generator()).flatten()
        tensor([0., 1., 2., 3., 4.])
    """
    share = torch.rand(len(x), generator=rng, dtype=torch.float64).to(x.device)
    start = (share * ((num_frames - length).clamp_min(0) + 1)).long()
    return _cut(x, num_frames, start[:, None], length)


def _cut(x: Tensor, num_frames: Tensor, start: Tensor, length: int) -> Tensor:
    """Windows that begin at ``start`` ``[N, W]``."""
    num_clips, num_windows = start.shape
    frame = start[:, :, None] + torch.arange(length, device=x.device)  # [N, W, L]
    frame = (frame % num_frames[:, None, None]).flatten(1)
    row = torch.arange(num_clips, device=x.device)[:, None]
    picked = x.transpose(1, 2)[row, frame]  # [N, W * L, C, V]
    return picked.unflatten(1, (num_windows, length)).flatten(0, 1).transpose(1, 2)
