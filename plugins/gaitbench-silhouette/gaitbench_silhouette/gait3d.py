"""Gait3D and Gait3D-Parsing: people in a supermarket, as masks, maps of body parts, body models and poses."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gaitbench.card import StreamInfo
from gaitbench.errors import DatasetError
from gaitbench.reading.arrays import read_npz_objects
from gaitbench.reading.frames import to_joints
from gaitbench.sequence import SequenceInfo
from gaitbench.streams.joints import holds_joints, pickled_joints, text_joints
from gaitbench.streams.numbers import pickled_numbers
from gaitbench.streams.silhouettes import (
    SilhouetteOptions,
    pickled_parsing,
    pickled_silhouettes,
    raw_parsing,
    raw_silhouettes,
)
from gaitbench.tree import Layout, StreamFiles, TreeBuilder
from gaitbench_silhouette.records import GAIT3D, GAIT3D_PARSING

__all__ = ["FRAME_RATE_HZ", "SMPL_VALUES", "Gait3D", "Gait3DParsing"]

FRAME_RATE_HZ = 25.0
"""Nominal: the sheet of facts that this was written from has none."""
SMPL_VALUES = 85
"""Camera (3), pose (72) and shape (10) of a frame."""
_LEVELS = (r"(?P<subject>\d{4})", r"(?P<condition>camid\d+_videoid\d+)", r"(?P<view>seq\d+)")
_TREES = _MASKS, _PARTS, _POSES, _BODIES = "2D_Silhouettes", "2D_Parsings", "2D_Poses", "3D_SMPLs"
_BODY = {"cam": 3, "poses": 72, "betas": 10}
"""What a person in a file of ``3D_SMPLs`` is described by, in the order of the 85 values."""
_EXAMPLE = "SUBJECT/CAMERA_VIDEO/SEQUENCE/, such as 0000/camid0_videoid2/seq0/"


class Gait3D(TreeBuilder):
    """Reads Gait3D in any of five forms. The condition is camera and video, the view is the sequence.

    The probes of the protocol are listed as ``0000-camid0_videoid2-seq0``, so that folders keep their names.

    ``merged``
        ``0000/camid0_videoid2/seq0/`` with ``sils-seq0.pkl``, ``smpls-seq0.pkl``, ``pars-seq0.pkl``, or some of them.
    ``poses``, ``pickles``, ``frames``
        The same folders with ``seq0.pkl`` of joints or of masks, or with a PNG file per frame.
    ``official``
        ``2D_Silhouettes/0000/camid0_videoid2/seq0/*.png``, and the same tree in ``2D_Parsings`` (PNG), ``2D_Poses``
        (text) and ``3D_SMPLs`` (an ``.npz`` per frame, whose first person counts).

    Source:
        Zheng et al., CVPR 2022, and the data's release.
    """

    spec = GAIT3D
    notes = "The frame rate is nominal."
    options: SilhouetteOptions

    def layouts(self) -> Sequence[Layout]:
        """Pickles before files of frames, folders of one stream before those of all."""
        size, edges = self.options.size_px, self.options.edges
        return (
            self._merged(),
            Layout(
                name="poses",
                title=f"pickled poses [T, 17, 3] in {_EXAMPLE}seq0.pkl",
                levels=_LEVELS,
                streams=(pickled_joints("seq*.pkl", FRAME_RATE_HZ),),
                fits=holds_joints,
            ),
            Layout(
                name="pickles",
                title=f"pickled masks [T, 64, 64] in {_EXAMPLE}seq0.pkl",
                levels=_LEVELS,
                streams=(pickled_silhouettes("seq*.pkl", size, FRAME_RATE_HZ, edges=edges),),
            ),
            Layout(
                name="frames",
                title=f"silhouettes *.png in {_EXAMPLE}",
                levels=_LEVELS,
                streams=(raw_silhouettes("*.png", size, FRAME_RATE_HZ, edges=edges),),
            ),
            self._official(_MASKS),
        )

    def _merged(self) -> Layout:
        size = self.options.size_px
        return Layout(
            name="merged",
            title=f"pickles sils-*.pkl, smpls-*.pkl and pars-*.pkl, or some of them, in {_EXAMPLE}",
            levels=_LEVELS,
            streams=(
                pickled_silhouettes("sils-*.pkl", size, FRAME_RATE_HZ, edges=self.options.edges),
                pickled_parsing("pars-*.pkl", size, FRAME_RATE_HZ),
                pickled_numbers("smpls-*.pkl", (1, SMPL_VALUES), FRAME_RATE_HZ, modality="smpl"),
            ),
        )

    def _official(self, first: str) -> Layout:
        """All trees side by side; the sequences are those of the first one."""
        size = self.options.size_px
        return Layout(
            name="official",
            title=f"official folders {first}/{_EXAMPLE}, and beside it the other streams",
            levels=(first, *_LEVELS),
            streams=(
                raw_silhouettes("*.png", size, FRAME_RATE_HZ, edges=self.options.edges, folder=_folder_in(_MASKS)),
                raw_parsing("*.png", size, FRAME_RATE_HZ, folder=_folder_in(_PARTS)),
                text_joints("*.txt", FRAME_RATE_HZ, folder=_folder_in(_POSES)),
                _BODY_FILES,
            ),
            folder=_folder_in(first),
            beside=tuple(tree for tree in _TREES if tree != first),
        )


class Gait3DParsing(Gait3D):
    """Reads Gait3D-Parsing: maps of body parts of the people and sequences of Gait3D.

    ``merged``
        As for :class:`Gait3D`.
    ``pickles``, ``frames``
        ``0000/camid0_videoid2/seq0/`` with ``seq0.pkl`` of maps, or with a PNG file per frame.
    ``official``
        ``2D_Parsings/0000/camid0_videoid2/seq0/*.png``, with ``2D_Silhouettes`` and ``2D_Poses`` beside it or not.

    Source:
        Zheng et al., ACM MM 2023, and the data's release.
    """

    spec = GAIT3D_PARSING

    def layouts(self) -> Sequence[Layout]:
        """Pickles before files of frames, folders of one stream before those of all."""
        size = self.options.size_px
        return (
            self._merged(),
            Layout(
                name="pickles",
                title=f"pickled maps [T, 64, 64] in {_EXAMPLE}seq0.pkl",
                levels=_LEVELS,
                streams=(pickled_parsing("seq*.pkl", size, FRAME_RATE_HZ),),
            ),
            Layout(
                name="frames",
                title=f"maps *.png in {_EXAMPLE}",
                levels=_LEVELS,
                streams=(raw_parsing("*.png", size, FRAME_RATE_HZ),),
            ),
            self._official(_PARTS),
        )


def _read_bodies(paths: Sequence[Path]) -> NDArray[np.float32]:
    """``[T, 1, 85]`` of a file per frame."""
    return to_joints([_first_body(path) for path in paths], str(paths[0].parent), num_joints=1, num_values=SMPL_VALUES)


def _first_body(path: Path) -> NDArray[np.float64]:
    results = read_npz_objects(path).get("results")
    if not isinstance(results, list) or not results or not isinstance(body := results[0], dict):
        raise DatasetError(f"{path} has no person under the key results; it is no file of 3D_SMPLs")
    parts = [np.asarray(body.get(key, ()), np.float64).ravel() for key in _BODY]
    for (key, num), part in zip(_BODY.items(), parts, strict=True):
        if len(part) != num:
            raise DatasetError(f"{path}: {key} has {len(part)} values where {num} are expected")
    return np.concatenate(parts)


def _folder_in(tree: str) -> Callable[[SequenceInfo], str]:
    """From a sequence to its folder in one of the official trees."""
    return lambda info: f"{tree}/{info.subject_id}/{info.condition}/{info.view}"


_BODY_FILES = StreamFiles(
    modality="smpl",
    info=StreamInfo(frame_shape=(1, SMPL_VALUES), frame_rate_hz=FRAME_RATE_HZ),
    pattern="*.npz",
    read=_read_bodies,
    is_single=False,
    folder=_folder_in(_BODIES),
)
