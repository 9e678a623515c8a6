"""A head that tells attributes from part features.

Axes: N batch, C channels, P parts, L labels of the vector.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gaitbench.errors import ShapeError
from gaitbench.metrics.label_encoding import EncodingKind, label_encoding

__all__ = ["AttributeHead"]


class AttributeHead(nn.Module):
    """Flatten, batch norm, one linear layer to the label vector.

    Args:
        width: C * P.
        num_classes: ``[A]`` classes of each attribute.
        kind: ``onehot``: a logit per class. ``binary``: an attribute of two classes has one logit, z, and its classes
            the logits -z and z.

    Source:
        Our resolution of RA-GAR (AAAI 2025), Table 3, which says of its baselines that head and loss were replaced.

    Example:
        >>> head = AttributeHead(8, (2, 3)).eval()
        >>> [part.shape for part in head.by_attribute(head(torch.zeros(4, 2, 4)))]
        [torch.Size([4, 2]), torch.Size([4, 3])]
    """

    def __init__(self, width: int, num_classes: Sequence[int], kind: EncodingKind = "onehot") -> None:
        super().__init__()
        self.num_classes = tuple(num_classes)
        self.kind = kind
        self.norm = nn.BatchNorm1d(width)
        self.label = nn.Linear(width, len(label_encoding(num_classes, kind)))

    def forward(self, features: Tensor) -> Tensor:
        """Map ``[N, C, P]`` to the logits of the label vector ``[N, L]``, in float32 or better.

        Raises:
            ShapeError: C * P is not the width, or one sequence alone is trained with, of which there are no statistics.
        """
        flat = features.flatten(1)
        if flat.shape[1] != self.norm.num_features:
            raise ShapeError(f"the head reads {self.norm.num_features} features, got {list(features.shape)}")
        if self.training and len(flat) < 2 and not isinstance(self.norm, nn.SyncBatchNorm):
            raise ShapeError(
                "the head's batch norm needs two or more sequences in training, got one; set the stage's "
                "clips.batch_size to 2 or more"
            )
        # Decisions are made at 0, where bfloat16 has three digits.
        with torch.autocast(features.device.type, enabled=False):
            logits: Tensor = self.label(self.norm(flat.to(self.label.weight.dtype)))
            return logits

    def by_attribute(self, labels: Tensor) -> tuple[Tensor, ...]:
        """Cut label logits ``[N, L]`` into ``[N, classes]`` of each attribute."""
        widths = [1 if self.kind == "binary" and count == 2 else count for count in self.num_classes]
        parts = torch.split(labels, widths, dim=1)
        return tuple(torch.cat([-part, part], dim=1) if part.shape[1] == 1 else part for part in parts)
