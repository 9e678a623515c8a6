import pytest
import torch
from gaitbench_lmgait.mtcm import MotionTemporalCapture, TemporalConv, frame_differences


def clip(num_frames: int = 5, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 4, num_frames, 6, 3, generator=torch.Generator().manual_seed(seed))


def module(**fields: object) -> MotionTemporalCapture:
    torch.manual_seed(0)
    return MotionTemporalCapture(4, **fields).eval()


def test_sizes_are_those_of_the_sheet() -> None:
    whole = MotionTemporalCapture(16)
    convolutions = [part[0].weight.numel() for part in (whole.pte, whole.rte, whole.fuse)]
    assert convolutions == [768, 6_912, 512]
    assert TemporalConv(16, 16, (3, 3, 3))[0].weight.numel() == 6_912


def test_pixels_see_their_own_past_and_future_alone() -> None:
    x = clip().requires_grad_()
    module(has_rte=False, fusion="sum")(x)[:, :, 2, 3, 1].sum().backward()
    assert x.grad is not None
    touched = x.grad.abs().amax(dim=(0, 1)) > 0  # [T, H, W]
    assert touched[:, 3, 1].tolist() == [False, True, True, True, False]
    assert touched.sum() == 3


def test_regions_see_differences_alone() -> None:
    rte = module(has_pte=False)
    constant = clip(1).expand(-1, -1, 5, -1, -1)
    other = clip(1, seed=1).expand(-1, -1, 5, -1, -1)
    assert torch.equal(rte(constant), rte(other))
    assert torch.equal(rte(constant), rte(torch.zeros_like(constant)))
    torch.testing.assert_close(rte(clip() + 3), rte(clip()), atol=1e-5, rtol=1e-4)
    assert (rte(clip()) - rte(constant)).abs().max() > 1e-3


@pytest.mark.parametrize(("last", "expected"), [("zero", [2, 1, 0]), ("repeat", [2, 1, 1])])
def test_differences_by_hand(last: str, expected: list[float]) -> None:
    x = torch.tensor([1.0, 3.0, 4.0]).view(1, 1, 3, 1, 1)
    assert frame_differences(x, last=last).flatten().tolist() == expected
    padded = torch.cat([x, torch.full((1, 1, 2, 1, 1), 9.0)], dim=2)
    is_padding = torch.tensor([[False, False, False, True, True]])
    assert frame_differences(padded, is_padding, last).flatten().tolist() == [*expected, 0, 0]
    assert frame_differences(x[:, :, :1], last=last).item() == 0


def test_the_order_of_frames_matters() -> None:
    x = clip()
    for fields in ({}, {"has_rte": False}, {"has_pte": False}):
        motion = module(**fields)
        forth = motion(x)
        assert (motion(x.flip(2)).flip(2) - forth).abs().max() > 1e-3
        order = torch.tensor([3, 0, 4, 1, 2])
        assert (motion(x[:, :, order]) - forth[:, :, order]).abs().max() > 1e-3


def test_each_part_may_be_taken_away_by_itself() -> None:
    x = clip()
    as_it_is = module(has_pte_conv=False)
    both = torch.cat([x, as_it_is.rte(frame_differences(x))], dim=1)
    torch.testing.assert_close(as_it_is(x), as_it_is.fuse(both))
    frames = module(has_rte_difference=False)
    torch.testing.assert_close(frames(x), frames.fuse(torch.cat([frames.pte(x), frames.rte(x)], dim=1)))
    differences = module(has_rte_conv=False)
    both = torch.cat([differences.pte(x), frame_differences(x)], dim=1)
    torch.testing.assert_close(differences(x), differences.fuse(both))
    for without, lost in ((as_it_is, 768), (differences, 6_912), (frames, 0)):
        sizes = [sum(w.numel() for w in each.parameters() if w.dim() == 5) for each in (module(), without)]
        assert sizes[0] - sizes[1] == lost // 16  # 4 channels, not 16: a sixteenth of the sheet's numbers


def test_a_convolution_by_itself_starts_like_those_of_the_module() -> None:
    torch.manual_seed(0)
    conv = TemporalConv(16, 16, (3, 3, 3))
    bound = (6 / (2 * 16 * 27)) ** 0.5  # Xavier
    assert 0.98 * bound < conv[0].weight.abs().max() <= bound
    assert 0 < conv[1].weight.std() < 0.05


def test_fusion_is_frame_by_frame() -> None:
    motion, x = module(), clip()
    both = torch.cat([motion.pte(x), motion.rte(frame_differences(x))], dim=1)
    frame = torch.relu(motion.fuse[1](motion.fuse[0](both[:, :, 2:3])))
    torch.testing.assert_close(motion(x)[:, :, 2:3], frame)
    added = module(fusion="sum")
    torch.testing.assert_close(added(x), added.pte(x) + added.rte(frame_differences(x)))


def test_padding_reaches_nobody() -> None:
    x, is_padding = clip(), torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    noisy = x.clone()
    noisy[1, :, 3:] = 7
    for fields in ({}, {"last_difference": "repeat"}, {"has_pte_conv": False}, {"has_rte_difference": False}):
        motion = module(**fields)
        alone = motion(x[1:, :, :3])
        torch.testing.assert_close(motion(noisy, is_padding)[1:, :, :3], alone, atol=1e-6, rtol=1e-5)


def test_a_single_frame_is_no_motion() -> None:
    assert bool(module()(clip(1)).isfinite().all())
    with pytest.raises(ValueError, match="at least one of its two branches"):
        MotionTemporalCapture(4, has_pte=False, has_rte=False)
