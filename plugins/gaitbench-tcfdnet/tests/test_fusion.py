from typing import Any

import pytest
import torch
from gaitbench_tcfdnet.config import TcfdNetConfig
from gaitbench_tcfdnet.fusion import CrossAttention, MultiGrainedFusion, SpatialWeighting
from gaitbench_tcfdnet.stability import StabilityEnhancement
from torch import nn


def test_attention_by_definition() -> None:
    torch.manual_seed(0)
    attention = CrossAttention(6, 2, is_residual=False)
    x, y = torch.randn(1, 3, 6), torch.randn(1, 4, 6)
    query, (key, value) = attention.query(x)[0], attention.key_value(y)[0].chunk(2, dim=1)
    heads = []
    for part in (slice(0, 3), slice(3, 6)):
        share = torch.softmax(query[:, part] @ key[:, part].T / 3**0.5, dim=1)
        heads.append(share @ value[:, part])
    expected = attention.out(torch.cat(heads, dim=1))
    torch.testing.assert_close(attention(x, y)[0], expected)


@pytest.mark.parametrize("is_residual", [True, False])
def test_both_directions_read_the_layer_before(is_residual: bool, sizes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    config = TcfdNetConfig(**{**sizes, "num_layers": 3, "has_mf_residual": is_residual})
    fusion = MultiGrainedFusion(config)
    assert (len(fusion.to_tokens), len(fusion.to_local)) == (2, 3)
    tokens, maps = torch.randn(2, 5, 8), torch.randn(2, 8, 4, 3)
    local = [maps.flatten(2).transpose(1, 2)]
    seen = [tokens]
    for number in range(3):
        local.append(fusion.to_local[number](local[number], seen[number]))
        if number < 2:
            seen.append(fusion.to_tokens[number](seen[number], local[number]))
    expected = fusion.linear(fusion.norm(local[1] + local[2] + local[3]))
    got = fusion(tokens, maps)
    assert got.shape == maps.shape
    torch.testing.assert_close(got.flatten(2).transpose(1, 2), expected)


def test_what_comes_in_reaches_the_output(sizes: dict[str, Any]) -> None:
    fusion = MultiGrainedFusion(TcfdNetConfig(**sizes))
    tokens, maps = torch.randn(2, 5, 8, requires_grad=True), torch.randn(2, 8, 4, 4, requires_grad=True)
    fusion(tokens, maps).square().sum().backward()
    assert tokens.grad is not None
    assert maps.grad is not None
    assert tokens.grad.abs().sum(dim=(0, 2)).all()
    assert maps.grad.any()


def test_places_are_weighted_around_one(sizes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    maps = torch.randn(3, 8, 4, 4)
    free = SpatialWeighting(TcfdNetConfig(**sizes))
    last = free.layers[-1]
    assert isinstance(last, nn.Conv2d)
    with torch.no_grad():
        last.weight.zero_()
    assert torch.equal(free(maps), torch.ones(3, 1, 4, 4))
    bounded = SpatialWeighting(TcfdNetConfig(**{**sizes, "sw_activation": "sigmoid"}))(maps)
    assert 0 <= bounded.min() < bounded.max() <= 1


def test_weights_of_places_by_definition(sizes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    weighting, maps = SpatialWeighting(TcfdNetConfig(**sizes)).eval(), torch.randn(2, 8, 3, 4)
    first, norm, _, last = weighting.layers
    inner = torch.einsum("oc,mchw->mohw", first.weight[:, :, 0, 0], maps)
    with torch.no_grad():
        norm.running_mean.normal_()  # type: ignore[operator,union-attr]
        norm.running_var.uniform_(0.5, 2)  # type: ignore[operator,union-attr]
    mean, deviation = norm.running_mean[:, None, None], (norm.running_var + norm.eps).sqrt()[:, None, None]  # type: ignore[index,operator]
    normed = (inner - mean) / deviation * norm.weight[:, None, None] + norm.bias[:, None, None]
    rectified = torch.where(normed > 0, normed, 0.01 * normed)
    expected = torch.einsum("oc,mchw->mohw", last.weight[:, :, 0, 0], rectified) + last.bias
    torch.testing.assert_close(weighting(maps), expected)


@pytest.mark.parametrize("squash", ["sigmoid", "softmax"])
def test_weights_of_channels_by_definition(squash: str, sizes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    beta = StabilityEnhancement(TcfdNetConfig(**{**sizes, "squash": squash}))
    with torch.no_grad():
        for weight in beta.parameters():
            weight.normal_()
    shared = torch.randn(2, 8, 4, 4)
    convolved = torch.nn.functional.conv2d(shared, beta.conv.weight, beta.conv.bias, stride=2, padding=1)
    assert convolved.shape == (2, 8, 2, 2)
    first, _, second = beta.mlp
    inner = convolved.flatten(1) @ first.weight.T + first.bias
    numbers = torch.where(inner > 0, inner, 0.01 * inner) @ second.weight.T + second.bias
    kernel, bias = beta.along_channels.weight[0, 0], beta.along_channels.bias
    padded = torch.nn.functional.pad(numbers, (1, 1))
    along = sum(kernel[shift] * padded[:, shift : shift + 8] for shift in range(3)) + bias
    expected = torch.softmax(along, dim=1) if squash == "softmax" else 1 / (1 + torch.exp(-along))
    torch.testing.assert_close(beta(shared), expected)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("squash", ["sigmoid", "softmax"])
def test_a_weight_for_each_channel(squash: str, stride: int, sizes: dict[str, Any]) -> None:
    torch.manual_seed(0)
    beta = StabilityEnhancement(TcfdNetConfig(**{**sizes, "squash": squash, "fse_stride": stride}))
    found = beta(torch.randn(3, 8, 4, 4))
    assert found.shape == (3, 8)
    assert 0 < found.min() < found.max() < 1
    if squash == "softmax":
        torch.testing.assert_close(found.sum(dim=1), torch.ones(3))
