"""Average precision and inverse negative penalty: how well all matches of a probe are found, not only the first.

Axes: Q probes, G gallery sequences, M matches. Scores are fractions in [0, 1].
"""

import torch
from torch import Tensor

from gaitbench.metrics.ranking import MatchRanks, rank_matches

__all__ = [
    "average_precision",
    "average_precision_of",
    "inverse_negative_penalty",
    "inverse_negative_penalty_of",
    "mean_ap",
    "mean_inp",
]


def average_precision(distance: Tensor, match: Tensor, valid: Tensor) -> Tensor:
    """Mean over a probe's matches of the precision at the rank where each is found, not interpolated.

    Ties count against the probe: an impostor as far as a match stands in front of it.

    Args:
        distance: ``[Q, G]`` float, smaller means more alike. Only the order is used.
        match: ``[Q, G]`` bool, true where probe and gallery show the same subject.
        valid: ``[Q, G]`` bool, false where the protocol excludes the pair.

    Returns:
        ``[Q]`` float32 in [0, 1], NaN for an absent probe.

    Raises:
        ShapeError: The three tensors differ in shape, or match and valid are not bool.
        ModelError: ``distance`` holds NaN.

    Source:
        Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015, section "Evaluation Protocol"
        (mean average precision). The tie rule is ours.

    Example:
        >>> distance = torch.tensor([[0.1, 0.2, 0.3]])
        >>> match = torch.tensor([[True, False, True]])
        >>> average_precision(distance, match, torch.ones_like(match))  # (1/1 + 2/3) / 2
        tensor([0.8333])
    """
    return average_precision_of(rank_matches(distance, match, valid))


def inverse_negative_penalty(distance: Tensor, match: Tensor, valid: Tensor) -> Tensor:
    """Number of a probe's matches over the rank of its last one: the cost of finding them all.

    Arguments, ties and errors are those of :func:`average_precision`.

    Args:
        distance: ``[Q, G]`` float, smaller means more alike. Only the order is used.
        match: ``[Q, G]`` bool, true where probe and gallery show the same subject.
        valid: ``[Q, G]`` bool, false where the protocol excludes the pair.

    Returns:
        ``[Q]`` float32 in [0, 1], NaN for an absent probe.

    Raises:
        ShapeError: The three tensors differ in shape, or match and valid are not bool.
        ModelError: ``distance`` holds NaN.

    Source:
        Ye et al., "Deep Learning for Person Re-Identification: A Survey and Outlook", TPAMI 2022, section "mINP:
        A New Evaluation Metric".

    Example:
        >>> distance = torch.tensor([[0.1, 0.2, 0.3]])
        >>> match = torch.tensor([[True, False, True]])
        >>> inverse_negative_penalty(distance, match, torch.ones_like(match))
        tensor([0.6667])
    """
    return inverse_negative_penalty_of(rank_matches(distance, match, valid))


mean_ap = average_precision
"""The name under which results report its mean over the probes that have a match."""

mean_inp = inverse_negative_penalty
"""The name under which results report its mean over the probes that have a match."""


def average_precision_of(ranks: MatchRanks) -> Tensor:
    """Average precision from counted ranks, for callers that need several metrics of one ranking.

    Args:
        ranks: What :func:`gaitbench.metrics.ranking.rank_matches` counted.

    Returns:
        ``[Q]`` float32 in [0, 1], NaN for an absent probe.

    Example:
        >>> average_precision_of(MatchRanks(torch.tensor([[0, 1]]), torch.tensor([2]), torch.tensor([3])))
        tensor([0.8333])
    """
    place = torch.arange(1, ranks.impostors_ahead.shape[1] + 1, device=ranks.num_matches.device)  # [M]
    precision = place / (place + ranks.impostors_ahead).double()  # [Q, M]
    is_real = place <= ranks.num_matches[:, None]
    total = precision.masked_fill(~is_real, 0).sum(dim=1)
    return (total / ranks.num_matches).float()  # 0 / 0 is NaN: an absent probe


def inverse_negative_penalty_of(ranks: MatchRanks) -> Tensor:
    """Inverse negative penalty from counted ranks.

    Args:
        ranks: What :func:`gaitbench.metrics.ranking.rank_matches` counted.

    Returns:
        ``[Q]`` float32 in [0, 1], NaN for an absent probe.

    Example:
        >>> inverse_negative_penalty_of(MatchRanks(torch.tensor([[0, 1]]), torch.tensor([2]), torch.tensor([3])))
        tensor([0.6667])
    """
    if ranks.impostors_ahead.shape[1] == 0:
        return torch.full(ranks.num_matches.shape, torch.nan)
    last = ranks.impostors_ahead.gather(1, (ranks.num_matches - 1).clamp(min=0)[:, None])[:, 0]
    return (
        (ranks.num_matches.double() / (ranks.num_matches + last)).float().masked_fill(ranks.num_matches == 0, torch.nan)
    )
