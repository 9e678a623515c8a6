import torch
from gaitbench_lmgait.feature_branch import FeatureBranch
from torch.nn import functional


def test_agrees_with_enlarging_and_masking_first() -> None:
    torch.manual_seed(0)
    branch = FeatureBranch(12, 6, 4).eval()
    layers, mask = torch.randn(3, 12, 4, 2), torch.rand(3, 1, 8, 4).round()
    large = functional.interpolate(layers, (8, 4), mode="bilinear", align_corners=False)
    inner = functional.gelu(branch.norm(branch.reduce(large * mask)))
    expected = branch.assign(branch.block(inner)).softmax(dim=1) * mask
    torch.testing.assert_close(branch(layers, mask), expected, atol=1e-6, rtol=1e-4)


def test_channels_add_up_to_one_on_the_person_and_to_nothing_elsewhere() -> None:
    mask = torch.zeros(2, 1, 8, 4)
    mask[:, :, 2:6, 1:3] = torch.rand(2, 1, 4, 2).clamp_min(0.1)
    out = FeatureBranch(12, 6, 4)(torch.randn(2, 12, 4, 2), mask)
    torch.testing.assert_close(out.sum(dim=1, keepdim=True), (mask > 0).float())
