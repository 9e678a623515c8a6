import pytest
import torch
from gaitbench_lmgait.config import LEAST_TAU, TextConfig
from gaitbench_lmgait.semantic_attention import SemanticAttention
from torch.nn import functional


def test_likeness_by_the_formula() -> None:
    torch.manual_seed(0)
    attention = SemanticAttention(TextConfig(tau=0.5))
    text, last = torch.randn(3, 1, 6), torch.randn(3, 6, 4, 2)
    mask = attention.mask(text, last)
    for k in range(3):
        cosine = functional.cosine_similarity(text[k, 0][:, None, None], last[k], dim=0)
        torch.testing.assert_close(mask[k, 0], torch.sigmoid(cosine / 0.5))


def test_of_several_vectors_the_most_alike_counts() -> None:
    attention = SemanticAttention(TextConfig())
    last = torch.randn(2, 6, 4, 2)
    one, two = torch.randn(2, 1, 1, 6)
    both = attention.mask(torch.cat([one, two], dim=1), last)
    torch.testing.assert_close(both, torch.maximum(attention.mask(one, last), attention.mask(two, last)))


def test_maps_are_weighed() -> None:
    maps, mask = torch.randn(2, 12, 4, 2), torch.rand(2, 1, 4, 2)
    torch.testing.assert_close(SemanticAttention(TextConfig()).weigh(maps, mask), maps * (1 + mask))
    product = SemanticAttention(TextConfig(attention_use="product"))
    torch.testing.assert_close(product.weigh(maps, mask), maps * mask)


def test_a_channel_gate_knows_the_text_alone_and_treats_stacked_layers_alike() -> None:
    attention = SemanticAttention(TextConfig(attention="channel-gate"))
    text = torch.randn(1, 1, 6)
    gate = attention.mask(text, torch.randn(3, 6, 4, 2))
    torch.testing.assert_close(gate, torch.sigmoid(text).view(1, 6, 1, 1))
    maps = torch.randn(3, 12, 4, 2)
    weighed = attention.weigh(maps, gate)
    torch.testing.assert_close(weighed[:, 6:], maps[:, 6:] * (1 + gate))
    assert not list(attention.parameters())


def test_tau_is_learned_from_its_start() -> None:
    attention = SemanticAttention(TextConfig())
    assert float(attention.tau.detach()) == pytest.approx(0.07, rel=1e-6)
    attention.mask(torch.randn(1, 1, 6), torch.randn(1, 6, 2, 2)).sum().backward()
    (learned,) = attention.parameters()
    assert learned == 0  # weight decay draws it to the start
    assert learned.grad.abs() > 0
    assert not list(SemanticAttention(TextConfig(is_tau_learned=False)).parameters())


def test_no_step_makes_tau_negative_or_stops_its_gradient() -> None:
    torch.manual_seed(0)
    attention = SemanticAttention(TextConfig())
    (learned,) = attention.parameters()
    text, last = torch.randn(1, 1, 6), torch.randn(1, 6, 4, 2) * 1e-3
    for value in (-2.0, 0.0, 5.0):
        with torch.no_grad():
            learned.fill_(value)
        learned.grad = None
        mask = attention.mask(text, last)
        mask.square().sum().backward()
        assert attention.tau > LEAST_TAU
        assert bool(mask.isfinite().all())
        assert learned.grad is not None
        assert learned.grad.isfinite()
        assert learned.grad != 0
