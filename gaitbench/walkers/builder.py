"""Generates the walkers, a batch of sequences at a time.

Axes: T frames, C channels, H rows, W columns, V joints.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from gaitbench.dataset import BuilderOptions, DatasetBuilder, DatasetCard, StreamInfo
from gaitbench.errors import UnknownNameError, UsageError
from gaitbench.projection import points_to_depth
from gaitbench.protocol import Protocol
from gaitbench.sequence import Frames, PointFrames, SequenceInfo
from gaitbench.walkers.attributes import ATTRIBUTES
from gaitbench.walkers.camera import look, parse, segment
from gaitbench.walkers.lidar import LIDAR_EVERY, scan
from gaitbench.walkers.options import WalkersOptions
from gaitbench.walkers.people import draw_person
from gaitbench.walkers.photo import crop_masks, photograph
from gaitbench.walkers.protocol import walkers_protocol
from gaitbench.walkers.recording import Recording, record
from gaitbench.walkers.skeletons import estimate_2d, estimate_3d
from gaitbench.walkers.solids import PARSING_LABELS

__all__ = ["WalkersBuilder", "WalkersOptions"]

VERSION = "1.0"
SEQUENCES_AT_ONCE = 24


class WalkersBuilder(DatasetBuilder):
    """The embedded dataset: synthetic people who walk past a camera and a LiDAR.

    Args:
        options: A :class:`WalkersOptions`; None for the default.
        source: Not used, the walkers are generated.

    Raises:
        UsageError: The options are those of another dataset.

    Example:
        >>> builder = WalkersBuilder(WalkersOptions(num_train_subjects=1, num_test_subjects=1))
        >>> sequences = builder.sequences()
        >>> len(sequences), sequences[0].sequence_id
        (208, '0001-nm-01-000')
        >>> next(builder.frames(sequences[:1], "silhouette")).shape
        (18, 1, 64, 64)
    """

    frames_per_second_hint: ClassVar[float | None] = 2000.0
    options: WalkersOptions

    def __init__(self, options: BuilderOptions | None = None, source: Path | None = None) -> None:
        options = WalkersOptions() if options is None else options
        if not isinstance(options, WalkersOptions):
            raise UsageError(f"walkers are built with WalkersOptions, got {type(options).__name__}")
        super().__init__(options, source)
        self._person = lru_cache(maxsize=None)(lambda subject_id: draw_person(options, subject_id))

    @cached_property
    def _streams(self) -> dict[str, StreamInfo]:
        options = self.options
        size, rate = options.silhouette_px, options.camera_rate_hz
        raster = StreamInfo(frame_shape=(1, size, size), frame_rate_hz=rate)
        colour = StreamInfo(frame_shape=(3, options.rgb_height_px, options.rgb_width_px), frame_rate_hz=rate)
        projected = (1, options.lidar_depth_px, options.lidar_depth_px)
        joints = StreamInfo(frame_shape=(17, 3), frame_rate_hz=rate)
        return {
            "silhouette": raster,
            "rgb": colour,
            "silhouette-raw": colour.model_copy(
                update={"frame_shape": (1, *colour.frame_shape[1:]), "codec": "bits", "value_range": (0.0, 1.0)}
            ),
            "depth": raster,
            "parsing": raster,
            "lidar": StreamInfo(frame_shape=(3,), frame_rate_hz=rate / LIDAR_EVERY),
            "lidar-depth": StreamInfo(frame_shape=projected, frame_rate_hz=rate / LIDAR_EVERY),
            "skeleton2d": joints,
            "skeleton3d": joints,
        }

    def card(self) -> DatasetCard:
        """Describe the walkers."""
        options = self.options
        labels = ", ".join(f"{i} {word}" for i, word in enumerate(PARSING_LABELS))
        return DatasetCard(
            name="walkers",
            version=VERSION,
            title=f"{options.num_train_subjects + options.num_test_subjects} synthetic walkers in every modality",
            description=(
                "A calibration and teaching set, generated on the user's machine: parametric people whose bodies, "
                "joint-angle curves and attributes differ, seen by a camera and a LiDAR at one place. The first "
                "subjects train, the others test. LiDAR frames coincide with every second camera frame. Parsing "
                f"labels: {labels}. Skeletons carry errors as estimated ones do; 2D joints are pixels of a "
                "1280 x 960 camera."
            ),
            streams=self._streams,
            attributes=ATTRIBUTES,
            options=options.model_dump(mode="json"),
            fingerprint_covers="sequence table, silhouettes and parsings byte by byte; the other streams by their "
            "shapes, since their last bits may differ between machines",
            licence="CC0-1.0: generated data of people who do not exist",
            citation="gaitbench",
            source="generated",
            redistribution=True,
        )

    def fit_protocol(self, protocol: Protocol) -> Protocol:
        """Give the walkers' protocol for as many subjects and conditions as the options ask for."""
        return walkers_protocol(self.options) if protocol.name == "walkers" else protocol

    def sequences(self) -> list[SequenceInfo]:
        """All sequences: by subject, condition, view."""
        options = self.options
        result = []
        for number in range(1, options.num_train_subjects + options.num_test_subjects + 1):
            subject = f"{number:04d}"
            labels = self._person(subject).labels
            for condition in options.conditions:
                for view_deg in options.views_deg:
                    view = f"{view_deg:03d}"
                    result.append(
                        SequenceInfo(
                            sequence_id=f"{subject}-{condition}-{view}",
                            subject_id=subject,
                            condition=condition,
                            view=view,
                            view_deg=float(view_deg),
                            num_frames=options.num_frames,
                            attributes=labels,
                        )
                    )
        return result

    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames]:
        """Render sequences in one modality.

        Raises:
            UnknownNameError: Walkers do not have the modality.
        """
        makers: dict[str, Callable[[Sequence[SequenceInfo]], Sequence[Frames]]] = {
            "silhouette": self._silhouettes,
            "rgb": self._photographs,
            "silhouette-raw": lambda infos: list(crop_masks(self.options, self._record(infos))),
            "depth": self._depths,
            "parsing": self._parsings,
            "lidar": self._clouds,
            "lidar-depth": self._range_images,
            "skeleton2d": lambda infos: estimate_2d(self.options, self._record(infos)),
            "skeleton3d": lambda infos: estimate_3d(self.options, self._record(infos)),
        }
        if modality not in makers:
            raise UnknownNameError(f"walkers have no modality {modality!r}; known: {', '.join(makers)}")
        for start in range(0, len(sequences), SEQUENCES_AT_ONCE):
            yield from makers[modality](sequences[start : start + SEQUENCES_AT_ONCE])

    def _record(self, infos: Sequence[SequenceInfo], every: int = 1) -> Recording:
        return record(self.options, infos, self._person, every=every)

    def _split(self, frames: torch.Tensor, num_sequences: int) -> list[Frames]:
        """Cut ``[F, H, W]`` into ``[T, 1, H, W]`` per sequence."""
        array = frames.view(num_sequences, -1, 1, *frames.shape[1:]).numpy()
        return [np.ascontiguousarray(part) for part in array]

    def _silhouettes(self, infos: Sequence[SequenceInfo]) -> list[Frames]:
        recording = self._record(infos)
        view = look(recording, self.options.silhouette_px, mask_only=True)
        return self._split(segment(self.options, recording, view)[0], len(infos))

    def _parsings(self, infos: Sequence[SequenceInfo]) -> list[Frames]:
        recording = self._record(infos)
        view = look(recording, self.options.silhouette_px)
        return self._split(parse(self.options, recording, view), len(infos))

    def _depths(self, infos: Sequence[SequenceInfo]) -> list[Frames]:
        view = look(self._record(infos), self.options.silhouette_px)
        assert view.distance is not None
        millimetres = (view.distance * 1000).round().clamp(0, 65535).numpy().astype(np.uint16)
        return list(millimetres.reshape(len(infos), -1, 1, *millimetres.shape[1:]))

    def _photographs(self, infos: Sequence[SequenceInfo]) -> list[Frames]:
        return list(photograph(self.options, self._record(infos)))

    def _clouds(self, infos: Sequence[SequenceInfo]) -> list[PointFrames]:
        return scan(self.options, self._record(infos, every=LIDAR_EVERY))

    def _range_images(self, infos: Sequence[SequenceInfo]) -> list[Frames]:
        clouds = self._clouds(infos)
        counts = np.concatenate([np.diff(cloud.offsets) for cloud in clouds])
        offsets = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]))
        points = torch.from_numpy(np.concatenate([cloud.points for cloud in clouds]))
        return self._split(points_to_depth(points, offsets, size=self.options.lidar_depth_px), len(infos))
