"""Training losses: triplets of several kinds, contrastive, centre and scaled cross-entropy, per part; of attributes."""

from gaitbench.losses.attributes import attribute_bce, attribute_cross_entropy, check_classes
from gaitbench.losses.centre import centre_loss, moved_centres
from gaitbench.losses.channel_diversity import channel_diversity, spatial_entropy
from gaitbench.losses.cross_entropy import part_cross_entropy
from gaitbench.losses.cross_modal_triplet import CrossModalTriplet, cross_modal_triplet
from gaitbench.losses.multi_similarity import MinedPairs, mine_multi_similarity, multi_similarity_triplet
from gaitbench.losses.part_distance import part_distance
from gaitbench.losses.sobel_smoothness import sobel_smoothness
from gaitbench.losses.supervised_contrastive import supervised_contrastive
from gaitbench.losses.triplet import batch_all_triplet, batch_hard_triplet

__all__ = [
    "CrossModalTriplet",
    "MinedPairs",
    "attribute_bce",
    "attribute_cross_entropy",
    "batch_all_triplet",
    "batch_hard_triplet",
    "centre_loss",
    "channel_diversity",
    "check_classes",
    "cross_modal_triplet",
    "mine_multi_similarity",
    "moved_centres",
    "multi_similarity_triplet",
    "part_cross_entropy",
    "part_distance",
    "sobel_smoothness",
    "spatial_entropy",
    "supervised_contrastive",
]
