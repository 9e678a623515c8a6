import torch

from gaitbench.layers import appearance_branch, denoising_branch


def test_denoised_classes_add_up_to_one() -> None:
    torch.manual_seed(0)
    branch = denoising_branch(12, 8, 5)
    share = branch(torch.randn(30, 12))
    assert share.shape == (30, 5)
    assert bool((share >= 0).all())
    torch.testing.assert_close(share.sum(dim=1), torch.ones(30))


def test_appearance_is_spread_around_one_half() -> None:
    torch.manual_seed(0)
    kept = appearance_branch(12, 5)(100 + torch.randn(300, 12))
    assert kept.shape == (300, 5)
    # The second batch norm centres what the sigmoid sees.
    assert (kept.logit().mean(dim=0)).abs().max() < 1e-3
    assert (kept.logit().std(dim=0) - 1).abs().max() < 1e-2
