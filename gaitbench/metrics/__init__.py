"""Metrics: pure functions from distances to numbers. One idea per file.

Every metric of a ranking takes ``(distance [Q, G], match [Q, G], valid [Q, G])``, gives NaN for an absent probe, and
counts ties against the probe. Those of attributes take what is true and what is told of every sequence.
"""

from gaitbench.metrics.attribute_chance import chance_instances, chance_label_counts
from gaitbench.metrics.average_precision import average_precision, inverse_negative_penalty, mean_ap, mean_inp
from gaitbench.metrics.bootstrap import Interval, percentile_interval, subject_weights
from gaitbench.metrics.chance import chance_average_precision, chance_inverse_negative_penalty, chance_rank_k
from gaitbench.metrics.class_based import class_accuracy, class_recall
from gaitbench.metrics.cmc import cmc, first_rank
from gaitbench.metrics.distance import distance_blocks, part_distance, set_distance
from gaitbench.metrics.instance_based import InstanceMeans, InstanceScores, instance_means, instance_scores
from gaitbench.metrics.k_reciprocal import k_reciprocal, k_reciprocal_blocks
from gaitbench.metrics.label_based import (
    LabelCounts,
    element_accuracy,
    element_accuracy_of,
    label_counts,
    mean_accuracy,
    mean_accuracy_of,
)
from gaitbench.metrics.label_encoding import LabelEncoding, LabelMatrix, label_encoding
from gaitbench.metrics.nearest import nearest
from gaitbench.metrics.rank_k import rank_k
from gaitbench.metrics.ranking import MatchRanks, rank_matches
from gaitbench.metrics.verification import RocCounts, eer, roc_counts, tar_at_far

__all__ = [
    "InstanceMeans",
    "InstanceScores",
    "Interval",
    "LabelCounts",
    "LabelEncoding",
    "LabelMatrix",
    "MatchRanks",
    "RocCounts",
    "average_precision",
    "chance_average_precision",
    "chance_instances",
    "chance_inverse_negative_penalty",
    "chance_label_counts",
    "chance_rank_k",
    "class_accuracy",
    "class_recall",
    "cmc",
    "distance_blocks",
    "eer",
    "element_accuracy",
    "element_accuracy_of",
    "first_rank",
    "instance_means",
    "instance_scores",
    "inverse_negative_penalty",
    "k_reciprocal",
    "k_reciprocal_blocks",
    "label_counts",
    "label_encoding",
    "mean_accuracy",
    "mean_accuracy_of",
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
