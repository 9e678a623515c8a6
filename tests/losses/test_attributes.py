import pytest
import torch
from torch.nn import functional

from gaitbench.errors import ModelError, ShapeError
from gaitbench.losses import attribute_bce, attribute_cross_entropy
from gaitbench.metrics.label_encoding import EncodingKind, label_encoding

NUM_CLASSES = (2, 3)
ATTRIBUTES = torch.tensor([[0, 2], [1, -1], [-1, 0], [-1, -1]])


@pytest.mark.parametrize("kind", ["onehot", "binary"])
def test_bce_is_the_mean_over_known_labels(kind: EncodingKind) -> None:
    encoding = label_encoding(NUM_CLASSES, kind)
    logits = torch.randn(4, len(encoding), generator=torch.Generator().manual_seed(0))
    truth = encoding.of_classes(ATTRIBUTES.numpy())
    one_by_one = [
        functional.binary_cross_entropy_with_logits(logits[n, at], torch.tensor(float(truth.value[n, at])))
        for n in range(4)
        for at in range(len(encoding))
        if truth.known[n, at]
    ]
    found = attribute_bce(logits, ATTRIBUTES, NUM_CLASSES, kind=kind)
    torch.testing.assert_close(found, torch.stack(one_by_one).mean())


def test_bce_summed_over_labels_and_weighted_by_how_common_they_are() -> None:
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    share = torch.tensor([0.1, 0.9, 0.5, 0.0, 1.0])
    truth = label_encoding(NUM_CLASSES).of_classes(ATTRIBUTES.numpy())
    plain, weighted = [torch.zeros(()) for _ in range(4)], [torch.zeros(()) for _ in range(4)]
    for n in range(4):
        for at in range(5):
            if not truth.known[n, at]:
                continue
            positive = bool(truth.value[n, at])
            term = functional.binary_cross_entropy_with_logits(logits[n, at], torch.tensor(float(positive)))
            plain[n] = plain[n] + term
            weighted[n] = weighted[n] + term * torch.exp(1 - share[at] if positive else share[at])
    # Of the last sequence nothing is known.
    found = attribute_bce(logits, ATTRIBUTES, NUM_CLASSES, reduction="sum")
    torch.testing.assert_close(found, torch.stack(plain).sum() / 3)
    found = attribute_bce(logits, ATTRIBUTES, NUM_CLASSES, reduction="sum", share=share)
    torch.testing.assert_close(found, torch.stack(weighted).sum() / 3)
    with pytest.raises(ShapeError, match=r"onehot5 needs shares \[5\], got \[4\]"):
        attribute_bce(logits, ATTRIBUTES, NUM_CLASSES, share=share[:4])


def test_cross_entropy_is_the_mean_over_attributes() -> None:
    logits = [torch.randn(4, count, generator=torch.Generator().manual_seed(count)) for count in NUM_CLASSES]
    by_attribute = [
        functional.cross_entropy(logits[0][:2], torch.tensor([0, 1])),
        functional.cross_entropy(logits[1][[0, 2]], torch.tensor([2, 0])),
    ]
    torch.testing.assert_close(attribute_cross_entropy(logits, ATTRIBUTES), torch.stack(by_attribute).mean())
    # An attribute that nobody's label is known of does not count.
    only_first = torch.tensor([[0, -1], [1, -1]])
    expected = functional.cross_entropy(logits[0][:2], torch.tensor([0, 1]))
    torch.testing.assert_close(attribute_cross_entropy([x[:2] for x in logits], only_first), expected)


def test_unknown_labels_get_no_gradient() -> None:
    logits = torch.randn(4, 5, requires_grad=True)
    attribute_bce(logits, ATTRIBUTES, NUM_CLASSES).backward()
    assert logits.grad is not None
    is_known = torch.from_numpy(label_encoding(NUM_CLASSES).of_classes(ATTRIBUTES.numpy()).known)
    assert torch.equal(logits.grad != 0, is_known)


def test_with_nothing_known_there_is_still_something_to_descend() -> None:
    logits = torch.randn(2, 5, requires_grad=True)
    unknown = torch.full((2, 2), -1)
    for loss in (
        attribute_bce(logits, unknown, NUM_CLASSES),
        attribute_cross_entropy(logits.split([2, 3], dim=1), unknown),
    ):
        logits.grad = None
        loss.backward()
        assert loss.item() == 0
        assert logits.grad is not None
        assert not logits.grad.any()


def test_label_smoothing_spreads_the_target() -> None:
    logits = [torch.tensor([[5.0, 0.0]])]
    label = torch.tensor([[0]])
    plain, smooth = (attribute_cross_entropy(logits, label, label_smoothing=share) for share in (0.0, 0.2))
    assert smooth > plain


def test_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"onehot5 needs logits \[4, 5\], got \[4, 4\]"):
        attribute_bce(torch.zeros(4, 4), ATTRIBUTES, NUM_CLASSES)
    with pytest.raises(ShapeError, match="2 attributes need as many tensors"):
        attribute_cross_entropy([torch.zeros(4, 2)], ATTRIBUTES)
    with pytest.raises(ShapeError, match=r"attributes must be \[N, 2\], got \[4, 1\]"):
        attribute_bce(torch.zeros(4, 5), ATTRIBUTES[:, :1], NUM_CLASSES)
    with pytest.raises(ModelError, match=r"classes up to \[1, 2\], there are \[2, 2\] of each"):
        attribute_cross_entropy([torch.zeros(4, 2), torch.zeros(4, 2)], ATTRIBUTES)
    with pytest.raises(ModelError, match=r"attributes hold the class -2; .* -1 is unknown"):
        attribute_cross_entropy([torch.zeros(1, 2)], torch.tensor([[-2]]))
