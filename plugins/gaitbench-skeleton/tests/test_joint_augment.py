import pytest
import torch
from gaitbench_skeleton.graph import COCO_SWAP
from gaitbench_skeleton.joint_augment import JointAugmentConfig, augment_joints, step_generator
from pydantic import ValidationError

from gaitbench.model import GaitBatch


def joints(num_clips: int = 40) -> torch.Tensor:
    return 100 * torch.rand(num_clips, 3, 30, 17, generator=torch.Generator().manual_seed(7))


def changed(x: torch.Tensor | None = None, **fields: object) -> torch.Tensor:
    config = JointAugmentConfig.model_validate(fields)
    return augment_joints(joints() if x is None else x, config, torch.Generator().manual_seed(3))


def test_nothing_asked_nothing_done() -> None:
    assert torch.equal(changed(), joints())


def test_time_flips_whole_clips() -> None:
    x, got = joints(), changed(time_flip=0.5)
    is_flipped = (got == x.flip(2)).all(dim=(1, 2, 3))
    is_same = (got == x).all(dim=(1, 2, 3))
    assert (is_flipped ^ is_same).all()
    assert 10 < is_flipped.sum() < 30


def test_sides_are_swapped_frame_by_frame() -> None:
    x, got = joints(), changed(swap_sides=0.25)
    is_swapped = (got == x[..., list(COCO_SWAP)]).all(dim=1).all(dim=2)  # [N, T]
    is_same = (got == x).all(dim=1).all(dim=2)
    assert (is_swapped ^ is_same).all()
    assert 0.2 < is_swapped.float().mean() < 0.3


def test_mirroring_keeps_the_middle_and_the_rest() -> None:
    x, got = joints(), changed(mirror=1.0)
    middle = x[:, 0].mean(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(got[:, 0] - middle, middle - x[:, 0], rtol=1e-4, atol=1e-3)
    assert torch.equal(got[:, 1:], x[:, 1:])


def test_joint_noise_lasts_for_a_clip_and_spares_the_confidence() -> None:
    offset = changed(joint_noise=2.0) - joints()
    torch.testing.assert_close(offset, offset[:, :, :1].expand_as(offset), rtol=0, atol=1e-4)
    assert offset[:, 2].abs().max() == 0
    assert offset[:, :2, 0].std().item() == pytest.approx(2.0, rel=0.1)


def test_point_noise_falls_on_every_value() -> None:
    offset = changed(point_noise=0.5) - joints()
    for channel in range(3):
        assert offset[:, channel].std().item() == pytest.approx(0.5, rel=0.05)


def test_shift_moves_whole_clips_within_bounds() -> None:
    offset = changed(shift=(4.0, 1.0)) - joints()
    torch.testing.assert_close(offset, offset[:, :, :1, :1].expand_as(offset), rtol=0, atol=1e-4)
    assert 3 < offset[:, 0].abs().max() <= 4 + 1e-4
    assert 0.7 < offset[:, 1].abs().max() <= 1 + 1e-4
    assert offset[:, 2].abs().max() == 0


def test_the_clip_itself_stays() -> None:
    x = joints()
    changed(x, time_flip=0.5, swap_sides=0.5, mirror=0.5, joint_noise=1.0, point_noise=1.0, shift=(1.0, 1.0))
    assert torch.equal(x, joints())


def test_generator_follows_seed_and_step_whatever_was_drawn() -> None:
    def draw(seed: int, step: int, num_draws: int = 0) -> float:
        torch.manual_seed(seed)
        torch.rand(num_draws)
        return torch.rand((), generator=step_generator(GaitBatch({}, {}, step=step))).item()

    assert draw(0, 1) == draw(0, 1, num_draws=5)
    assert len({draw(0, 1), draw(0, 2), draw(1, 1)}) == 3


@pytest.mark.parametrize("fields", [{"time_flip": 1.5}, {"point_noise": -1.0}, {"shift": (-1.0, 0.0)}, {"zoom": 1.0}])
def test_impossible_changes_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        JointAugmentConfig.model_validate(fields)
