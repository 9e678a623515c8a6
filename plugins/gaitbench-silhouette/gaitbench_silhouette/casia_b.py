"""CASIA-B: 124 people, ten walks, eleven views; and the poses that were estimated from its videos."""

from collections.abc import Sequence

from gaitbench.streams.joints import holds_joints, pickled_joints
from gaitbench.streams.silhouettes import SilhouetteOptions, pickled_silhouettes, raw_silhouettes
from gaitbench.tree import Layout, TreeBuilder
from gaitbench_silhouette.records import CASIA_B

__all__ = ["FRAME_RATE_HZ", "LEVELS", "CasiaB"]

FRAME_RATE_HZ = 25.0
"""Of the videos."""
LEVELS = (
    r"(?P<subject>\d{3})",
    r"(?P<condition>nm-0[1-6]|bg-0[12]|cl-0[12])",
    r"(?P<view>000|018|036|054|072|090|108|126|144|162|180)",
)
"""Subject, condition with the number of the walk, view in degrees."""


class CasiaB(TreeBuilder):
    """Reads CASIA-B in any of three forms.

    ``poses``
        CASIA-B-Pose, ``001/nm-01/000/000.pkl`` with joints ``[T, 17, 3]`` of COCO; ``mapping.txt`` beside it is passed
        over. Told from silhouettes by what the first pickle holds.
    ``pickles``
        ``001/nm-01/000/000.pkl`` with masks ``[T, 64, 64]``, as the common pre-treatment writes them.
    ``frames``
        The official silhouettes, ``001/nm-01/000/001-nm-01-000-001.png``, cut out by :mod:`gaitbench.silhouettes`. A
        few official folders are empty, or show nobody: those sequences have no frames, and nothing is missing.

    Source:
        Yu, Tan, Tan, ICPR 2006, and the data's release.
    """

    spec = CASIA_B
    views_are_angles = True
    options: SilhouetteOptions

    def layouts(self) -> Sequence[Layout]:
        """Poses, pickled masks, frames."""
        size, edges = self.options.size_px, self.options.edges
        return (
            Layout(
                name="poses",
                title="pickled poses SUBJECT/CONDITION/VIEW/VIEW.pkl, such as 001/nm-01/000/000.pkl with [T, 17, 3]",
                levels=LEVELS,
                streams=(pickled_joints("???.pkl", FRAME_RATE_HZ),),
                fits=holds_joints,
            ),
            Layout(
                name="pickles",
                title="pickled masks SUBJECT/CONDITION/VIEW/VIEW.pkl, such as 001/nm-01/000/000.pkl with [T, 64, 64]",
                levels=LEVELS,
                streams=(pickled_silhouettes("???.pkl", size, FRAME_RATE_HZ, edges=edges),),
            ),
            Layout(
                name="frames",
                title="official silhouettes SUBJECT/CONDITION/VIEW/*.png, such as 001/nm-01/000/001-nm-01-000-001.png",
                levels=LEVELS,
                streams=(raw_silhouettes("*.png", size, FRAME_RATE_HZ, edges=edges, may_lack=True),),
            ),
        )
