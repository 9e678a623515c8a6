import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.layers import RealFrames


@pytest.mark.parametrize("lengths", [[3, 3], [3, 1], [1, 2]])
def test_frames_come_back_to_their_places(lengths: list[int]) -> None:
    num_frames = torch.tensor(lengths)
    clips = torch.randn(2, 4, 3, 5, 6)
    frames = RealFrames.of(num_frames, 3)
    picked = frames.pick(clips)
    expected = torch.cat([clips[i, :, :n].transpose(0, 1) for i, n in enumerate(lengths)])
    assert torch.equal(picked, expected)
    assert frames.clip.tolist() == [i for i, n in enumerate(lengths) for _ in range(n)]
    back = frames.put(picked)
    for i, n in enumerate(lengths):
        assert torch.equal(back[i, :, :n], clips[i, :, :n])
        assert not back[i, :, n:].any()


def test_gradients_reach_real_frames_alone() -> None:
    clips = torch.randn(2, 1, 3, 2, 2, requires_grad=True)
    frames = RealFrames.of(torch.tensor([3, 2]), 3)
    frames.put(frames.pick(clips) * 2).sum().backward()
    assert clips.grad is not None
    assert clips.grad[:, 0, :, 0, 0].tolist() == [[2, 2, 2], [2, 2, 0]]


def test_clips_of_another_size_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"N = 2 and T = 3, got \[2, 1, 4, 2, 2\]"):
        RealFrames.of(torch.tensor([3, 2]), 3).pick(torch.zeros(2, 1, 4, 2, 2))
