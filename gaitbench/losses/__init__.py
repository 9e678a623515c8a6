"""Training losses: triplet (batch-all, batch-hard, across modalities) and scaled cross-entropy, per part."""

from gaitbench.losses.cross_entropy import part_cross_entropy
from gaitbench.losses.cross_modal_triplet import CrossModalTriplet, cross_modal_triplet
from gaitbench.losses.part_distance import part_distance
from gaitbench.losses.triplet import batch_all_triplet, batch_hard_triplet

__all__ = [
    "CrossModalTriplet",
    "batch_all_triplet",
    "batch_hard_triplet",
    "cross_modal_triplet",
    "part_cross_entropy",
    "part_distance",
]
