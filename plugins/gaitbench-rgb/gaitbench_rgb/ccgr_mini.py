"""CCGR-MINI: 53 covariates of every person, one view drawn for each."""

from collections.abc import Sequence

from gaitbench.streams.joints import pickled_joints
from gaitbench.streams.ratio import pickled_ratios
from gaitbench.streams.rgb import RgbStorage, pickled_rgb
from gaitbench.streams.silhouettes import SilhouetteOptions, pickled_parsing, pickled_silhouettes
from gaitbench.tree import Layout, TreeBuilder
from gaitbench_rgb.records import CCGR_MINI

__all__ = ["CcgrMini", "CcgrMiniOptions"]

_RATE_HZ = 25.0
_CROP = (128, 128)


class CcgrMiniOptions(SilhouetteOptions):
    """How frames are stored, and the size of silhouettes and part maps, which are copied as they were delivered."""

    rgb: RgbStorage = "raw"
    """``raw`` keeps every value of the colour crops; ``jpeg`` takes about a tenth of the space."""


class CcgrMini(TreeBuilder):
    """Reads the organised pickles of a walk, such as ``601/NM1/67_5_2.avi/002-67_5_2-sil.pkl``.

    Files are told apart by the word in their name (``ratios_HW``, ``rgb_f``, ``sil``, ``par``, ``pose``), not by their
    place among the others: without the colours, which are given out apart, places shift by two. The view is the
    folder's whole name, ``.avi`` included, as the list of gallery sequences has it. The frame rate is nominal.

    Source:
        Zou et al., "Cross-Covariate Gait Recognition: A Benchmark", AAAI 2024, and the data's release.
    """

    spec = CCGR_MINI
    options: CcgrMiniOptions

    def layouts(self) -> Sequence[Layout]:
        """The organised form, with colours or without."""
        options, size = self.options, self.options.size_px
        return (
            Layout(
                name="pickles",
                title="SUBJECT/COVARIATE/VIEW.avi/ with pickles *sil*, *par* and *pose*, and *ratios_HW* and *rgb_f* "
                "where there are colours, such as 601/NM1/67_5_2.avi/",
                levels=(
                    r"(?P<subject>[1-9]\d*)",
                    r"(?P<condition>[A-Za-z0-9_-]+)",
                    r"(?P<view>(?:over|\d+(?:_5)?_[1-4])\.avi)",
                ),
                streams=(
                    pickled_silhouettes("*sil*.pkl", size, _RATE_HZ, edges=options.edges),
                    pickled_rgb("*rgb_f*.pkl", _CROP, _RATE_HZ, storage=options.rgb),
                    pickled_ratios("*ratios_HW*.pkl", _RATE_HZ),
                    pickled_parsing("*par*.pkl", size, _RATE_HZ),
                    pickled_joints("*pose*.pkl", _RATE_HZ),
                ),
            ),
        )
