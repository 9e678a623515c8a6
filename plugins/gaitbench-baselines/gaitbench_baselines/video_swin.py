"""A transformer over video with shifted windows that keeps its resolution.

Axes: N batch, C channels, T frames, H rows, W columns, K windows of a clip, L tokens of a window, h heads.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PUBLISHED_KEYS", "VideoSwin"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"patch_embed\.proj\.(.+)": r"patch.\1",
        r"patch_embed\.norm\.(.+)": r"patch_norm.\1",
        r"layers\.(\d+)\.blocks\.(\d+)\.norm(\d)\.(.+)": r"stages.\1.blocks.\2.norm\3.\4",
        r"layers\.(\d+)\.blocks\.(\d+)\.attn\.relative_position_bias_table": (
            r"stages.\1.blocks.\2.attention.position_bias"
        ),
        r"layers\.(\d+)\.blocks\.(\d+)\.attn\.relative_position_index": (
            r"stages.\1.blocks.\2.attention.position_index"
        ),
        r"layers\.(\d+)\.blocks\.(\d+)\.attn\.(qkv|proj)\.(.+)": r"stages.\1.blocks.\2.attention.\3.\4",
        r"layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc1\.(.+)": r"stages.\1.blocks.\2.mlp.0.\3",
        r"layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc2\.(.+)": r"stages.\1.blocks.\2.mlp.2.\3",
        r"layers\.(\d+)\.downsample\.0\.(.+)": r"stages.\1.widen_norm.\2",
        r"layers\.(\d+)\.downsample\.1\.(.+)": r"stages.\1.widen.\2",
        r"norm\.(.+)": r"norm.\1",
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""

_HIDDEN = -100.0
"""Added to the score of two tokens that must not see each other."""

Size = tuple[int, int, int]


class VideoSwin(nn.Module):
    """Patches, then stages of blocks that attend within windows, every second one with the windows shifted.

    Between stages the channels are widened; frames, rows and columns stay as many as the patches.

    Args:
        in_channels: Channels of the feature maps that come in.
        widths: Channels of the stages.
        depths: Blocks of the stages.
        heads: Attention heads of the stages.
        window: Frames, rows and columns of a window; the shift is half of each, rounded down.
        patch_px: Rows and columns of a patch.
        mlp_ratio: Hidden width of the block's perceptron over its width.
        drop_path: Probability that training skips the last block for a clip; it rises linearly from 0 at the first.

    Source:
        Liu et al., "Video Swin Transformer", CVPR 2022, section 3 (blocks, relative position bias, equation 3);
        Fan et al., "Exploring Deep Models for Practical Gait Recognition", arXiv 2303.03301, section "SwinGait" (sizes,
        and no merging of patches between stages).

    Example:
        >>> VideoSwin(8, widths=(16, 32), depths=(2, 2), heads=(2, 4))(torch.zeros(1, 8, 7, 30, 20)).shape
        torch.Size([1, 32, 7, 15, 10])
    """

    def __init__(
        self,
        in_channels: int,
        *,
        widths: Sequence[int],
        depths: Sequence[int],
        heads: Sequence[int],
        window: Size = (3, 3, 5),
        patch_px: tuple[int, int] = (2, 2),
        mlp_ratio: float = 4.0,
        drop_path: float = 0.1,
    ) -> None:
        super().__init__()
        size = (1, *patch_px)
        self.patch = nn.Conv3d(in_channels, widths[0], size, stride=size)
        self.patch_norm = nn.LayerNorm(widths[0])
        last = max(1, sum(depths) - 1)
        rates = iter([drop_path * index / last for index in range(sum(depths))])
        self.stages = nn.ModuleList(
            _Stage(width, count, head_count, window, mlp_ratio, [next(rates) for _ in range(count)], wider)
            for width, count, head_count, wider in zip(widths, depths, heads, (*widths[1:], None), strict=True)
        )
        self.norm = nn.LayerNorm(widths[-1])
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Linear maps and position biases from a truncated normal of 0.02, the patch embedding Xavier-uniform."""
        nn.init.xavier_uniform_(self.patch.weight)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
            elif isinstance(module, _WindowAttention):
                nn.init.trunc_normal_(module.position_bias, std=0.02)
            bias = getattr(module, "bias", None)
            if isinstance(bias, nn.Parameter):
                nn.init.zeros_(bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, T, H, W]`` to ``[N, widths[-1], T, H / patch, W / patch]``."""
        x = self.patch_norm(self.patch(x).permute(0, 2, 3, 4, 1))  # [N, T, H, W, C]
        for stage in self.stages:
            x = stage(x)
        out: Tensor = self.norm(x).permute(0, 4, 1, 2, 3)
        return out


class _Windows(NamedTuple):
    """How clips of one size are cut into windows."""

    window: Size
    """Frames, rows and columns of a window; never more than the clip has."""
    padded: Size
    """Frames, rows and columns of the clip with what is added at the ends to fill the last windows."""
    shift: Size
    """How far the windows are moved."""

    @classmethod
    def of(cls, clip: Size, window: Size, *, is_shifted: bool) -> "_Windows":
        """Along an axis that is no longer than the window, one window covers all and is not shifted."""
        fitted = tuple(min(have, want) for have, want in zip(clip, window, strict=True))
        padded = tuple(-(-have // want) * want for have, want in zip(clip, fitted, strict=True))
        shift = tuple(want // 2 if is_shifted and have > want else 0 for have, want in zip(clip, window, strict=True))
        return cls(_size(fitted), _size(padded), _size(shift))

    @property
    def grid(self) -> Size:
        """Windows along each axis."""
        return _size(tuple(have // want for have, want in zip(self.padded, self.window, strict=True)))

    def cut(self, x: Tensor) -> Tensor:
        """``[N, *padded, C]`` to ``[N, K, L, C]``."""
        (a, b, c), (t, h, w) = self.grid, self.window
        x = x.view(len(x), a, t, b, h, c, w, x.shape[-1])
        return x.permute(0, 1, 3, 5, 2, 4, 6, 7).reshape(len(x), a * b * c, t * h * w, x.shape[-1])

    def join(self, x: Tensor) -> Tensor:
        """``[N, K, L, C]`` to ``[N, *padded, C]``."""
        (a, b, c), (t, h, w) = self.grid, self.window
        x = x.view(len(x), a, b, c, t, h, w, x.shape[-1])
        return x.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(len(x), *self.padded, x.shape[-1])

    def mask(self, device: torch.device) -> Tensor | None:
        """``[K, 1, L, L]``: -100 where the shift brought two tokens together of which one wrapped round an axis."""
        if not any(self.shift):
            return None
        side = torch.zeros(self.padded, dtype=torch.long, device=device)
        for axis, (length, shift) in enumerate(zip(self.padded, self.shift, strict=True)):
            if shift:
                side.narrow(axis, length - shift, shift).add_(2**axis)
        token = self.cut(side[None, ..., None])[0, :, :, 0]  # [K, L]
        return (token[:, None, :, None] != token[:, None, None, :]) * _HIDDEN


class _Stage(nn.Module):
    """Blocks of one width, then a linear map to the next width where there is one."""

    def __init__(
        self, width: int, depth: int, heads: int, window: Size, mlp_ratio: float, rates: list[float], wider: int | None
    ) -> None:
        super().__init__()
        self.window = window
        self.blocks = nn.ModuleList(_Block(width, heads, window, mlp_ratio, rates[index]) for index in range(depth))
        self.widen_norm = nn.Identity() if wider is None else nn.LayerNorm(width)
        self.widen = nn.Identity() if wider is None else nn.Linear(width, wider, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        clip = _size(x.shape[1:4])
        plain, shifted = (_Windows.of(clip, self.window, is_shifted=odd) for odd in (False, True))
        mask = shifted.mask(x.device)
        for index, block in enumerate(self.blocks):
            x = block(x, shifted, mask) if index % 2 else block(x, plain, None)
        out: Tensor = self.widen(self.widen_norm(x))
        return out


class _Block(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``."""

    def __init__(self, width: int, heads: int, window: Size, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        hidden = int(width * mlp_ratio)
        self.norm1 = nn.LayerNorm(width)
        self.attention = _WindowAttention(width, heads, window)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.drop_path = drop_path

    def forward(self, x: Tensor, windows: _Windows, mask: Tensor | None) -> Tensor:
        _, frames, rows, columns, _ = x.shape
        inner = self.norm1(x)
        t, h, w = (want - have for want, have in zip(windows.padded, (frames, rows, columns), strict=True))
        if t or h or w:
            inner = functional.pad(inner, (0, 0, 0, w, 0, h, 0, t))
        is_shifted = any(windows.shift)
        if is_shifted:
            inner = inner.roll([-shift for shift in windows.shift], (1, 2, 3))
        inner = windows.join(self.attention(windows.cut(inner), windows.window, mask))
        if is_shifted:
            inner = inner.roll(windows.shift, (1, 2, 3))
        x = x + self._drop(inner[:, :frames, :rows, :columns])
        return x + self._drop(self.mlp(self.norm2(x)))

    def _drop(self, x: Tensor) -> Tensor:
        """In training, leave out whole clips at random and scale up the others."""
        if not self.training or self.drop_path == 0:
            return x
        keep = 1 - self.drop_path
        is_kept = torch.rand(len(x), 1, 1, 1, 1, device=x.device) < keep
        return x * (is_kept / keep).to(x.dtype)


class _WindowAttention(nn.Module):
    """Attention among the tokens of each window, with a learnt bias for each offset in time, rows and columns."""

    def __init__(self, width: int, heads: int, window: Size) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        offsets = [2 * size - 1 for size in window]
        self.position_bias = nn.Parameter(torch.zeros(offsets[0] * offsets[1] * offsets[2], heads))
        place = torch.cartesian_prod(*(torch.arange(size) for size in window))  # [L, 3]
        offset = place[:, None] - place[None, :] + torch.tensor(window) - 1  # [L, L, 3], query minus key, from 0
        stride = torch.tensor([offsets[1] * offsets[2], offsets[2], 1])
        self.register_buffer("position_index", (offset * stride).sum(dim=2))

    def forward(self, x: Tensor, window: Size, mask: Tensor | None) -> Tensor:
        """Map ``[N, K, L, C]`` to the same, for windows that may be smaller than the layer's own."""
        num_clips, num_windows, num_tokens, width = x.shape
        qkv = self.qkv(x).view(num_clips, num_windows, num_tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(3, 0, 1, 4, 2, 5)  # [N, K, h, L, C/h] each
        scores = (query * query.shape[-1] ** -0.5) @ key.mT  # [N, K, h, L, L]
        scores = scores.float() + self._bias(window)
        if mask is not None:
            scores = scores + mask
        mixed = scores.softmax(dim=-1).to(value.dtype) @ value
        out: Tensor = self.proj(mixed.transpose(2, 3).reshape(x.shape))
        return out

    def _bias(self, window: Size) -> Tensor:
        """``[h, L, L]``."""
        index = self.position_index
        if window != self.window:
            token = torch.arange(len(index), device=index.device).view(self.window)
            token = token[: window[0], : window[1], : window[2]].flatten()
            index = index[token][:, token]
        return self.position_bias[index].permute(2, 0, 1)


def _size(values: Sequence[int]) -> Size:
    frames, rows, columns = values
    return frames, rows, columns
