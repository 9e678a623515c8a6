"""Scoliosis1K: adolescents who walk towards a camera, each walk labelled by what screening found."""

import dataclasses
from collections.abc import Mapping, Sequence

from gaitbench.card import Attribute
from gaitbench.sequence import SequenceInfo
from gaitbench.streams.silhouettes import SilhouetteOptions
from gaitbench.tree import Layout, TreeBuilder
from gaitbench_silhouette.common_form import common_layouts
from gaitbench_silhouette.records import SCOLIOSIS1K

__all__ = ["CLASSES", "FRAME_RATE_HZ", "Scoliosis1K"]

FRAME_RATE_HZ = 25.0
"""Nominal: the sheet of facts that this was written from has none."""
CLASSES = ("negative", "neutral", "positive")
"""In the order of the published code; an older copy of it has positive before neutral."""
_LEVELS = (r"(?P<subject>\d{5})", r"(?P<condition>(?i:negative|neutral|positive))", r"(?P<view>\d{3}[-_]\d{3})")
_EXAMPLE = "NUMBER/CLASS/VIEW/, such as 00000/positive/000_180/"


class Scoliosis1K(TreeBuilder):
    """Reads Scoliosis1K, ``00000/positive/000_180/`` with a pickle of masks or of joints, or with a PNG file per frame.

    The class is the attribute ``scoliosis``, and the condition as the folder writes it; both spellings of the view are
    in use. The five digits count sequences, 1,493 of them, of 1,050 people: who walked twice is not known, so that
    training and test people cannot be kept apart, and there is no identity protocol.

    The authors give four lists of training and test sequences, core's protocols ``scoliosis1k-112``, ``-114``, ``-118``
    and ``-1116``. They follow no rule and come with the data, to be handed in with ``--partition FILE``. How the poses
    lie is assumed to be as for the masks.

    Source:
        Zhou et al., MICCAI 2024, and the data's release.
    """

    spec = SCOLIOSIS1K
    notes = "The frame rate is nominal. Subjects are sequences: people who walked twice cannot be told."
    attributes = (Attribute(name="scoliosis", title="What screening found", classes=CLASSES),)
    options: SilhouetteOptions

    def layouts(self) -> Sequence[Layout]:
        """Pickles, then frames."""
        return common_layouts(_LEVELS, _EXAMPLE, FRAME_RATE_HZ, self.options, has_poses=True)

    def describe(self, names: Mapping[str, str], layout: Layout) -> SequenceInfo:
        """Add the class."""
        return dataclasses.replace(
            super().describe(names, layout), attributes=(CLASSES.index(names["condition"].lower()),)
        )
