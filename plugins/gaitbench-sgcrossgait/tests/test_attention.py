"""Attention to something else: one row of it for all sequences, and what is computed in half precision."""

import torch
from gaitbench_sgcrossgait.attention import CrossAttention
from gaitbench_sgcrossgait.config import SgCrossGaitConfig
from gaitbench_sgcrossgait.fusion import DualStreamFusion


def test_one_row_that_all_ask_is_the_same_as_a_copy_for_each() -> None:
    torch.manual_seed(0)
    attention = CrossAttention(8, 6, 2)
    x, texts = torch.randn(3, 5, 8), torch.randn(1, 4, 6, requires_grad=True)
    mask = torch.tensor([[True, False, True, False], [False, False, False, True], [True, True, True, True]])
    copies = texts.expand(3, -1, -1)
    torch.testing.assert_close(attention(x, texts, mask), attention(x, copies, mask))
    torch.testing.assert_close(attention.weights(x, texts), attention.weights(x, copies))
    gradients = [torch.autograd.grad(attention(x, y, mask).square().sum(), texts)[0] for y in (texts, copies)]
    torch.testing.assert_close(*gradients)


def test_fusion_in_half_precision_is_fusion() -> None:
    torch.manual_seed(0)
    fusion = DualStreamFusion(SgCrossGaitConfig(channels=(8, 8, 8, 8), heads=2, num_layers=2), 6).eval()
    maps, patches = torch.randn(3, 8, 16, 12), torch.randn(3, 6, 4, 3)
    wanted = fusion(maps, patches)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = fusion(maps.bfloat16(), patches)
    torch.testing.assert_close(found.float(), wanted, atol=0.05, rtol=0.05)
