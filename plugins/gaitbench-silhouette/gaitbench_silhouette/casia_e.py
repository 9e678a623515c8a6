"""CASIA-E: a thousand people in three scenes, from two heights and many angles."""

from collections.abc import Mapping, Sequence

from gaitbench.sequence import SequenceInfo
from gaitbench.streams.silhouettes import SilhouetteOptions, pickled_silhouettes, raw_silhouettes
from gaitbench.tree import Layout, TreeBuilder
from gaitbench_silhouette.records import CASIA_E

__all__ = ["FRAME_RATE_HZ", "MIN_FRAMES", "CasiaE"]

FRAME_RATE_HZ = 25.0
"""Nominal: the sheet of facts that this was written from has none."""
MIN_FRAMES = 6
"""Shorter sequences are left out, as the published pre-treatment does."""
_SUBJECT = r"(?P<subject>\d{3}|1\d{3})"
_HEIGHT, _SCENE, _WALK, _TAKE = (
    r"(?P<height>[HL])",
    r"(?P<scene>scene[123](?:_s)?)",
    r"(?P<walk>nm|bg|cl)",
    r"(?P<take>\d+)",
)
_VIEW = r"(?P<view>\d{3})"


class CasiaE(TreeBuilder):
    """Reads CASIA-E in any of three forms; a condition reads height, scene, walk and take: ``H-scene1-nm-1``.

    ``pickles``, ``pickles-underscored``
        ``001/H-scene1-nm-1/000/000.pkl`` with masks, or ``001/H_scene1_nm_1/000/000.pkl``, as the public instructions
        write it.
    ``official``
        ``001/H/scene1/nm/000/1/*.jpg``. Frames are scaled whole and not aligned; sequences of five frames or less are
        left out.

    Source:
        Song et al., TPAMI 2022, and the data's release.
    """

    spec = CASIA_E
    notes = "The frame rate is nominal."
    views_are_angles = True
    options: SilhouetteOptions

    def layouts(self) -> Sequence[Layout]:
        """Pickles, then the official folders."""
        size, edges = self.options.size_px, self.options.edges
        pickles = (pickled_silhouettes("???.pkl", size, FRAME_RATE_HZ, edges=edges),)
        return (
            Layout(
                name="pickles",
                title="pickled masks SUBJECT/CONDITION/VIEW/VIEW.pkl, such as 001/H-scene1-nm-1/000/000.pkl",
                levels=(_SUBJECT, "-".join((_HEIGHT, _SCENE, _WALK, _TAKE)), _VIEW),
                streams=pickles,
            ),
            Layout(
                name="pickles-underscored",
                title="the same with underscores, such as 001/H_scene1_nm_1/000/000.pkl",
                levels=(_SUBJECT, "_".join((_HEIGHT, _SCENE, _WALK, _TAKE)), _VIEW),
                streams=pickles,
                folder=lambda info: f"{info.subject_id}/{info.condition.replace('-', '_')}/{info.view}",
            ),
            Layout(
                name="official",
                title="official folders SUBJECT/HEIGHT/SCENE/WALK/VIEW/TAKE/*.jpg, such as 001/H/scene1/nm/000/1/",
                levels=(_SUBJECT, _HEIGHT, _SCENE, _WALK, _VIEW, _TAKE),
                streams=(
                    raw_silhouettes(
                        "*.jpg", size, FRAME_RATE_HZ, edges=edges, treatment="resize", min_frames=MIN_FRAMES
                    ),
                ),
                folder=_official_folder,
            ),
        )

    def describe(self, names: Mapping[str, str], layout: Layout) -> SequenceInfo:
        """Join the words of a condition by hyphens, wherever they stand."""
        condition = "-".join(names[word] for word in ("height", "scene", "walk", "take"))
        return super().describe({**names, "condition": condition}, layout)


def _official_folder(info: SequenceInfo) -> str:
    height, scene, walk, take = info.condition.split("-")
    return f"{info.subject_id}/{height}/{scene}/{walk}/{info.view}/{take}"
