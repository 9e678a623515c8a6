import pytest
import torch

from gaitbench.errors import ShapeError
from gaitbench.layers import AttributeHead


def test_flatten_norm_and_one_linear_layer() -> None:
    torch.manual_seed(0)
    head = AttributeHead(6, (2, 3))
    x = torch.randn(8, 2, 3)
    labels = head(x)
    flat = x.flatten(1)
    normal = (flat - flat.mean(0)) / (flat.var(0, unbiased=False) + head.norm.eps).sqrt()
    torch.testing.assert_close(labels, normal @ head.label.weight.T + head.label.bias)
    assert [part.shape[1] for part in head.by_attribute(labels)] == [2, 3]
    assert {name for name, _ in head.named_parameters()} == {"norm.weight", "norm.bias", "label.weight", "label.bias"}


def test_one_logit_of_two_classes_becomes_two() -> None:
    head = AttributeHead(4, (2, 3, 2), "binary").eval()
    labels = head(torch.randn(5, 4, 1))
    assert labels.shape == (5, 5)
    first, _, last = head.by_attribute(labels)
    torch.testing.assert_close(first, torch.stack([-labels[:, 0], labels[:, 0]], dim=1))
    torch.testing.assert_close(last[:, 1], labels[:, 4])


def test_decisions_are_made_in_float32() -> None:
    head = AttributeHead(4, (2,)).eval()
    x = torch.randn(3, 4, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        labels = head(x.bfloat16())
    assert labels.dtype == torch.float32
    torch.testing.assert_close(labels, head(x.bfloat16().float()))


def test_width() -> None:
    with pytest.raises(ShapeError, match=r"reads 6 features, got \[2, 2, 4\]"):
        AttributeHead(6, (2, 2))(torch.zeros(2, 2, 4))


def test_one_sequence_can_be_asked_and_not_trained_with() -> None:
    head = AttributeHead(4, (2, 3))
    with pytest.raises(ShapeError, match=r"two or more sequences in training, got one; set .*batch_size"):
        head(torch.zeros(1, 2, 2))
    assert head.eval()(torch.zeros(1, 2, 2)).shape == (1, 5)
