import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.layers import attend, split_heads


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_agrees_with_the_definition_place_by_place(heads: int) -> None:
    rng = torch.Generator().manual_seed(heads)
    query, key, value = (torch.randn(2, count, 6, generator=rng) for count in (4, 5, 5))
    mask = torch.tensor([[True, False, True, True, False], [False, True, False, False, False]])
    found, unmasked = attend(query, key, value, heads, mask=mask), attend(query, key, value, heads)
    width = 6 // heads
    for row, place, head in ((0, 0, 0), (0, 3, heads - 1), (1, 2, 0)):
        own = slice(head * width, (head + 1) * width)
        scores = torch.stack([query[row, place, own] @ one for one in key[row, :, own]]) / width**0.5
        seen = torch.softmax(scores, dim=0) @ value[row, :, own]
        torch.testing.assert_close(unmasked[row, place, own], seen)
        allowed = mask[row]
        seen = torch.softmax(scores[allowed], dim=0) @ value[row, allowed][:, own]
        torch.testing.assert_close(found[row, place, own], seen)


def test_the_order_of_what_is_looked_at_does_not_matter() -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 5, 8).unbind(0)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(attend(query, key[:, order], value[:, order], 4), attend(query, key, value, 4))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_cpu_computes_in_full_precision_and_answers_in_that_of_the_queries(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    parts = torch.randn(3, 2, 5, 8, dtype=torch.float64).to(dtype).unbind(0)
    found = attend(*parts, 2)
    assert found.dtype == dtype
    # What is expected was computed in float64; only the answer is rounded.
    torch.testing.assert_close(found, attend(*(part.double() for part in parts), 2).to(dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(attend(*parts, 2), found)


def test_heads_are_neighbouring_channels() -> None:
    x = torch.arange(24.0).view(1, 2, 12)
    heads = split_heads(x, 3)
    assert heads.shape == (1, 3, 2, 4)
    assert torch.equal(heads[0, 1, 1], x[0, 1, 4:8])


@pytest.mark.parametrize(("shape", "heads"), [((2, 3, 8), 3), ((2, 3, 8), 0), ((3, 8), 2)])
def test_heads_that_do_not_divide_are_refused(shape: tuple[int, ...], heads: int) -> None:
    with pytest.raises(ShapeError, match=rf"{heads} heads divide the width of tokens"):
        split_heads(torch.zeros(shape), heads)
