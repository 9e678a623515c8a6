"""OU-MVLP: ten thousand people, fourteen views, two walks each, many of them missing; and their poses."""

from collections.abc import Sequence

from gaitbench.sequence import SequenceInfo
from gaitbench.streams.joints import holds_joints, people_joints, pickled_joints
from gaitbench.streams.silhouettes import SilhouetteOptions, pickled_silhouettes, raw_silhouettes
from gaitbench.tree import Layout, TreeBuilder
from gaitbench_silhouette.records import OU_MVLP

__all__ = ["FRAME_RATE_HZ", "OuMvlp"]

FRAME_RATE_HZ = 25.0
"""Of the seven cameras."""
_SUBJECT = r"(?P<subject>\d{5})"
_CONDITION = r"(?P<condition>0[01])"
_VIEW = r"(?P<view>000|015|030|045|060|075|090|180|195|210|225|240|255|270)"
_LEVELS = (_SUBJECT, _CONDITION, _VIEW)


class OuMvlp(TreeBuilder):
    """Reads OU-MVLP in any of six forms; the condition is the walk, ``00`` or ``01``.

    ``poses``, ``pickles``, ``frames``
        ``00001/00/000/`` with ``000.pkl`` of joints, with ``000.pkl`` of masks, or with ``0001.png`` and so on.
    ``official``
        ``Silhouette_000-00/00001/0001.png``, as the archives unpack. Cut out by :mod:`gaitbench.silhouettes`.
    ``pose-files``, ``pose-files-official``
        OUMVLP-Pose, a JSON file per frame in ``00001/00/000/`` or ``00001/000_00/``. The 18 joints become the 17 of
        COCO. Frames with nobody are left out. Of several people the first is taken, unless ``pose_selection_idx.pkl``
        beside the frames, which the public tools make from the silhouettes, names another one; the first person is
        often the wrong one.

    A walk that was not recorded has no folder, and is no sequence.

    Source:
        Takemura et al., IPSJ TCVA 2018, and the data's release; An et al., TBIOM 2020, for the poses.
    """

    spec = OU_MVLP
    notes = (
        "Of several people in a frame with poses, the one that pose_selection_idx.pkl names is taken, or the first "
        "where there is no such file."
    )
    views_are_angles = True
    options: SilhouetteOptions

    def layouts(self) -> Sequence[Layout]:
        """Pickles before files of frames, rearranged folders before the official ones."""
        size, edges = self.options.size_px, self.options.edges
        frames = raw_silhouettes("*.png", size, FRAME_RATE_HZ, edges=edges)
        people = people_joints("*.json", FRAME_RATE_HZ)
        return (
            Layout(
                name="poses",
                title="pickled poses SUBJECT/WALK/VIEW/VIEW.pkl, such as 00001/00/000/000.pkl with [T, 17, 3]",
                levels=_LEVELS,
                streams=(pickled_joints("???.pkl", FRAME_RATE_HZ),),
                fits=holds_joints,
            ),
            Layout(
                name="pickles",
                title="pickled masks SUBJECT/WALK/VIEW/VIEW.pkl, such as 00001/00/000/000.pkl with [T, 64, 64]",
                levels=_LEVELS,
                streams=(pickled_silhouettes("???.pkl", size, FRAME_RATE_HZ, edges=edges),),
            ),
            Layout(
                name="frames",
                title="rearranged silhouettes SUBJECT/WALK/VIEW/*.png, such as 00001/00/000/0001.png",
                levels=_LEVELS,
                streams=(frames,),
            ),
            Layout(
                name="official",
                title="official silhouettes Silhouette_VIEW-WALK/SUBJECT/*.png, such as "
                "Silhouette_000-00/00001/0001.png",
                levels=(rf"Silhouette_{_VIEW}-{_CONDITION}", _SUBJECT),
                streams=(frames,),
                folder=lambda info: f"Silhouette_{info.view}-{info.condition}/{info.subject_id}",
                refine=by_subject,
            ),
            Layout(
                name="pose-files",
                title="rearranged poses SUBJECT/WALK/VIEW/*.json, such as 00001/00/000/0001.json",
                levels=_LEVELS,
                streams=(people,),
            ),
            Layout(
                name="pose-files-official",
                title="official poses SUBJECT/VIEW_WALK/*.json, such as 00001/000_00/0001.json",
                levels=(_SUBJECT, rf"{_VIEW}_{_CONDITION}"),
                streams=(people,),
                folder=lambda info: f"{info.subject_id}/{info.view}_{info.condition}",
                refine=by_subject,
            ),
        )


def by_subject(infos: list[SequenceInfo]) -> list[SequenceInfo]:
    """Sequences in the order of the other layouts, whatever the folders' own."""
    return sorted(infos, key=lambda info: (info.subject_id, info.condition, info.view))
