import pytest
import torch

from gaitbench.layers import AttentionFusion


@pytest.mark.parametrize("score_order", ["maps", "channels"])
def test_agrees_with_a_softmax_over_the_two_maps(score_order: str) -> None:
    torch.manual_seed(0)
    fusion = AttentionFusion(32, squeeze=16, score_order=score_order).eval()
    first, second = torch.randn(2, 6, 32, 5, 4)
    scores = fusion.scores(torch.cat([first, second], dim=1))
    if score_order == "maps":
        weight = scores.view(6, 2, 32, 5, 4).softmax(dim=1)
        of_first, of_second = weight[:, 0], weight[:, 1]
    else:
        weight = scores.view(6, 32, 2, 5, 4).softmax(dim=2)
        of_first, of_second = weight[:, :, 0], weight[:, :, 1]
    fused = fusion(first, second)
    torch.testing.assert_close(fused, of_first * first + of_second * second)
    assert (fusion(second, first) - fused).abs().max() > 1e-3
    assert torch.equal(fusion(first, first), first)


def test_the_weights_are_worked_out_in_few_channels() -> None:
    assert [AttentionFusion(64).scores[i].weight.shape for i in (0, 3, 6)] == [
        (4, 128, 1, 1),
        (4, 4, 3, 3),
        (128, 4, 1, 1),
    ]
    assert AttentionFusion(4).scores[0].out_channels == 1
