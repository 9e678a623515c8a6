"""One recorded walk: who, how dressed, seen from where, and its frames per modality.

Axes: T frames, M points of all frames together.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Absent", "Frames", "PointFrames", "Sequence", "SequenceInfo"]


class PointFrames(NamedTuple):
    """The point clouds of one sequence, one after the other."""

    points: NDArray[np.float32]
    """``[M, D]`` in metres, in the sensor's frame."""
    offsets: NDArray[np.int64]
    """``[T + 1]``; frame t holds ``points[offsets[t]:offsets[t + 1]]``."""


class Absent(NamedTuple):
    """Why a sequence has no frames in a modality; a builder yields it in their place, so nothing is left out unsaid."""

    reason: str
    """A sentence without a full stop that names the file and what is wrong with it."""
    is_defect: bool = True
    """True for a file that is broken or missing and should be there; False for what the recording itself lacks, such
    as a walk in which nobody was seen."""


Frames = NDArray[np.generic] | PointFrames
"""Decoded frames of one sequence in one modality; the axes are in :mod:`gaitbench.modality`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceInfo:
    """What is known of a sequence without looking at its frames.

    Attributes:
        sequence_id: Unique in the dataset, such as ``0061-nm-01-045``.
        subject_id: The person.
        condition: What the subject wears or carries, with the take: ``nm-01``.
        view: The camera or angle as the dataset writes it: ``045``.
        view_deg: The angle in degrees, NaN where the dataset has none.
        num_frames: Frames of the sequence's fastest stream; 0 where only reading tells.
        attributes: One class index per attribute of the dataset's schema, -1 where unknown; empty without a schema.
    """

    sequence_id: str
    subject_id: str
    condition: str
    view: str
    view_deg: float = float("nan")
    num_frames: int = 0
    attributes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """A recorded walk with its frames."""

    info: SequenceInfo
    frames: Mapping[str, Frames] = field(default_factory=dict)
    """Modality name to frames."""
