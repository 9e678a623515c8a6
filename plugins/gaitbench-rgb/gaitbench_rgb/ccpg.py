"""CCPG: people who change their clothes, in colours and as silhouettes, under ten cameras."""

import re
from collections.abc import Sequence
from pathlib import Path

from gaitbench.errors import DatasetError
from gaitbench.sequence import SequenceInfo
from gaitbench.streams.ratio import pickled_ratios
from gaitbench.streams.rgb import RgbStorage, pickled_rgb
from gaitbench.streams.silhouettes import Edges, pickled_silhouettes
from gaitbench.tree import Layout, TreeBuilder, TreeOptions
from gaitbench_rgb.paired_frames import CropShape, PairedFrames
from gaitbench_rgb.records import CCPG

__all__ = ["Ccpg", "CcpgOptions"]

_RATE_HZ = 25.0
_ALIGNED, _SQUARE, _TALL = (64, 64), (128, 128), (256, 128)
_LEVELS = (
    r"(?P<subject>\d{3})",
    r"(?P<condition>U0_D0_BG|U0_D0|U0_D3|U1_D0|U1_D1|U2_D2|U3_D3)",
    r"(?P<view>[^_]+_.+)",
)
_COLOURS, _MASKS = "*D_MASK_FACE_SHOE*", "*G_SIL*"
"""What the folders of the two releases are called, whatever is before and behind."""


class CcpgOptions(TreeOptions):
    """How frames are stored, and what raw colour frames become."""

    edges: Edges = "soft"
    """``soft`` keeps the grey edges of silhouettes; ``binary`` cuts them at 128 and takes an eighth of the space."""
    rgb: RgbStorage = "raw"
    """``raw`` keeps every value of the colour crops; ``jpeg`` takes about a tenth of the space."""
    crop: CropShape = "square"
    """Of raw frames only. ``square``: 128x128, as the silhouette pre-treatment has them. ``tall``: 256x128 with the
    person's proportions kept, as models of the BigGait family read them."""


class Ccpg(TreeBuilder):
    """Reads CCPG in any of four forms. Views read ``CAMERA_CLIP``; what is before ``_`` is the protocols' camera.

    ``pickles``
        ``000/U0_D0/1_0/`` with ``1_0-aligned-sils.pkl`` 64x64, ``-ratios.pkl``, ``-rgbs.pkl`` and ``-sils.pkl``
        128x128.
    ``aligned-rgbs``
        ``000/U0_D0/1_0/`` with ``1_0-aligned-rgbs.pkl`` 256x128 and ``-ratios.pkl``, for the BigGait family.
    ``frames``
        The two releases side by side, masked colour frames in a folder named ``*D_MASK_FACE_SHOE*`` and masks in one
        named ``*G_SIL*``; see :class:`gaitbench_rgb.paired_frames.PairedFrames`.
    ``masks``
        The masks by themselves, ``000/U0_D0/1_0/*.png``.

    The frame rate is nominal.

    Source:
        Li et al., CVPR 2023, and the data's release.
    """

    spec = CCPG
    options: CcpgOptions

    def layouts(self) -> Sequence[Layout]:
        """Pickles of either pre-treatment, frames, masks alone."""
        edges, rgb = self.options.edges, self.options.rgb
        pickles = Layout(
            name="pickles",
            title="pickles SUBJECT/STATE/VIEW/VIEW-aligned-sils.pkl, VIEW-ratios.pkl, VIEW-rgbs.pkl, VIEW-sils.pkl",
            levels=_LEVELS,
            streams=(
                pickled_silhouettes("*-aligned-sils.pkl", _ALIGNED, _RATE_HZ, edges=edges),
                pickled_rgb("*[!d]-rgbs.pkl", _SQUARE, _RATE_HZ, storage=rgb),
                pickled_ratios("*-ratios.pkl", _RATE_HZ),
                pickled_silhouettes("*[!d]-sils.pkl", _SQUARE, _RATE_HZ, edges=edges, modality="silhouette-raw"),
            ),
            fits=lambda folder: _holds(folder, "*-aligned-sils.pkl", "*[!d]-rgbs.pkl", "*[!d]-sils.pkl"),
        )
        tall = Layout(
            name="aligned-rgbs",
            title="pickles SUBJECT/STATE/VIEW/VIEW-aligned-rgbs.pkl and VIEW-ratios.pkl, colours of 256x128 pixels",
            levels=_LEVELS,
            streams=(
                pickled_rgb("*-aligned-rgbs.pkl", _TALL, _RATE_HZ, storage=rgb),
                pickled_ratios("*-ratios.pkl", _RATE_HZ),
            ),
        )
        return (pickles, tall, self._frames_layout(), self._masks_layout())

    def _frames_layout(self) -> Layout:
        colours, masks = self._release(_COLOURS), self._release(_MASKS)
        root = self.source or Path()
        pairs = self._pairs(root / (masks or _MASKS), root / (colours or _COLOURS))
        # Without one of the two, nothing is named so: "*" is in no name that a release has.
        first = [re.escape(name) if masks and colours else r"\*" for name in (masks, colours)]
        return Layout(
            name="frames",
            title=f"{_COLOURS}/SUBJECT/STATE/VIEW/*.jpg beside {_MASKS}/SUBJECT/STATE/VIEW/*.png",
            levels=(first[0], *_LEVELS),
            also=((first[1], *_LEVELS),),
            streams=pairs.streams(),
            folder=lambda info: f"{masks}/{info.subject_id}/{info.condition}/{info.view}",
            refine=_each_once,
        )

    def _masks_layout(self) -> Layout:
        return Layout(
            name="masks",
            title="SUBJECT/STATE/VIEW/*.png, the folder of one release of masks by itself",
            levels=_LEVELS,
            streams=self._pairs(self.source or Path(), None).streams(),
        )

    def _pairs(self, masks: Path, colours: Path | None) -> PairedFrames:
        options = self.options
        return PairedFrames(
            masks=masks,
            colours=colours,
            frame_rate_hz=_RATE_HZ,
            edges=options.edges,
            storage=options.rgb,
            crop=options.crop,
        )

    def _release(self, pattern: str) -> str:
        """The one folder of the source that is named so; empty where there is none, or no source.

        Raises:
            DatasetError: There are several.
        """
        if self.source is None:
            return ""
        names = sorted(path.name for path in self.source.glob(pattern) if path.is_dir())
        if len(names) > 1:
            raise DatasetError(
                f"{self.source} has {len(names)} folders {pattern} ({', '.join(names)}); leave the one to read"
            )
        return names[0] if names else ""


def _holds(folder: Path, *patterns: str) -> bool:
    return any(path for pattern in patterns for path in folder.glob(pattern))


def _each_once(infos: list[SequenceInfo]) -> list[SequenceInfo]:
    """Both releases list their folders; a sequence is one, wherever it is."""
    once = {info.sequence_id: info for info in infos}
    return [once[sequence] for sequence in sorted(once)]
