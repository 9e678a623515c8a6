import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.layers import clear_padding, padding_mask


def test_by_hand() -> None:
    assert padding_mask(torch.tensor([3, 1, 2]), 3).tolist() == [
        [False, False, False],
        [False, True, True],
        [False, False, True],
    ]


def test_nothing_is_marked_where_nothing_is_padded() -> None:
    x = torch.rand(2, 3, 4, 2, 2)
    assert padding_mask(torch.tensor([4, 4]), 4) is None
    assert clear_padding(x, None) is x


def test_what_padding_holds_is_gone() -> None:
    x = torch.ones(2, 3, 4, 2, 2)
    x[1, :, 2:] = torch.nan
    cleared = clear_padding(x, padding_mask(torch.tensor([4, 2]), 4))
    assert cleared.sum(dim=(1, 3, 4)).tolist() == [[12, 12, 12, 12], [12, 12, 0, 0]]
    assert x.isnan().any()  # the input is left alone


def test_axes_must_fit() -> None:
    with pytest.raises(ShapeError, match=r"\[2, 3, 4, 2, 2\] and \[2, 5\]"):
        clear_padding(torch.zeros(2, 3, 4, 2, 2), torch.zeros(2, 5, dtype=torch.bool))
