import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.layers import set_pool


def clips(seed: int = 0, frames: int = 6) -> torch.Tensor:
    return torch.randn(3, 4, frames, 5, 2, generator=torch.Generator().manual_seed(seed))


def test_agrees_with_a_loop_over_sequences() -> None:
    x, num_frames = clips(), torch.tensor([6, 1, 4])
    expected = torch.stack([x[n, :, :count].amax(dim=1) for n, count in enumerate(num_frames.tolist())])
    assert torch.equal(set_pool(x, num_frames), expected)


@pytest.mark.parametrize("value", [1e9, float("inf"), float("nan")], ids=["large", "infinite", "nan"])
def test_padding_is_ignored_whatever_it_holds(value: float) -> None:
    x, num_frames = clips(), torch.tensor([6, 1, 4])
    padded = x.clone()
    padded[1, :, 1:], padded[2, :, 4:] = value, value
    assert torch.equal(set_pool(padded, num_frames), set_pool(x, num_frames))


def test_order_and_repetition_of_frames_do_not_matter() -> None:
    x, full = clips(), torch.tensor([6, 6, 6])
    shuffled = x[:, :, torch.tensor([3, 0, 5, 1, 4, 2])]
    assert torch.equal(set_pool(shuffled, full), set_pool(x, full))
    assert torch.equal(set_pool(torch.cat([x, x], dim=2), 2 * full), set_pool(x, full))


@pytest.mark.parametrize("num_frames", [[6, 6, 6], [6, 1, 4]], ids=["whole", "padded"])
def test_gradient(num_frames: list[int]) -> None:
    x = clips().double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: set_pool(x, torch.tensor(num_frames)), x)


def test_the_first_of_equal_frames_receives_the_gradient() -> None:
    x = torch.zeros(1, 1, 3, 1, 1, requires_grad=True)
    set_pool(x, torch.tensor([3])).sum().backward()
    assert x.grad.flatten().tolist() == [1, 0, 0]


def test_a_broken_feature_is_not_hidden() -> None:
    x = clips()
    x[0, 0, 2, 0, 0] = torch.nan
    assert set_pool(x, torch.tensor([6, 6, 6]))[0, 0, 0, 0].isnan()


def test_channels_stay_last_in_memory_in_both_directions() -> None:
    folded = torch.randn(6, 8, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    pooled = set_pool(folded.view(2, 3, 8, 4, 4).transpose(1, 2), torch.tensor([3, 3]))
    assert pooled.is_contiguous(memory_format=torch.channels_last)
    (grad,) = torch.autograd.grad(pooled.sum(), folded)
    assert grad.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("shape", "lengths"), [((3, 4, 5, 2), [5, 5, 5]), ((3, 4, 6, 5, 2), [6, 6])], ids=["axes", "lengths"]
)
def test_shapes_that_do_not_fit(shape: tuple[int, ...], lengths: list[int]) -> None:
    with pytest.raises(ShapeError, match=r"set_pool needs x \[N, C, T, H, W\]"):
        set_pool(torch.zeros(shape), torch.tensor(lengths))
