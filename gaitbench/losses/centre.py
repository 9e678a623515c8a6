"""Centre loss: every sample near the centre of its class.

Axes: N batch, K classes, D embedding width, P parts.
"""

import torch
from torch import Tensor

from gaitbench.errors import ShapeError

__all__ = ["centre_loss", "moved_centres"]


def centre_loss(embedding: Tensor, labels: Tensor, centres: Tensor) -> Tensor:
    """Average half the squared distance of each sample from its class's centre.

    Computed in float32 or better, also under autocast. Gradients reach the centres too, so they may be a parameter
    that trains along; or they are a buffer, moved after each step by :func:`moved_centres`.

    Args:
        embedding: ``[N, D, P]``.
        labels: ``[N]`` int64 class indices, below K.
        centres: ``[K, D, P]``.

    Returns:
        Scalar: mean over samples and parts of half the squared Euclidean distance.

    Raises:
        ShapeError: Embeddings, labels and centres do not fit together.

    Source:
        Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV 2016, equation 2,
        with a mean over the batch instead of a sum.

    Example:
        >>> centre_loss(torch.tensor([[[3.0], [4.0]]]), torch.tensor([1]), torch.zeros(2, 2, 1))
        tensor(12.5000)
    """
    _check(embedding, labels, centres)
    with torch.autocast(embedding.device.type, enabled=False):
        dtype = torch.promote_types(torch.promote_types(embedding.dtype, centres.dtype), torch.float32)
        offset = embedding.to(dtype) - centres.to(dtype)[labels]  # [N, D, P]
        return 0.5 * offset.square().sum(dim=1).mean()


@torch.no_grad()
def moved_centres(embedding: Tensor, labels: Tensor, centres: Tensor, *, rate: float = 0.5) -> Tensor:
    """Move each centre towards the samples of its class in a batch; a class without samples stays.

    Args:
        embedding: ``[N, D, P]``.
        labels: ``[N]`` int64 class indices, below K.
        centres: ``[K, D, P]``.
        rate: Share of the step that is taken, between 0 and 1.

    Returns:
        ``[K, D, P]``: ``c - rate * sum(c - x) / (1 + n)`` over the n samples x of each class.

    Raises:
        ShapeError: Embeddings, labels and centres do not fit together.

    Source:
        Wen et al., "A Discriminative Feature Learning Approach for Deep Face Recognition", ECCV 2016, equation 4.

    Example:
        >>> x = torch.tensor([4.0, 8.0]).reshape(2, 1, 1)
        >>> moved_centres(x, torch.tensor([0, 0]), torch.zeros(2, 1, 1), rate=1.0).flatten()
        tensor([4., 0.])
    """
    _check(embedding, labels, centres)
    pull = torch.zeros_like(centres).index_add_(0, labels, embedding.to(centres.dtype) - centres[labels])
    count = labels.bincount(minlength=len(centres))[:, None, None]
    return centres + rate * pull / (1 + count)


def _check(embedding: Tensor, labels: Tensor, centres: Tensor) -> None:
    fits = embedding.dim() == 3 and labels.shape == embedding.shape[:1] and centres.shape[1:] == embedding.shape[1:]
    if not fits:
        raise ShapeError(
            f"centre loss needs embeddings [N, D, P], labels [N] and centres [K, D, P], got {list(embedding.shape)}, "
            f"{list(labels.shape)} and {list(centres.shape)}"
        )
    if len(labels):
        # A negative label would take a centre from the end, without a word.
        smallest, largest = (int(bound) for bound in labels.aminmax())
        if smallest < 0 or largest >= len(centres):
            raise ShapeError(f"label {smallest if smallest < 0 else largest} has no centre; there are {len(centres)}")
