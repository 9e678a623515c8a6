"""HID, the competition on human identification at a distance, in its old and its new form."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import PositiveInt

from gaitbench.sequence import SequenceInfo
from gaitbench.streams.silhouettes import SilhouetteOptions, pickled_silhouettes, raw_silhouettes
from gaitbench.tree import Layout, TreeBuilder
from gaitbench_silhouette.records import HID, HID_2023

__all__ = ["FRAME_RATE_HZ", "Hid", "Hid2023", "HidOptions"]

FRAME_RATE_HZ = 25.0
"""Nominal: the competition does not state one."""
_WORD = r"[\w.-]+"
_GALLERY = r"(?P<condition>train|(?:HID\d{4}_)?(?:test_)?gallery)"
_PROBE = r"(?P<condition>(?:HID\d{4}_)?(?:test_)?probe)"


class HidOptions(SilhouetteOptions):
    """Size and storage; the published configurations expect 128 rows and columns."""

    height_px: PositiveInt = 128
    """Rows of a frame."""
    width_px: PositiveInt = 128
    """Columns of a frame."""


class Hid(TreeBuilder):
    """Reads HID. A probe's view is its name in the competition, by which the submission knows it.

    ``old-pickles``
        ``0000/SEQUENCE/default/SEQUENCE.pkl``, as the public pre-treatment for 2020 to 2022 writes it; the probes are
        in ``probe/SEQUENCE/default/``. The sequence becomes the view, because ``default`` would name every probe alike.
    ``pickles``
        ``00000/TYPE/VIEW/*.pkl``, the form since 2023; the probes are in ``probe/TYPE/VIEW/``.
    ``official``
        ``train/0000/SEQUENCE/``, ``HID2022_test_gallery/0500/SEQUENCE/`` and ``HID2022_test_probe/SEQUENCE/`` with an
        image file per frame. The first folder becomes the condition.

    Masks are kept as they were delivered.

    Source:
        Yu et al., reports of the HID competition, IJCB 2022 to 2025.
    """

    spec = HID
    notes = "The frame rate is nominal."
    num_digits: ClassVar[int] = 4
    """Of a subject."""
    options: HidOptions

    def layouts(self) -> Sequence[Layout]:
        """The old pickles, the new ones, the official folders."""
        size, edges = self.options.size_px, self.options.edges
        person = rf"\d{{{self.num_digits}}}"
        pickles = (pickled_silhouettes("*.pkl", size, FRAME_RATE_HZ, edges=edges),)
        return (
            Layout(
                name="old-pickles",
                title="pickled masks SUBJECT/SEQUENCE/default/SEQUENCE.pkl, with probe in a subject's place",
                levels=(rf"(?P<subject>{person}|probe)", rf"(?P<view>{_WORD})", "default"),
                streams=pickles,
                condition="default",
                folder=lambda info: f"{info.subject_id}/{info.view}/default",
            ),
            Layout(
                name="pickles",
                title="pickled masks SUBJECT/TYPE/VIEW/*.pkl, with probe in a subject's place",
                levels=(rf"(?P<subject>{person}|probe)", rf"(?P<condition>{_WORD})", rf"(?P<view>{_WORD})"),
                streams=pickles,
            ),
            Layout(
                name="official",
                title="official folders train/SUBJECT/SEQUENCE/, HIDyyyy_test_gallery/SUBJECT/SEQUENCE/ and "
                "HIDyyyy_test_probe/SEQUENCE/ with an image per frame",
                levels=(_GALLERY, rf"(?P<subject>{person})", rf"(?P<view>{_WORD})"),
                also=((_PROBE, rf"(?P<view>{_WORD})"),),
                streams=(raw_silhouettes("*.[pj][np]g", size, FRAME_RATE_HZ, edges=edges, treatment="keep"),),
                folder=_official_folder,
            ),
        )

    def describe(self, names: Mapping[str, str], layout: Layout) -> SequenceInfo:
        """Call those who are asked about ``probe``, as the protocol does."""
        return super().describe({"subject": "probe", **names}, layout)


class Hid2023(Hid):
    """Reads HID since 2023, whose subjects have five digits; there is nobody to train on.

    The forms are those of :class:`Hid`; the published one is ``pickles``.

    Source:
        Yu et al., reports of the HID competition, IJCB 2023 to 2025.
    """

    spec = HID_2023
    num_digits = 5


def _official_folder(info: SequenceInfo) -> str:
    if info.subject_id == "probe":
        return f"{info.condition}/{info.view}"
    return f"{info.condition}/{info.subject_id}/{info.view}"
