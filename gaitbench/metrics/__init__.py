"""Metrics: pure functions from distances to numbers. One idea per file.

Every metric of a ranking takes ``(distance [Q, G], match [Q, G], valid [Q, G])``, gives NaN for an absent probe, and
counts ties against the probe.
"""

from gaitbench.metrics.average_precision import average_precision, inverse_negative_penalty, mean_ap, mean_inp
from gaitbench.metrics.bootstrap import Interval, percentile_interval, subject_weights
from gaitbench.metrics.chance import chance_average_precision, chance_inverse_negative_penalty, chance_rank_k
from gaitbench.metrics.cmc import cmc, first_rank
from gaitbench.metrics.distance import distance_blocks, part_distance, set_distance
from gaitbench.metrics.k_reciprocal import k_reciprocal, k_reciprocal_blocks
from gaitbench.metrics.nearest import nearest
from gaitbench.metrics.rank_k import rank_k
from gaitbench.metrics.ranking import MatchRanks, rank_matches
from gaitbench.metrics.verification import RocCounts, eer, roc_counts, tar_at_far

__all__ = [
    "Interval",
    "MatchRanks",
    "RocCounts",
    "average_precision",
    "chance_average_precision",
    "chance_inverse_negative_penalty",
    "chance_rank_k",
    "cmc",
    "distance_blocks",
    "eer",
    "first_rank",
    "inverse_negative_penalty",
    "k_reciprocal",
    "k_reciprocal_blocks",
    "mean_ap",
    "mean_inp",
    "nearest",
    "part_distance",
    "percentile_interval",
    "rank_k",
    "rank_matches",
    "roc_counts",
    "set_distance",
    "subject_weights",
    "tar_at_far",
]
