"""MA-Gait: 95 people seen by twelve cameras, with sixteen attributes."""

from collections.abc import Sequence

from gaitbench.tree import Layout
from gaitbench_silhouette.attribute_files import AttributeTree
from gaitbench_silhouette.common_form import common_layouts
from gaitbench_silhouette.records import MA_GAIT

__all__ = ["FRAME_RATE_HZ", "MaGait"]

FRAME_RATE_HZ = 25.0
"""Nominal: none is published in what was at hand."""
_WORD = r"[\w.-]+"
_LEVELS = (rf"(?P<subject>{_WORD})", rf"(?P<condition>{_WORD})", rf"(?P<view>{_WORD})")
_EXAMPLE = "SUBJECT/TYPE/VIEW/"


class MaGait(AttributeTree):
    """Reads MA-Gait in the form common to public gait code, ``SUBJECT/TYPE/VIEW/``, pickled or with a file per frame.

    Not known, and therefore not checked: how the official files lie, the words for subject, type and view, the
    attributes' names, the division into training and test, and where the data can be had. Attributes come from two
    files that :mod:`gaitbench_silhouette.attribute_files` describes. The paper has sixteen; work with twelve of two
    classes uses a part of them or other labels.

    Source:
        IEEE Transactions on Information Forensics and Security, vol. 19, 2024, pp. 1-14.
    """

    spec = MA_GAIT
    notes = "The frame rate is nominal; the official layout is not known."

    def layouts(self) -> Sequence[Layout]:
        """Pickles, then frames."""
        return common_layouts(_LEVELS, _EXAMPLE, FRAME_RATE_HZ, self.options, has_poses=False)
