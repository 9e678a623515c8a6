"""Work on chosen pixels: those alone go through a network of vectors, and come back to their places.

Axes: M images, C channels, H rows, W columns, K chosen pixels of all images.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.errors import ShapeError

__all__ = ["on_vectors", "pick_pixels", "put_pixels"]

_IMAGES_AT_ONCE = 32


def pick_pixels(maps: Tensor, where: Tensor) -> Tensor:
    """Take chosen pixels of maps, which are enlarged bilinearly to the size of the choice first.

    Only some images are enlarged at a time: where few pixels are chosen of wide maps, that is most of the memory.

    Args:
        maps: ``[M, C, h, w]``.
        where: ``[M, 1, H, W]`` bool.

    Returns:
        ``[K, C]``: image by image, row by row.

    Raises:
        ShapeError: The axes do not fit.

    Example:
        >>> where = torch.tensor([[[[True, False], [False, True]]]])
        >>> pick_pixels(torch.arange(4.0).view(1, 1, 2, 2), where)
        tensor([[0.],
                [3.]])
    """
    if maps.dim() != 4 or where.dim() != 4 or where.shape[:2] != (len(maps), 1):
        raise ShapeError(
            f"pixels are picked of [M, C, h, w] by [M, 1, H, W], got {list(maps.shape)}, {list(where.shape)}"
        )
    size = (where.shape[2], where.shape[3])
    picked = []
    for part, chosen in zip(torch.split(maps, _IMAGES_AT_ONCE), torch.split(where[:, 0], _IMAGES_AT_ONCE), strict=True):
        whole = part
        if tuple(part.shape[2:]) != size:
            whole = functional.interpolate(part, size, mode="bilinear", align_corners=False)
        picked.append(whole.permute(0, 2, 3, 1)[chosen])
    return torch.cat(picked) if picked else maps.new_zeros(0, maps.shape[1])


def put_pixels(pixels: Tensor, where: Tensor) -> Tensor:
    """Bring chosen pixels back into maps that are 0 elsewhere.

    Args:
        pixels: ``[K, C]`` in the order of :func:`pick_pixels`.
        where: ``[M, 1, H, W]`` bool, K of which are true.

    Returns:
        ``[M, C, H, W]``, channels last in memory.
    """
    rows = where.permute(0, 2, 3, 1).squeeze(3)  # [M, H, W]
    whole = pixels.new_zeros(*rows.shape, pixels.shape[1])
    return whole.masked_scatter(rows[..., None], pixels).permute(0, 3, 1, 2)


def on_vectors(network: nn.Module, vectors: Tensor) -> Tensor:
    """Run a network with batch norms on vectors of which there may be none.

    Fewer than two have no spread to be normalised by: in training they are seen as in evaluation, and leave the running
    statistics as they are.

    Args:
        network: Maps ``[K, C]`` to ``[K, C']``.
        vectors: ``[K, C]``.
    """
    if not network.training or len(vectors) > 1:
        out: Tensor = network(vectors)
        return out
    network.eval()
    try:
        alone: Tensor = network(vectors)
    finally:
        network.train()
    return alone
