"""MA-Gait: 95 people seen by twelve cameras, with sixteen attributes."""

from collections.abc import Sequence

from gaitbench.streams.silhouettes import pickled_silhouettes, raw_silhouettes
from gaitbench.tree import Layout
from gaitbench_silhouette.attribute_files import AttributeTree
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
        size, edges = self.options.size_px, self.options.edges
        return (
            Layout(
                name="pickles",
                title=f"pickled masks [T, 64, 64] in {_EXAMPLE}",
                levels=_LEVELS,
                streams=(pickled_silhouettes("*.pkl", size, FRAME_RATE_HZ, edges=edges),),
            ),
            Layout(
                name="frames",
                title=f"silhouettes *.png in {_EXAMPLE}",
                levels=_LEVELS,
                streams=(raw_silhouettes("*.png", size, FRAME_RATE_HZ, edges=edges),),
            ),
        )
