import pytest
import torch

from gaitbench.errors import ModelError, ShapeError
from gaitbench.layers import SeparateBNNeck


def test_agrees_with_a_loop_over_parts() -> None:
    torch.manual_seed(0)
    neck, x = SeparateBNNeck(3, 4, 7).eval(), torch.randn(5, 4, 3)
    with torch.no_grad():
        neck.norm.weight.copy_(torch.rand(12) + 0.5)
        neck.norm.bias.copy_(torch.randn(12))
        neck.norm.running_mean.copy_(torch.randn(12))
        neck.norm.running_var.copy_(torch.rand(12) + 0.5)
    feature, logits = neck(x)
    for part in range(3):
        index = torch.arange(4) * 3 + part  # channel-major
        norm = neck.norm
        row = (x[:, :, part] - norm.running_mean[index]) / (norm.running_var[index] + 1e-5).sqrt()
        row = row * norm.weight[index] + norm.bias[index]
        row = row / row.norm(dim=1, keepdim=True)
        torch.testing.assert_close(feature[:, :, part], row)
        classes = neck.weight[part] / neck.weight[part].norm(dim=0)
        torch.testing.assert_close(logits[:, :, part], row @ classes)


def test_logits_are_cosines_and_class_length_does_not_matter() -> None:
    torch.manual_seed(0)
    neck, x = SeparateBNNeck(3, 4, 7), 100 * torch.randn(6, 4, 3)
    _, logits = neck(x)
    assert logits.abs().max() <= 1 + 1e-6
    with torch.no_grad():
        neck.weight.mul_(17)
    torch.testing.assert_close(neck(x).logits, logits)


def test_number_of_parameters() -> None:
    assert sum(p.numel() for p in SeparateBNNeck(16, 256, 74).parameters()) == 16 * 256 * 74 + 2 * 16 * 256


def test_is_computed_in_float32_under_autocast() -> None:
    neck, x = SeparateBNNeck(3, 4, 7).eval(), torch.randn(2, 4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        got = neck(x)
    assert torch.equal(got.logits, neck(x).logits)
    assert got.logits.dtype == torch.float32


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"SeparateBNNeck needs \[N, 4, 3\], got \[2, 12\]"):
        SeparateBNNeck(3, 4, 7)(torch.zeros(2, 12))


def test_a_single_clip_has_no_spread_to_train_on() -> None:
    neck, x = SeparateBNNeck(3, 4, 7), torch.randn(1, 4, 3)
    with pytest.raises(ModelError, match="one clip has none; train with two or more"):
        neck(x)
    assert bool(neck.eval()(x).logits.isfinite().all())
    assert neck.train()(x.expand(2, -1, -1)).logits.shape == (2, 7, 3)
