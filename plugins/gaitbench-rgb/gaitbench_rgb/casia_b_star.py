"""CASIA-B*: the videos of CASIA-B segmented anew, for models that begin at colours."""

from collections.abc import Sequence
from typing import ClassVar

from gaitbench.streams.ratio import pickled_ratios
from gaitbench.streams.rgb import RgbStorage, pickled_rgb
from gaitbench.streams.silhouettes import Edges, pickled_silhouettes
from gaitbench.tree import Layout, TreeBuilder, TreeOptions
from gaitbench_rgb.records import CASIA_B_STAR

__all__ = ["CasiaBStar", "CasiaBStarOptions"]

_RATE_HZ = 25.0
_ALIGNED, _CROP = (64, 44), (128, 128)


class CasiaBStarOptions(TreeOptions):
    """How frames are stored."""

    edges: Edges = "soft"
    """``soft`` keeps the grey edges of silhouettes; ``binary`` cuts them at 128 and takes an eighth of the space."""
    rgb: RgbStorage = "raw"
    """``raw`` keeps every value of the colour crops; ``jpeg`` takes about a tenth of the space."""


class CasiaBStar(TreeBuilder):
    """Reads the pickles of the release, four per walk, such as ``001/bg-01/000/000-aligned-sils.pkl``.

    Aligned silhouettes have 64 rows and are cut to 44 columns already. The frames of all four belong together.

    Source:
        Liang et al., "GaitEdge", ECCV 2022, and the data's release.
    """

    spec = CASIA_B_STAR
    views_are_angles: ClassVar[bool] = True
    options: CasiaBStarOptions

    def layouts(self) -> Sequence[Layout]:
        """The one form in which the dataset is given out."""
        edges = self.options.edges
        return (
            Layout(
                name="pickles",
                title="SUBJECT/CONDITION/VIEW/ with VIEW-aligned-sils.pkl, VIEW-ratios.pkl, VIEW-rgbs.pkl and "
                "VIEW-sils.pkl, such as 001/bg-01/000/000-sils.pkl",
                levels=(
                    r"(?P<subject>\d{3})",
                    r"(?P<condition>nm-0[1-6]|bg-0[12]|cl-0[12])",
                    r"(?P<view>000|018|036|054|072|090|108|126|144|162|180)",
                ),
                streams=(
                    pickled_silhouettes("???-aligned-sils.pkl", _ALIGNED, _RATE_HZ, edges=edges),
                    pickled_ratios("???-ratios.pkl", _RATE_HZ),
                    pickled_rgb("???-rgbs.pkl", _CROP, _RATE_HZ, storage=self.options.rgb),
                    pickled_silhouettes("???-sils.pkl", _CROP, _RATE_HZ, edges=edges, modality="silhouette-raw"),
                ),
            ),
        )
