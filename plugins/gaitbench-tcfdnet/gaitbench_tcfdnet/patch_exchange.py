"""Cross-modal patch exchange: cells of a silhouette and of the range image of the same moment change places.

Axes: N pairs, C channels, T frames, H rows, W columns; G cells of a grid.
"""

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError

__all__ = ["draw_exchange", "exchange_patches"]


def draw_exchange(
    num_pairs: int, grid: tuple[int, int], *, chance: float, share: float, generator: torch.Generator | None = None
) -> Tensor:
    """Draw which cells of which pairs change places.

    Args:
        num_pairs: N.
        grid: Rows and columns of cells.
        chance: Probability that a pair takes part.
        share: Share of its cells that change places, at least one of them.
        generator: On the CPU; None for the global one, which training seeds in every step. Draws are those of the CPU
            on every device.

    Returns:
        ``[N, rows, columns]`` bool on the CPU, true where cells change places.

    Example:
        >>> draw_exchange(3, (4, 4), chance=1.0, share=0.25, generator=torch.Generator().manual_seed(0)).sum(dim=(1, 2))
        tensor([4, 4, 4])
    """
    num_cells = grid[0] * grid[1]
    takes_part = torch.rand(num_pairs, generator=generator, device="cpu") < chance
    order = torch.rand(num_pairs, num_cells, generator=generator, device="cpu").argsort(dim=1)
    count = max(1, round(share * num_cells))
    is_chosen = torch.zeros(num_pairs, num_cells, dtype=torch.bool).scatter(1, order[:, :count], True)
    return (is_chosen & takes_part[:, None]).view(num_pairs, *grid)


def exchange_patches(a: Tensor, b: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
    """Exchange cells in all frames of a pair alike; done twice with the same cells, nothing has changed.

    Args:
        a: ``[N, C, T, H, W]`` of any type.
        b: The same moments of another modality, of the same shape.
        cells: ``[N, rows, columns]`` bool; rows and columns divide H and W.

    Returns:
        Both, changed.

    Raises:
        ShapeError: Clips differ in shape, which those of one moment do not, or the grid has no cells or does not divide
            the frames.

    Source:
        TCFDNet, CVPR 2026, "Cross-modal Patch Exchange"; its details stand in a supplement that was not at hand.

    Example:
        >>> a, b = torch.zeros(1, 1, 1, 2, 2), torch.ones(1, 1, 1, 2, 2)
        >>> exchange_patches(a, b, torch.tensor([[[True, False], [False, False]]]))[0].flatten()
        tensor([1., 0., 0., 0.])
    """
    if a.dim() != 5 or a.shape != b.shape:
        raise ShapeError(
            f"patches are exchanged between synchronised clips [N, C, T, H, W] of one shape, got {list(a.shape)} and "
            f"{list(b.shape)}"
        )
    if cells.dim() != 3 or len(cells) != len(a):
        raise ShapeError(f"cells must be [N, rows, columns] of {len(a)} pairs, got {list(cells.shape)}")
    rows, columns = cells.shape[1:]
    if not rows or not columns or a.shape[3] % rows or a.shape[4] % columns:
        raise ShapeError(f"cells {list(cells.shape)} do not divide clips {list(a.shape)} evenly")
    size = a.shape[3], a.shape[4]
    grown = functional.interpolate(cells[:, None].to(a.device, torch.float32), size, mode="nearest")  # [N, 1, H, W]
    is_exchanged = grown[:, :, None] > 0.5  # [N, 1, 1, H, W]
    return torch.where(is_exchanged, b, a), torch.where(is_exchanged, a, b)
