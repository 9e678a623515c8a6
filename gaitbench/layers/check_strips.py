"""Tell before anything is built whether a trunk's stages are named alike and its last map can be cut into strips."""

from collections.abc import Sequence

__all__ = ["check_strips"]


def check_strips(size: tuple[int, int], channels: Sequence[int], strides: Sequence[int], bins: Sequence[int]) -> None:
    """Refuse sizes that do not fit, for a configuration's validator.

    Args:
        size: Rows and columns of what the trunk reads.
        channels: Width of its stages.
        strides: Stride of each stage, of padded convolutions.
        bins: Strips per scale, as of :func:`gaitbench.layers.horizontal_pyramid_pool`.

    Raises:
        ValueError: Stages and strides differ in number, or a number of strips does not divide the last map's pixels.

    Example:
        >>> check_strips((64, 32), (64, 128, 256, 512), (1, 2, 2, 1), (16,))
        >>> check_strips((30, 15), (8, 8), (1, 2), (16,))
        Traceback (most recent call last):
        ValueError: maps of 30x15 end as 15x8, which bins [16] do not cut into equal strips; choose other bins or sizes
    """
    if len(channels) != len(strides) or not channels:
        raise ValueError(f"channels {list(channels)} and strides {list(strides)} must name the same stages")
    rows, columns = size
    for stride in strides:
        rows, columns = -(-rows // stride), -(-columns // stride)
    if not bins or any(rows * columns % count for count in bins):
        raise ValueError(
            f"maps of {size[0]}x{size[1]} end as {rows}x{columns}, which bins {list(bins)} do not cut into equal "
            "strips; choose other bins or sizes"
        )
