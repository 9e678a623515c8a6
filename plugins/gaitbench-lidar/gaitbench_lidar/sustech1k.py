"""SUSTech1K: people seen by a LiDAR and a camera side by side, on the sensors' own clocks and on a common one.

Axes: T frames.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from gaitbench.streams.depth import pickled_depth
from gaitbench.streams.joints import pickled_joints
from gaitbench.streams.points import pickled_points
from gaitbench.streams.ratio import pickled_ratios
from gaitbench.streams.rgb import RgbStorage, pickled_rgb
from gaitbench.streams.silhouettes import Edges, pickled_silhouettes
from gaitbench.tree import Layout, StreamFiles, TreeBuilder, TreeOptions
from gaitbench_lidar.records import SUSTECH1K

__all__ = ["Sustech1k", "Sustech1kOptions"]

Clock = Literal["native", "synchronised"]
_LIDAR_HZ, _CAMERA_HZ = 10.0, 30.0
_SIZE = (64, 64)


class Sustech1kOptions(TreeOptions):
    """Which of the sixteen files of a sequence are read, and how frames are stored."""

    clock: Clock = "native"
    """``native``: files 00 to 07, LiDAR at 10 Hz and camera at 30 Hz, each from its own beginning; models of one
    sensor are published on these. ``synchronised``: files 08 to 15, every LiDAR frame with the camera frame nearest in
    time, for models of both sensors. The two are never mixed."""
    edges: Edges = "soft"
    """``soft`` keeps the grey edges of silhouettes; ``binary`` cuts them at 128 and takes an eighth of the space."""
    rgb: RgbStorage = "raw"
    """``raw`` keeps every value of the colour crops; ``jpeg`` takes about a tenth of the space."""


class Sustech1k(TreeBuilder):
    """Reads the pickled release, ``SOURCE/0000/00-nm/000/`` with files ``00-*`` to ``15-*``.

    Colour crops have their channels before the pixels in some copies and behind them in others; the shape tells.
    Range images are in jet colours, as published. A sequence need not have all files.

    Source:
        Shen et al., "LidarGait: Benchmarking 3D Gait Recognition with Point Clouds", CVPR 2023, and the data's release.
    """

    spec = SUSTECH1K
    views_are_angles: ClassVar[bool] = True
    options: Sustech1kOptions

    def layouts(self) -> Sequence[Layout]:
        """The one form in which the dataset is given out, with the streams of the chosen clock."""
        return (
            Layout(
                name="pickles",
                title="SUBJECT/SEQUENCE/VIEW/ with sixteen pickles 00-*.pkl to 15-*.pkl, such as 0000/00-nm/000-far/",
                levels=(
                    r"(?P<subject>\d{4})",
                    r"(?P<condition>\d\d-[a-z]{2}.*)",
                    r"(?P<view>\d{3}(?:-(?:near|far))?)",
                ),
                streams=self._streams_of(self.options.clock),
            ),
        )

    def _streams_of(self, clock: Clock) -> tuple[StreamFiles, ...]:
        options, is_native = self.options, clock == "native"
        camera_hz = _CAMERA_HZ if is_native else _LIDAR_HZ
        lidar, camera = ("LiDAR", "camera") if is_native else (None, None)

        def named(number: int, content: str) -> str:
            return f"{number if is_native else number + 8:02d}-*{content}.pkl"

        return (
            pickled_silhouettes(named(6, "Camera-Sils_aligned"), _SIZE, camera_hz, edges=options.edges, clock=camera),
            pickled_depth(named(1, "LiDAR-PCDs_depths"), _SIZE, _LIDAR_HZ, clock=lidar),
            pickled_points(named(0, "LiDAR-PCDs"), _LIDAR_HZ, clock=lidar),
            pickled_silhouettes(
                named(2, "LiDAR-PCDs_sils"),
                _SIZE,
                _LIDAR_HZ,
                edges=options.edges,
                modality="lidar-silhouette",
                clock=lidar,
            ),
            pickled_rgb(named(5, "Camera-RGB_raw"), _SIZE, camera_hz, storage=options.rgb, clock=camera),
            pickled_ratios(named(4, "Camera-Ratios-HW"), camera_hz, clock=camera),
            pickled_joints(named(3, "Camera-Pose"), camera_hz, clock=camera),
            pickled_silhouettes(
                named(7, "Camera-Sils_raw"),
                _SIZE,
                camera_hz,
                edges=options.edges,
                modality="silhouette-raw",
                clock=camera,
            ),
        )
