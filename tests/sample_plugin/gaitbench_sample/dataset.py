"""Ellipses that swing from side to side, each subject in its own way.

Axes: T frames, H rows, W columns.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt

from gaitbench.card import DatasetCard, StreamInfo
from gaitbench.dataset import BuilderOptions, DatasetBuilder
from gaitbench.protocol import Protocol, Selection
from gaitbench.sequence import Frames, SequenceInfo

__all__ = ["PROTOCOL", "BlobsBuilder", "BlobsOptions"]

SIZE_PX = 64
NUM_FRAMES = 8

PROTOCOL = Protocol(
    name="sample-blobs",
    dataset="sample-blobs",
    title="Take 1 against take 2, across views",
    source="gaitbench-sample",
    train=Selection(subjects=("0001..0004",)),
    test_subjects=("0005..0008",),
    gallery=Selection(conditions=("nm-01",)),
    probes={"NM": Selection(conditions=("nm-02",))},
    exclude=("identical_view",),
    headline="NM",
)


class BlobsOptions(BuilderOptions):
    """Options."""

    seed: int = 0
    """Another seed, other blobs."""
    num_subjects: PositiveInt = 8
    """Half of them train."""


class BlobsBuilder(DatasetBuilder):
    """Generates the dataset."""

    options: BlobsOptions

    def card(self) -> DatasetCard:
        """Two streams of the same size."""
        stream = StreamInfo(frame_shape=(1, SIZE_PX, SIZE_PX), frame_rate_hz=10)
        return DatasetCard(
            name="sample-blobs",
            version="1",
            title="Swinging ellipses",
            streams={"silhouette": stream, "sample-outline": stream},
            licence="Apache-2.0",
        )

    def sequences(self) -> Sequence[SequenceInfo]:
        """Every subject in two takes and two views."""
        return [
            SequenceInfo(
                sequence_id=f"{subject:04d}-nm-0{take}-{view}",
                subject_id=f"{subject:04d}",
                condition=f"nm-0{take}",
                view=view,
                view_deg=float(view),
                num_frames=NUM_FRAMES,
            )
            for subject in range(1, self.options.num_subjects + 1)
            for take in (1, 2)
            for view in ("000", "090")
        ]

    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames]:
        """``[T, 1, H, W]`` uint8 in {0, 1}."""
        for info in sequences:
            body = self._body(info)
            yield body if modality == "silhouette" else body & ~_eroded(body)

    def _body(self, info: SequenceInfo) -> NDArray[np.uint8]:
        person = np.random.default_rng([self.options.seed, int(info.subject_id)])
        girth, stride = person.uniform(0.2, 0.6), person.uniform(0.1, 0.3)
        walk = np.random.default_rng([self.options.seed, int(info.subject_id), int(info.condition[-1]), int(info.view)])
        phase = walk.uniform(0, 2 * np.pi)
        axis = np.linspace(-1, 1, SIZE_PX)
        centre = stride * np.sin(phase + 0.8 * np.arange(NUM_FRAMES))[:, None, None]
        body = ((axis[None, None, :] - centre) / girth) ** 2 + axis[None, :, None] ** 2 < 0.8  # [T, H, W]
        return body[:, None].astype(np.uint8)


def _eroded(body: NDArray[np.uint8]) -> NDArray[np.uint8]:
    inner = np.zeros_like(body)
    inner[..., 1:-1, 1:-1] = (
        body[..., 1:-1, 1:-1] & body[..., :-2, 1:-1] & body[..., 2:, 1:-1] & body[..., 1:-1, :-2] & body[..., 1:-1, 2:]
    )
    return inner
