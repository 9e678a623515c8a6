"""What a student of one sensor takes from a teacher of both: its features, and how these relate.

Axes: N batch, D embedding width, P parts.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ShapeError

__all__ = ["Balance", "balance", "feature_distance", "part_affinity_distance", "sample_affinity_distance", "warm_up"]


class Balance(NamedTuple):
    """How much each of two students is taught."""

    first: Tensor
    """Scalar in (0.5, 0.8808), whose ends float32 may round to."""
    second: Tensor
    """The same of the other one."""


def feature_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """One minus the cosine of teacher and student, averaged over samples and parts.

    Args:
        teacher: ``[N, D, P]``.
        student: ``[N, D, P]``.

    Returns:
        Scalar in [0, 2]; scaling either side by a positive number changes nothing.

    Source:
        UniCrossGait (IEEE TMM 2026), the direct term (DFI), as its public reference code has it.

    Example:
        >>> x = torch.ones(2, 4, 3)
        >>> round(feature_distance(x, 5 * x).item(), 6), round(feature_distance(x, -x).item(), 6)
        (0.0, 2.0)
    """
    _check(teacher, student)
    return 1 - functional.cosine_similarity(_at_most_1(teacher), _at_most_1(student), dim=1).mean()


def sample_affinity_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean absolute difference of the cosines between the samples of a batch, each its maximum over parts.

    Args:
        teacher: ``[N, D, P]``.
        student: ``[N, D, P]``.

    Returns:
        Scalar, 0 or more.

    Source:
        UniCrossGait (IEEE TMM 2026), the relation between samples (InterC).
    """
    _check(teacher, student)
    ours, theirs = (functional.normalize(x.float().amax(dim=2), dim=1) for x in (student, teacher))
    return (ours @ ours.T - theirs @ theirs.T).abs().mean()


def part_affinity_distance(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean absolute difference of the cosines between the parts of each sample.

    Args:
        teacher: ``[N, D, P]``.
        student: ``[N, D, P]``.

    Returns:
        Scalar, 0 or more.

    Source:
        UniCrossGait (IEEE TMM 2026), the relation between parts (IntraC).
    """
    _check(teacher, student)
    ours, theirs = (functional.normalize(x.float(), dim=1) for x in (student, teacher))
    return (ours.mT @ ours - theirs.mT @ theirs).abs().mean()


def balance(first: Tensor, second: Tensor, labels: Tensor, *, temperature: float = 4.0) -> Balance:
    """Teach the student more that is less sure of the truth than the other.

    With theta the mean probability of the true class, softened by the temperature:
    ``0.5 (1 + tanh(theta_other / (theta_first + theta_second)))``. Gradients pass through.

    Args:
        first: ``[N, classes, P]`` logits of one student.
        second: The same of the other one.
        labels: ``[N]``.
        temperature: Above 0; logits are divided by it.

    Returns:
        One factor each; equally sure students get the same.

    Raises:
        ShapeError: The shapes differ.

    Source:
        UniCrossGait (IEEE TMM 2026), the dynamic balance, as its public reference code has it.

    Example:
        >>> both = balance(torch.zeros(2, 3, 1), torch.zeros(2, 3, 1), torch.tensor([0, 2]))
        >>> round(both.first.item(), 4), round(both.second.item(), 4)  # 0.5 (1 + tanh(0.5))
        (0.7311, 0.7311)
    """
    if first.dim() != 3 or first.shape != second.shape:
        raise ShapeError(
            f"both must be logits [N, classes, P] of one shape, got {list(first.shape)} and {list(second.shape)}"
        )
    ours, theirs = (_log_truth(logits, labels, temperature) for logits in (first, second))
    # theta_other / (theta_first + theta_second), also where both are too small for float32.
    shares = torch.sigmoid(theirs - ours), torch.sigmoid(ours - theirs)
    return Balance(*(0.5 * (1 + torch.tanh(share)) for share in shares))


def warm_up(step: int, *, start: float, end: float, num_steps: int) -> float:
    """A factor that goes from ``start`` to ``end`` in a straight line, and stays there.

    Example:
        >>> [round(warm_up(step, start=0.1, end=1.5, num_steps=40), 2) for step in (0, 20, 40, 99)]
        [0.1, 0.8, 1.5, 1.5]
    """
    return start + (end - start) * min(1.0, step / num_steps)


def _log_truth(logits: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Logarithm of the mean probability of the true class."""
    log_probability = (logits.float() / temperature).log_softmax(dim=1)  # [N, classes, P]
    chosen = labels.long()[:, None, None].expand(-1, 1, logits.shape[2])
    found = log_probability.gather(1, chosen)
    return found.flatten().logsumexp(dim=0) - math.log(found.numel())


def _at_most_1(x: Tensor) -> Tensor:
    """``[N, D, P]`` with the largest number of each part at 1, so that no length is too large or small to square."""
    x = x.float()
    largest = x.detach().abs().amax(dim=1, keepdim=True)
    return x / torch.where(largest > 0, largest, 1.0)


def _check(teacher: Tensor, student: Tensor) -> None:
    if teacher.dim() != 3 or teacher.shape != student.shape:
        raise ShapeError(
            f"teacher and student must be [N, D, P] of one shape, got {list(teacher.shape)} and {list(student.shape)}"
        )
