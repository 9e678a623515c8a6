import pytest
import torch
from gaitbench_skeleton.windows import random_window, spread_windows


def counting(num_frames: int, num_clips: int = 1) -> torch.Tensor:
    """Frames that hold their own number."""
    return torch.arange(float(num_frames)).reshape(1, 1, -1, 1).expand(num_clips, 3, num_frames, 2)


@pytest.mark.parametrize(
    ("num_frames", "length", "num_windows", "expected"),
    [
        pytest.param(7, 3, 1, [[2, 3, 4]], id="middle"),
        pytest.param(8, 3, 1, [[2, 3, 4]], id="middle-rounded-down"),
        pytest.param(4, 4, 1, [[0, 1, 2, 3]], id="fits"),
        pytest.param(3, 7, 1, [[0, 1, 2, 0, 1, 2, 0]], id="repeated-whole"),
        pytest.param(1, 3, 1, [[0, 0, 0]], id="one-frame"),
        pytest.param(7, 3, 3, [[0, 1, 2], [2, 3, 4], [4, 5, 6]], id="spread"),
        pytest.param(6, 3, 3, [[0, 1, 2], [2, 3, 4], [3, 4, 5]], id="spread-rounded-up"),
        pytest.param(2, 3, 2, [[0, 1, 0], [0, 1, 0]], id="spread-and-short"),
    ],
)
def test_windows_by_hand(num_frames: int, length: int, num_windows: int, expected: list[list[float]]) -> None:
    x = torch.nn.functional.pad(counting(num_frames), (0, 0, 0, 5), value=99.0)
    got = spread_windows(x, torch.tensor([num_frames]), length=length, num_windows=num_windows)
    assert got.shape == (num_windows, 3, length, 2)
    assert got[:, 1, :, 0].tolist() == expected


def test_each_sequence_has_windows_of_its_own_side_by_side() -> None:
    x = counting(9, 2)
    got = spread_windows(x, torch.tensor([9, 4]), length=4, num_windows=2)
    assert got[:, 0, :, 0].tolist() == [[0, 1, 2, 3], [5, 6, 7, 8], [0, 1, 2, 3], [0, 1, 2, 3]]


def test_random_windows_are_anywhere_but_in_padding() -> None:
    x = torch.nn.functional.pad(counting(6, 300), (0, 0, 0, 4), value=99.0)
    got = random_window(x, torch.full((300,), 6), length=4, rng=torch.Generator().manual_seed(0))[:, 0, :, 0]
    start = got[:, 0]
    assert torch.equal(got, start[:, None] + torch.arange(4))
    assert sorted(set(start.tolist())) == [0, 1, 2]


def test_a_short_sequence_is_repeated_in_training_too() -> None:
    got = random_window(counting(2), torch.tensor([2]), length=5, rng=torch.Generator())
    assert got[0, 0, :, 0].tolist() == [0, 1, 0, 1, 0]
