"""How common each label is among what a model has been trained on so far.

Axes: N sequences, L labels of the vector.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gaitbench.metrics.label_encoding import label_encoding

__all__ = ["LabelShares"]


class LabelShares(nn.Module):
    """Counts the labels of training batches; the counts belong to the model's state, so that a resumed run knows them.

    Args:
        num_classes: ``[A]`` classes of each attribute; a label for each class of each.

    Example:
        >>> shares = LabelShares((2, 3))
        >>> shares.update(torch.tensor([[0, 2], [1, -1], [0, 2]]))
        >>> shares.value
        tensor([0.6667, 0.3333, 0.0000, 0.0000, 1.0000])
    """

    num_positive: Tensor
    num_known: Tensor

    def __init__(self, num_classes: Sequence[int]) -> None:
        super().__init__()
        self.num_classes = tuple(num_classes)
        for name in ("num_positive", "num_known"):
            self.register_buffer(name, torch.zeros(sum(num_classes), dtype=torch.int64))

    @property
    def value(self) -> Tensor:
        """``[L]`` float32 share of sequences with each label among those of which it is known; 0.5 before any is."""
        share = self.num_positive / self.num_known.clamp_min(1)
        return torch.where(self.num_known > 0, share, torch.full_like(share, 0.5))

    @torch.no_grad()
    def update(self, attributes: Tensor) -> None:
        """Count a batch of attributes ``[N, A]`` int64, -1 where unknown."""
        encoding = label_encoding(self.num_classes)
        attribute, cls = (torch.from_numpy(x).to(attributes.device) for x in (encoding.attribute, encoding.cls))
        told = attributes[:, attribute]  # [N, L]
        self.num_positive += (told == cls).sum(dim=0)
        self.num_known += (told >= 0).sum(dim=0)
