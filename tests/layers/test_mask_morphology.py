import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.layers import choose_foreground, clean_mask, dilate, erode


def slow(mask: torch.Tensor, size: int, largest: bool) -> torch.Tensor:
    out, half = torch.empty_like(mask), size // 2
    for row in range(mask.shape[2]):
        for column in range(mask.shape[3]):
            window = mask[:, :, max(0, row - half) : row + half + 1, max(0, column - half) : column + half + 1]
            out[:, :, row, column] = window.amax((2, 3)) if largest else window.amin((2, 3))
    return out


@pytest.mark.parametrize("size", [1, 3, 5])
def test_agrees_with_windows_one_by_one(size: int) -> None:
    mask = (torch.rand(3, 1, 9, 7, generator=torch.Generator().manual_seed(0)) > 0.6).float()
    assert torch.equal(dilate(mask, size), slow(mask, size, largest=True))
    assert torch.equal(erode(mask, size), slow(mask, size, largest=False))


def test_a_person_at_the_edge_is_not_eaten_from_there() -> None:
    assert torch.equal(erode(torch.ones(1, 1, 6, 4), 5), torch.ones(1, 1, 6, 4))


def body() -> torch.Tensor:
    """A body of 8 x 6 pixels with a hole, unsure at its rim."""
    probability = torch.full((1, 1, 14, 12), 0.1)
    probability[..., 3:11, 3:9] = 0.7
    probability[..., 4:10, 4:8] = 0.95
    probability[..., 6, 5] = 0.2
    return probability


def test_closing_fills_holes_and_keeps_the_seam_soft() -> None:
    probability = body()
    mask = clean_mask(probability)
    # Grown by one and shrunk by two, the rim of the rounded body is seam, as is the ring around it.
    assert torch.equal(mask[..., 4:10, 4:8], torch.ones(1, 1, 6, 4))
    ring = torch.zeros_like(mask, dtype=torch.bool)
    ring[..., 2:12, 2:10] = True
    ring[..., 4:10, 4:8] = False
    assert torch.equal(mask[ring], probability[ring])
    assert not mask[..., :2, :].any()
    assert clean_mask(probability, "core").sum() == 24
    assert clean_mask(probability, "rounded").sum() == 47
    assert clean_mask(probability, "soft") is probability


def test_gradients_reach_the_seam_only() -> None:
    probability = body().requires_grad_()
    clean_mask(probability).sum().backward()
    assert probability.grad is not None
    assert probability.grad[..., 6, 5] == 0
    assert probability.grad[..., 3, 4] == 1
    assert probability.grad[..., 0, 0] == 0


def test_the_class_that_fills_the_border_is_not_the_person() -> None:
    person = torch.zeros(2, 1, 20, 6)
    person[:, :, 4:18, 2:4] = 0.9
    share = torch.cat([person, 1 - person], dim=1)
    share[1] = share[1].flip(0)  # the second image has its classes the other way round
    assert torch.equal(choose_foreground(share), person)


@pytest.mark.parametrize(("num_pixels", "is_kept"), [(30, True), (31, False)])
def test_half_of_the_border_is_the_limit(num_pixels: int, is_kept: bool) -> None:
    first = torch.zeros(1, 1, 20, 6)
    first[:, :, :5].view(-1)[: min(30, num_pixels)] = 1
    first[:, :, -1, 0] = num_pixels - 30 if num_pixels > 30 else 0
    chosen = choose_foreground(torch.cat([first, 1 - first], dim=1))
    assert torch.equal(chosen, first if is_kept else 1 - first)


def test_shapes_are_checked() -> None:
    with pytest.raises(ShapeError, match=r"\[M, 1, H, W\], got \[2, 3, 4, 4\]"):
        dilate(torch.zeros(2, 3, 4, 4), 3)
    with pytest.raises(ShapeError, match=r"10 rows or more, got \[1, 2, 8, 4\]"):
        choose_foreground(torch.zeros(1, 2, 8, 4))
    with pytest.raises(ValueError, match="odd, got 4"):
        erode(torch.zeros(1, 1, 8, 4), 4)
