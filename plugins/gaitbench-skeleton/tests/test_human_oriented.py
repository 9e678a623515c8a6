import math

import pytest
import torch
from gaitbench_skeleton.human_oriented import human_oriented_descriptors, human_oriented_transform, joint_angles


def poses(seed: int = 0) -> torch.Tensor:
    return 40 * torch.rand(2, 2, 3, 17, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("is_upright", [False, True])
def test_neck_is_the_origin_and_the_height_is_fixed(is_upright: bool) -> None:
    x = human_oriented_transform(poses(), is_upright=is_upright)
    torch.testing.assert_close(x[..., [5, 6]].mean(dim=3), torch.zeros(2, 2, 3), rtol=0, atol=1e-4)
    torch.testing.assert_close(x[:, 1].amax(dim=2) - x[:, 1].amin(dim=2), torch.full((2, 3), 225.0))


@pytest.mark.parametrize("is_upright", [False, True])
def test_place_and_size_of_every_frame_do_not_matter(is_upright: bool) -> None:
    x = poses()
    rng = torch.Generator().manual_seed(1)
    size = torch.rand(2, 1, 3, 1, generator=rng) + 0.5
    place = 100 * torch.randn(2, 2, 3, 1, generator=rng)
    torch.testing.assert_close(
        human_oriented_transform(size * x + place, is_upright=is_upright),
        human_oriented_transform(x, is_upright=is_upright),
        rtol=1e-4,
        atol=1e-2,
    )


def test_upright_spines_point_down_and_turning_does_not_matter() -> None:
    x = poses()
    upright = human_oriented_transform(x, is_upright=True)
    hips = upright[..., [11, 12]].mean(dim=3)
    torch.testing.assert_close(hips[:, 0], torch.zeros(2, 3), rtol=0, atol=1e-3)
    assert (hips[:, 1] > 0).all()
    c, s = math.cos(0.7), math.sin(0.7)
    turned = torch.einsum("ab,nbtv->natv", torch.tensor([[c, -s], [s, c]]), x)
    torch.testing.assert_close(human_oriented_transform(turned, is_upright=True), upright, rtol=1e-3, atol=1e-1)


def test_frames_without_extent_stay_finite() -> None:
    x = torch.zeros(1, 2, 2, 17)
    for is_upright in (False, True):
        y = human_oriented_transform(x, is_upright=is_upright)
        assert not y.any()
        descriptors = human_oriented_descriptors(y)
        assert not descriptors[:, :4].any()
        assert (descriptors[:, 4] == math.pi).all()


def test_angles_are_what_the_law_of_cosines_leaves_of_pi() -> None:
    x = poses(3)
    arms = {0: (1, 2), 1: (0, 3), 2: (4, 0)}
    arms |= {5: (7, 11), 6: (8, 12), 7: (5, 9), 8: (6, 10), 11: (5, 13), 12: (6, 14), 13: (11, 15), 14: (12, 16)}
    angles = joint_angles(x)
    assert angles.shape == (2, 1, 3, 17)
    for joint, (first, second) in arms.items():
        a = (x[..., first] - x[..., joint]).norm(dim=1)
        b = (x[..., second] - x[..., joint]).norm(dim=1)
        c = (x[..., first] - x[..., second]).norm(dim=1)
        expected = torch.pi - torch.arccos(((a**2 + b**2 - c**2) / (2 * a * b)).clamp(-1, 1))
        torch.testing.assert_close(angles[:, 0, :, joint], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("bone", "angle"),
    [
        ((0.0, 2.0), math.pi),
        ((0.0, -1.0), math.pi),
        ((1.0, 1.0), 3 * math.pi / 4),
        ((-1.0, 1.0), 3 * math.pi / 4),
        ((1.0, -1.0), 3 * math.pi / 4),
        ((3.0, 1e-6), math.pi / 2),
        ((3.0, 0.0), math.pi),
    ],
    ids=["down", "up", "right", "left", "right-up", "nearly-level", "level"],
)
def test_ends_of_limbs_have_the_angle_of_their_bone_to_the_vertical(bone: tuple[float, float], angle: float) -> None:
    x = torch.zeros(1, 2, 1, 17)
    x[0, :, 0, 15] = torch.tensor(bone)  # ankle, its parent the knee at the origin
    assert joint_angles(x)[0, 0, 0, 15].item() == pytest.approx(angle)


def test_descriptors_are_joints_bones_and_angles() -> None:
    x = poses()
    y = human_oriented_descriptors(x)
    torch.testing.assert_close(y[:, :2], x)
    torch.testing.assert_close(y[:, 2:4, :, 9], x[..., 9] - x[..., 7])
    torch.testing.assert_close(y[:, 4:], joint_angles(x))
