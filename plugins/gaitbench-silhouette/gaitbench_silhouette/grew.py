"""GREW: 26,000 people in the wild."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

from gaitbench.errors import DatasetError
from gaitbench.sequence import SequenceInfo
from gaitbench.streams.joints import holds_joints, pickled_joints, text_joints
from gaitbench.streams.silhouettes import SilhouetteOptions, pickled_silhouettes, raw_silhouettes
from gaitbench.tree import Layout, TreeBuilder
from gaitbench_silhouette.records import GREW

__all__ = ["FRAME_RATE_HZ", "Grew"]

FRAME_RATE_HZ = 25.0
"""Nominal: the release does not state one."""
_VIEW = r"(?P<view>[A-Za-z0-9_-]{8})"
_LEVELS = (r"(?P<subject>\d{5}train|\d{5}|probe)", r"(?P<condition>0[0-3])", _VIEW)
_GALLERY = ("01", "02")
_UNNUMBERED = "gallery"


class Grew(TreeBuilder):
    """Reads GREW in any of four forms. The view is the sequence's name of eight letters, by which a server knows it.

    ``poses``, ``pickles``, ``frames``
        ``00001train/00/4XPn5Z28/`` for training, ``00001/01/79XJefi8/`` and ``00001/02/t16VLaQf/`` for the gallery,
        ``probe/03/etaGVnWf/`` for the probes, with a pickle of joints or masks, or with a PNG file and a line of text
        (``*_2d_pose.txt``) per frame.
    ``official``
        ``train/00001/4XPn5Z28/``, ``test/gallery/00001/79XJefi8/`` and ``test/probe/etaGVnWf/``, with the same files.
        The two gallery sequences of a person become 01 and 02 in the order of their names. The public scripts take the
        order in which a file system lists them, which differs between machines: it matters for ``grew-validation``
        alone, whose numbers differ with it.

    Masks are kept as they were delivered, which is aligned. Distractors and energy images are passed over.

    Source:
        Zhu et al., ICCV 2021, and the data's release.
    """

    spec = GREW
    notes = (
        "The frame rate is nominal. From the official folders, the two gallery sequences of a person are numbered 01 "
        "and 02 in the order of their names, where the public scripts take the order of the file system."
    )
    options: SilhouetteOptions

    def layouts(self) -> Sequence[Layout]:
        """Pickles before files of frames, rearranged folders before the official ones."""
        size, edges = self.options.size_px, self.options.edges
        frames = (
            raw_silhouettes("*.png", size, FRAME_RATE_HZ, edges=edges, treatment="keep"),
            text_joints("*_2d_pose.txt", FRAME_RATE_HZ),
        )
        return (
            Layout(
                name="poses",
                title="pickled poses SUBJECT/PART/SEQUENCE/SEQUENCE.pkl with [T, 17, 3]",
                levels=_LEVELS,
                streams=(pickled_joints("*.pkl", FRAME_RATE_HZ),),
                fits=holds_joints,
            ),
            Layout(
                name="pickles",
                title="pickled masks SUBJECT/PART/SEQUENCE/SEQUENCE.pkl, such as 00001train/00/4XPn5Z28/4XPn5Z28.pkl",
                levels=_LEVELS,
                streams=(pickled_silhouettes("*.pkl", size, FRAME_RATE_HZ, edges=edges),),
            ),
            Layout(
                name="frames",
                title="rearranged files SUBJECT/PART/SEQUENCE/*.png, such as 00001train/00/4XPn5Z28/",
                levels=_LEVELS,
                streams=frames,
            ),
            Layout(
                name="official",
                title="official folders train/SUBJECT/SEQUENCE/, test/gallery/SUBJECT/SEQUENCE/ and "
                "test/probe/SEQUENCE/ with *.png",
                levels=(r"(?P<part>train)", r"(?P<person>\d{5})", _VIEW),
                also=(
                    ("test", r"(?P<part>gallery)", r"(?P<person>\d{5})", _VIEW),
                    ("test", r"(?P<part>probe)", _VIEW),
                ),
                streams=frames,
                folder=_official_folder,
                refine=_number_gallery,
            ),
        )

    def describe(self, names: Mapping[str, str], layout: Layout) -> SequenceInfo:
        """Name the official parts as the rearranged folders do."""
        part, person = names.get("part"), names.get("person", "")
        if part == "train":
            names = {**names, "subject": f"{person}train", "condition": "00"}
        elif part == "gallery":
            names = {**names, "subject": person, "condition": _UNNUMBERED}
        elif part == "probe":
            names = {**names, "subject": "probe", "condition": "03"}
        return super().describe(names, layout)


def _official_folder(info: SequenceInfo) -> str:
    if info.subject_id == "probe":
        return f"test/probe/{info.view}"
    if info.condition == "00":
        return f"train/{info.subject_id.removesuffix('train')}/{info.view}"
    return f"test/gallery/{info.subject_id}/{info.view}"


def _number_gallery(infos: list[SequenceInfo]) -> list[SequenceInfo]:
    """Sequences in the order of the other layouts, those of the gallery numbered."""
    ordered = sorted(infos, key=lambda info: (info.subject_id, info.condition, info.view))
    numbered: list[SequenceInfo] = []
    for (subject, condition), group in itertools.groupby(ordered, key=lambda info: (info.subject_id, info.condition)):
        if condition != _UNNUMBERED:
            numbered += group
            continue
        walks = list(group)
        if len(walks) > len(_GALLERY):
            raise DatasetError(
                f"grew: subject {subject} has {len(walks)} gallery sequences, the release has {len(_GALLERY)}; remove "
                f"what does not belong to it ({', '.join(info.view for info in walks)})"
            )
        numbered += [
            dataclasses.replace(info, condition=number, sequence_id=f"{subject}-{number}-{info.view}")
            for info, number in zip(walks, _GALLERY, strict=False)
        ]
    return numbered
