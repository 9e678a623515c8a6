"""Cross-entropy on part logits.

Axes: N batch, P parts.
"""

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers.widen import widen

__all__ = ["part_cross_entropy"]


def part_cross_entropy(logits: Tensor, labels: Tensor, *, scale: float = 16.0, label_smoothing: float = 0.1) -> Tensor:
    """Average the cross-entropy over samples and parts, in float32 or better also under autocast.

    Args:
        logits: ``[N, classes, P]``; cosines need a scale, plain logits take ``scale=1``.
        labels: ``[N]`` class indices of any integer type.
        scale: Factor on the logits.
        label_smoothing: Share of the target that is spread evenly over all classes, the true one included.

    Returns:
        Scalar.

    Raises:
        ShapeError: ``labels`` does not have one entry per row of ``logits``.

    Source:
        Scale and smoothing of cosine necks as in Fan et al., "OpenGait", CVPR 2023 (GaitBase: 16 and 0.1); label
        smoothing: Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7.

    Example:
        >>> part_cross_entropy(torch.zeros(2, 4, 3), torch.tensor([0, 3]))  # log 4
        tensor(1.3863)
    """
    if logits.dim() != 3 or labels.shape != logits.shape[:1]:
        raise ShapeError(
            f"cross-entropy needs logits [N, classes, P] and labels [N], got {list(logits.shape)} "
            f"and {list(labels.shape)}"
        )
    with torch.autocast(logits.device.type, enabled=False):
        scaled = widen(logits) * scale
        target = labels.long()[:, None].expand(-1, logits.shape[2])  # [N, P]
        return functional.cross_entropy(scaled, target, label_smoothing=label_smoothing)
