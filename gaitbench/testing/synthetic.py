"""Made-up clips, frames, sequence tables and embeddings, small and always the same for a seed.

Axes: N batch, C channels, T frames, H rows, W columns, V joints, M points, D embedding width, P parts.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gaitbench.card import StreamInfo
from gaitbench.modality import CORE_MODALITIES, FrameKind, Modality
from gaitbench.model import GaitBatch, InputSpec
from gaitbench.sequence import Frames, PointFrames, SequenceInfo
from gaitbench.table import SequenceTable
from gaitbench.tasks import EmbeddingSet

__all__ = ["kind_of", "synthetic_batch", "synthetic_embeddings", "synthetic_frames", "synthetic_table"]

DEFAULT_SIZE_PX = (64, 44)
"""Rows and columns for an input that takes any size."""
NUM_JOINTS = 17
NUM_POINTS = 64
NUM_ATTRIBUTES = 16

_CORE = {modality.name: modality for modality in CORE_MODALITIES}


def synthetic_batch(
    inputs: Sequence[InputSpec],
    *,
    num_sequences: int = 4,
    num_frames: int = 8,
    num_classes: int = 2,
    attribute_classes: Sequence[int] | None = None,
    seed: int = 0,
) -> GaitBatch:
    """Clips as a model's input contract asks for them.

    Args:
        inputs: The contract.
        num_sequences: N.
        num_frames: T, the same for all.
        num_classes: Labels run from 0 to here.
        attribute_classes: Number of classes of each attribute; None for 16 of two.
        seed: Same seed, same clips.

    Returns:
        One-channel rasters are walking blobs in {0, 1}, other rasters uniform in [0, 1]. Joints in pixels jitter around
        people who stand apart, with a confidence in [0, 1]; joints that are never negative, such as an aspect ratio,
        lie in [0.25, 0.75]; other joints and points are normal. Two sequences share a label. The classes of every
        attribute take turns.

    Example:
        >>> batch = synthetic_batch([InputSpec(modality="silhouette", height_px=64, width_px=44)])
        >>> batch.inputs["silhouette"].shape, batch.labels
        (torch.Size([4, 1, 8, 64, 44]), tensor([0, 0, 1, 1]))
    """
    rng = torch.Generator().manual_seed(seed)
    shape = (num_sequences, num_frames)
    labels = torch.arange(num_sequences) // 2 % num_classes
    return GaitBatch(
        inputs={spec.modality: _clips(spec, *shape, rng) for spec in inputs},
        num_frames={spec.modality: torch.full((num_sequences,), num_frames) for spec in inputs},
        labels=labels,
        attributes=torch.arange(num_sequences)[:, None] % torch.tensor(attribute_classes or [2] * NUM_ATTRIBUTES),
    )


def kind_of(spec: InputSpec) -> FrameKind:
    """What one frame of an input is, and with it where its axes are.

    Raises:
        UnknownNameError: Nobody registered the modality, and the input names neither points nor joints.
    """
    if spec.modality in _CORE:
        return _CORE[spec.modality].kind
    if spec.num_points is not None:
        return "points"
    if spec.num_joints is not None:
        return "joints"
    from gaitbench.registry import load_registry
    from gaitbench.specs import ModalitySpec

    found = load_registry().get("modality", spec.modality)
    assert isinstance(found, ModalitySpec)
    return found.modality.kind


def _clips(spec: InputSpec, n: int, t: int, rng: torch.Generator) -> Tensor:
    kind = kind_of(spec)
    if kind == "points":
        return torch.randn(n, t, spec.num_points or NUM_POINTS, spec.channels, generator=rng)
    if kind == "joints":
        is_pixels = spec.modality in _CORE and _CORE[spec.modality].unit == "px"
        shape = (n, spec.channels, t, spec.num_joints or NUM_JOINTS)
        if is_pixels:
            return _people(shape, rng)
        if spec.modality in _CORE and _CORE[spec.modality].value_range[0] >= 0:
            return 0.25 + 0.5 * torch.rand(shape, generator=rng)
        return torch.randn(shape, generator=rng)
    height, width = spec.height_px or DEFAULT_SIZE_PX[0], spec.width_px or DEFAULT_SIZE_PX[1]
    channels = 3 if spec.colour_map == "jet" else spec.channels
    if channels == 1:
        return _blobs(n, t, height, width, rng)[:, None]
    return torch.rand(n, channels, t, height, width, generator=rng)


def _people(shape: tuple[int, int, int, int], rng: torch.Generator) -> Tensor:
    """``[N, C, T, V]`` joints in pixels: x, y and, where C is above 2, a confidence last."""
    n, channels, _, num_joints = shape
    body = 500 + 100 * torch.randn(n, channels, 1, num_joints, generator=rng)
    joints = body + 10 * torch.randn(shape, generator=rng)
    if channels > 2:
        joints[:, -1] = torch.rand(joints[:, -1].shape, generator=rng)
    return joints


def _blobs(n: int, t: int, height: int, width: int, rng: torch.Generator) -> Tensor:
    """Ellipses ``[N, T, H, W]`` in {0, 1} that swing from side to side, each sequence in its own way."""
    girth, phase, speed = torch.rand(3, n, 1, 1, 1, generator=rng)
    frame = torch.arange(t)[None, :, None, None]
    row = torch.linspace(-1, 1, height)[None, None, :, None]
    column = torch.linspace(-1, 1, width)[None, None, None, :]
    centre = 0.4 * torch.sin(6.28 * phase + (0.3 + speed) * frame)
    is_body: Tensor = ((column - centre) / (0.2 + 0.4 * girth)) ** 2 + row**2 < 0.8
    return is_body.float()


def synthetic_frames(modality: Modality, info: StreamInfo, *, num_frames: int = 5, seed: int = 0) -> Frames:
    """Decoded frames of one sequence, inside the modality's range.

    Returns:
        As :mod:`gaitbench.sequence` describes them for the modality's kind.
    """
    rng = np.random.default_rng(seed)
    low, high = modality.value_range
    if modality.kind == "points":
        offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 20, num_frames))]).astype(np.int64)
        span = min(high, 5.0), max(low, -5.0)
        return PointFrames(rng.uniform(span[1], span[0], (offsets[-1], *info.frame_shape)).astype(np.float32), offsets)
    shape = (num_frames, *info.frame_shape)
    if modality.dtype == "float32":
        return rng.uniform(max(low, -5.0), min(high, 5.0), shape).astype(np.float32)
    return rng.integers(int(low), int(high), shape, endpoint=True).astype(modality.dtype)


def synthetic_table(
    *,
    num_subjects: int = 6,
    conditions: Sequence[str] = ("nm-01", "nm-02", "bg-01"),
    views: Sequence[str] = ("000", "090"),
) -> SequenceTable:
    """A table with every subject in every condition and view.

    Example:
        >>> len(synthetic_table())
        36
    """
    return SequenceTable.from_infos(
        [
            SequenceInfo(
                sequence_id=f"{subject:04d}-{condition}-{view}",
                subject_id=f"{subject:04d}",
                condition=condition,
                view=view,
                view_deg=float(view),
                num_frames=8,
            )
            for subject in range(1, num_subjects + 1)
            for condition in conditions
            for view in views
        ]
    )


def synthetic_embeddings(
    table: SequenceTable, *, noise: float = 0.5, width: int = 8, parts: int = 2, seed: int = 0
) -> EmbeddingSet:
    """Embeddings ``[N, width, parts]``: a direction per subject plus noise, so that some probes hit and some miss."""
    rng = torch.Generator().manual_seed(seed)
    subjects = {subject: i for i, subject in enumerate(sorted(set(table.subject_id.tolist())))}
    label = torch.tensor([subjects[subject] for subject in table.subject_id.tolist()])
    centre = torch.randn(len(subjects), width, parts, generator=rng)
    return EmbeddingSet(
        embeddings=centre[label] + noise * torch.randn(len(label), width, parts, generator=rng), table=table
    )
