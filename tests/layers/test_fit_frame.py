import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.layers import fit_frame, image_area


def test_a_stretched_square_gets_its_proportions_back() -> None:
    # A disc in a box half as wide as tall arrives as an ellipse; fitted, it is a disc again.
    row, column = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing="ij")
    ellipse = ((row / 0.4) ** 2 + (column / 0.8) ** 2 < 1).float()[None, None]
    fitted = fit_frame(ellipse, (64, 32), torch.tensor([0.5]), form="stretched", mode="nearest")
    height, width = fitted[0, 0].any(1).sum(), fitted[0, 0].any(0).sum()
    assert abs(int(height) - int(width)) <= 1


@pytest.mark.parametrize(("ratio", "columns"), [(0.25, 8), (0.5, 16), (1.0, 16)])
def test_sides_are_filled_or_cut(ratio: float, columns: int) -> None:
    fitted = fit_frame(torch.ones(1, 3, 20, 20), (32, 16), torch.tensor([ratio]), form="stretched")
    assert fitted.shape == (1, 3, 32, 16)
    assert fitted[0, 0, 5].sum() == columns
    assert torch.equal(fitted, fitted.flip(3))
    assert torch.equal(fitted[0, :1].bool(), image_area(torch.tensor([ratio]), (32, 16))[0])


def test_each_frame_has_its_own_ratio() -> None:
    frames, ratio = torch.rand(3, 1, 12, 12), torch.tensor([0.3, 0.5, 0.9])
    together = fit_frame(frames, (16, 8), ratio, form="stretched")
    for index in range(3):
        alone = fit_frame(frames[index : index + 1], (16, 8), ratio[index : index + 1], form="stretched")
        torch.testing.assert_close(together[index : index + 1], alone)


def test_a_wide_box_is_cut_from_its_middle() -> None:
    frames = torch.arange(8.0).expand(1, 1, 4, 8)
    fitted = fit_frame(frames, (8, 4), torch.tensor([1.0]), form="stretched", mode="nearest")
    assert fitted[0, 0, 0].tolist() == [2, 3, 4, 5]


def test_padded_crops_are_only_resized() -> None:
    frames = torch.rand(2, 3, 16, 8)
    assert fit_frame(frames, (16, 8)) is frames
    assert fit_frame(frames, (16, 8), torch.tensor([0.1, 0.2])) is frames
    halved = fit_frame(torch.eye(4)[None, None], (2, 2), mode="nearest")
    assert set(halved.unique().tolist()) <= {0.0, 1.0}


def test_shrinking_averages() -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(32).expand(1, 1, 64, 64)
    for form, ratio in (("padded", None), ("stretched", torch.tensor([1.0]))):
        fitted = fit_frame(stripes, (16, 16), ratio, form=form)
        assert (fitted[..., 2:-2] - 0.5).abs().max() < 0.1


def test_half_precision_is_resized() -> None:
    frames = torch.rand(1, 3, 8, 8, dtype=torch.bfloat16)
    assert fit_frame(frames, (4, 4)).dtype == torch.float32
    assert fit_frame(frames, (8, 4), torch.tensor([0.5]).bfloat16(), form="stretched").dtype == torch.float32


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ShapeError, match=r"need ratios \[2\], got none"):
        fit_frame(torch.zeros(2, 1, 4, 4), (4, 4), form="stretched")
    with pytest.raises(ShapeError, match=r"got \[3\]"):
        fit_frame(torch.zeros(2, 1, 4, 4), (4, 4), torch.ones(3), form="stretched")
    with pytest.raises(ShapeError, match=r"\[M, C, H, W\], got \[4, 4\]"):
        fit_frame(torch.zeros(4, 4), (4, 4))
