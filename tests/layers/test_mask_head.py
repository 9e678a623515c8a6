import torch

from gaitbench.layers import MaskHead


def test_a_linear_map_of_normalised_features() -> None:
    torch.manual_seed(0)
    head = MaskHead(6)
    pixels = 3 + 2 * torch.randn(50, 6)
    head.eval()
    head.norm.running_mean.fill_(3)
    head.norm.running_var.fill_(4)
    torch.testing.assert_close(head(pixels), head.linear((pixels - 3) / (4 + 1e-5) ** 0.5))
    assert head(pixels).shape == (50, 2)


def test_training_hides_features() -> None:
    head = MaskHead(6, dropout=0.5).train()
    pixels = torch.randn(50, 6)
    assert not torch.equal(head(pixels), head(pixels))
    assert torch.equal(MaskHead(6, dropout=0.0).train().dropout(pixels), pixels)
