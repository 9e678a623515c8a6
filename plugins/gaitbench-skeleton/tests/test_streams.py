import math

import pytest
import torch
from gaitbench_skeleton.streams import (
    bones,
    fill_missing_joints,
    five_channel_streams,
    forward_difference,
    ten_channels,
)

PARENTS = [5, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14]


def joints(num_frames: int = 6, num_clips: int = 2) -> torch.Tensor:
    return 100 * torch.randn(num_clips, 3, num_frames, 17, generator=torch.Generator().manual_seed(0))


def test_bones_agree_with_a_loop() -> None:
    x = joints()
    for joint, parent in enumerate(PARENTS):
        torch.testing.assert_close(bones(x)[..., joint], x[..., joint] - x[..., parent])


@pytest.mark.parametrize(("step", "expected"), [(1, [1, 3, 5, 0, 0]), (2, [4, 8, 12, 0, 0])])
def test_differences_look_ahead_and_end_two_frames_early(step: int, expected: list[float]) -> None:
    x = torch.tensor([0.0, 1, 4, 9, 16]).reshape(1, 1, 5, 1)
    assert forward_difference(x, step).flatten().tolist() == expected


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("num_frames", [1, 2])
def test_sequences_too_short_to_move(step: int, num_frames: int) -> None:
    assert torch.equal(forward_difference(joints(num_frames), step), torch.zeros(2, 3, num_frames, 17))


def test_differences_end_where_the_sequence_does() -> None:
    x = joints(6)
    got = forward_difference(x, 2, torch.tensor([6, 4]))
    torch.testing.assert_close(got[0], forward_difference(x[:1], 2)[0])
    torch.testing.assert_close(got[1, :, :4], forward_difference(x[1:, :, :4], 2)[0])
    assert not got[1, :, 2:].any()


def test_channels_of_gaitgraph2_agree_with_loops() -> None:
    x = joints()
    got = five_channel_streams(x)
    assert got.shape == (2, 3, 5, 6, 17)
    for n in range(2):
        for t in range(6):
            for v in range(17):
                px, py, confidence = x[n, :, t, v].tolist()
                here = [px, py, confidence, px - x[n, 0, t, 0].item(), py - x[n, 1, t, 0].item()]
                moves = t < 4
                dx, dy = ((x[n, c, t + 1, v] - x[n, c, t, v]).item() if moves else 0.0 for c in (0, 1))
                dy2 = (x[n, 1, t + 2, v] - x[n, 1, t, v]).item() if moves else 0.0
                bx, by = ((x[n, c, t, v] - x[n, c, t, PARENTS[v]]).item() for c in (0, 1))
                angle = math.acos(by / (math.hypot(bx, by) + 1e-4))
                expected = [here, [dx, dy, 0.0, confidence, dy2], [bx, by, 0.0, confidence, angle]]
                torch.testing.assert_close(got[n, :, :, t, v], torch.tensor(expected), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("size", [1e-6, 1.0, 9000.0])
def test_angles_of_upright_bones_are_numbers(size: float) -> None:
    x = torch.zeros(1, 3, 1, 17)
    x[:, 1] = size * torch.linspace(-1, 1, 17)
    angle = five_channel_streams(x)[0, 2, 4]
    assert angle.isfinite().all()
    assert angle.min() >= 0
    assert angle.max() <= math.pi + 1e-6


def test_channels_of_gaittr_by_hand() -> None:
    x = joints()
    got = ten_channels(x)
    position = x[:, :2]
    expected = [position, position - position[..., :1], *(forward_difference(position, s) for s in (1, 2))]
    torch.testing.assert_close(got, torch.cat([*expected, bones(position)], dim=1))
    torch.testing.assert_close(ten_channels(x * torch.tensor([1.0, 1.0, 5.0])[:, None, None]), got)


def test_a_missing_joint_takes_the_mean_of_its_frame() -> None:
    x = torch.tensor([[0.0, 3.0, 6.0], [5.0, 1.0, 3.0], [0.9, 0.8, 0.7]])[None, :, None]  # [1, 3, 1, 3]
    expected = torch.tensor([[3.0, 3.0, 6.0], [3.0, 1.0, 3.0], [0.0, 0.8, 0.7]])[None, :, None]
    torch.testing.assert_close(fill_missing_joints(x), expected)


def test_complete_frames_stay_as_they_are() -> None:
    assert torch.equal(fill_missing_joints(joints()), joints())
