"""RA-GAR: people outdoors with fifteen attributes."""

from collections.abc import Sequence

from gaitbench.tree import Layout
from gaitbench_silhouette.attribute_files import AttributeTree
from gaitbench_silhouette.common_form import common_layouts
from gaitbench_silhouette.records import RA_GAR

__all__ = ["FRAME_RATE_HZ", "RaGar"]

FRAME_RATE_HZ = 25.0
"""Nominal: none is published in what was at hand."""
_LEVELS = (r"(?P<subject>\d{3})", r"(?P<condition>[\w.-]+)", r"(?P<view>[\w.-]+)")
_EXAMPLE = "SUBJECT/TYPE/VIEW/, with subjects 001 to 533"


class RaGar(AttributeTree):
    """Reads RA-GAR in the form common to public gait code, ``001/TYPE/VIEW/``, pickled or with a file per frame.

    Attributes come from the data package, in two files that :mod:`gaitbench_silhouette.attribute_files` describes:
    seven of two classes and eight of more. Their names are not published in text, and none are made up here. How the
    package itself lies is not known; neither are the words for type and view.

    250 subjects train and 283 are tested, by a list that follows no rule (the 288 in the paper's text is a misprint, as
    the list is complete): core's protocol ``ra-gar``. What is scored, sequences or people, is not known.

    Source:
        Wang et al., AAAI 2025.
    """

    spec = RA_GAR
    notes = "The frame rate is nominal."

    def layouts(self) -> Sequence[Layout]:
        """Pickles, then frames."""
        return common_layouts(_LEVELS, _EXAMPLE, FRAME_RATE_HZ, self.options, has_poses=True)
