"""The frames of one modality of all sequences, addressed by (sequence, frame) in whole batches.

Axes: N sequences of the bank, B clips of a batch, T frames of a clip, C channels, H rows, W columns, V joints,
D values per joint or point, M points.

Frames lie packed in the memory map. A batch is one index: frames of fixed size are rows of a ``[frames, bytes]``
table per shard, points and JPEG files are slices of one array per shard. What a batch needs is copied once, goes to
the device packed, and is unpacked there.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.errors import DatasetError
from gaitbench.modality import Modality
from gaitbench.sequence import Frames
from gaitbench.storage.codec import Packed, decode_jpeg, frame_nbytes, unpack

if TYPE_CHECKING:
    from gaitbench.card import StreamInfo
    from gaitbench.storage.shard import Shard

__all__ = ["CacheMode", "FrameBank", "PointBatch"]

CacheMode = Literal["none", "ram", "device"]
"""Where packed frames wait: in the memory map of the files, in memory, or on the device."""


class PointBatch(NamedTuple):
    """Point clouds of a batch, one frame after the other."""

    points: Tensor
    """``[M, D]`` float32 in the sensor's coordinates."""
    offsets: Tensor
    """``[B * T + 1]`` int64; frame t of clip b holds ``points[offsets[b * T + t]:offsets[b * T + t + 1]]``."""


@dataclass(frozen=True, slots=True, eq=False)
class _Store:
    """Rows of equal size in several tables, and where each sequence's rows begin."""

    tables: tuple[Tensor, ...]
    """Per shard ``[rows, bytes]`` uint8: a row is a frame, a point, or a byte of a JPEG file."""
    shard: Tensor
    """``[N]`` int64."""
    first: Tensor
    """``[N]`` int64, row at which a sequence begins in its shard."""

    def gather(self, sequence: Tensor, row: Tensor) -> Tensor:
        """``[..., bytes]`` of rows ``[...]`` of sequences, ``[...]`` too or ``[B]`` of rows ``[B, T]``; on the CPU."""
        if sequence.ndim < row.ndim:
            sequence = sequence[:, None]
        row = self.first[sequence] + row
        width = self.tables[0].shape[1]
        if self.tables[0].device.type != "cpu":
            table = self.tables[0]
            return table.index_select(0, row.reshape(-1).to(table.device)).reshape(*row.shape, width)
        wanted = row.numpy()
        out = np.empty((*row.shape, width), np.uint8)
        if len(self.tables) == 1:
            # With "clip" NumPy writes to ``out`` directly; rows were checked before.
            np.take(self.tables[0].numpy(), wanted, axis=0, out=out, mode="clip")
            return torch.from_numpy(out)
        shard = self.shard[sequence].numpy()
        if sequence.shape[1:] == (1,):
            shard = shard[:, 0]
        for number in np.flatnonzero(np.bincount(shard.reshape(-1))):
            at = np.nonzero(shard == number)
            out[at] = self.tables[number].numpy()[wanted[at]]
        return torch.from_numpy(out)


class FrameBank:
    """Packed frames of one modality. Made by :meth:`gaitbench.dataset.GaitDataset.bank`.

    Attributes:
        modality: What a frame is and how it is stored.
        info: Frame shape and rate in this dataset.
        num_frames: ``[N]`` int64 array.
    """

    def __init__(
        self,
        modality: Modality,
        info: "StreamInfo",
        num_frames: NDArray[np.int64],
        store: _Store,
        offset_store: "_Offsets | None" = None,
    ) -> None:
        self.modality = modality
        self.info = info
        self.num_frames = num_frames
        self._num_frames = torch.from_numpy(np.ascontiguousarray(num_frames))
        self._store = store
        self._offsets = offset_store

    @classmethod
    def from_shards(cls, modality: Modality, info: "StreamInfo", shards: "list[Shard]") -> "FrameBank":
        """Address the sequences of open shards, in order, without reading a frame."""
        width = frame_nbytes(modality, info) or (2 * info.frame_shape[0] if modality.codec == "points16" else 1)
        tables = tuple(_read_only_tensor(shard.data).reshape(-1, width) for shard in shards)
        lengths = [len(shard) for shard in shards]
        store = _Store(
            tables=tables,
            shard=torch.repeat_interleave(torch.arange(len(shards)), torch.tensor(lengths)),
            first=torch.from_numpy(np.concatenate([shard.starts[:-1] // width for shard in shards])),
        )
        num_frames = np.concatenate([shard.num_frames for shard in shards])
        offsets = None
        if shards[0].offsets is not None:
            offsets = _Offsets(
                values=torch.from_numpy(np.concatenate([shard.offsets for shard in shards])),
                first=torch.from_numpy(np.cumsum([0, *(num_frames[:-1] + 1)])),
                origin=None
                if shards[0].origin is None
                else torch.from_numpy(np.concatenate([shard.origin for shard in shards])),
            )
        return cls(modality, info, num_frames, store, offsets)

    @classmethod
    def from_rows(
        cls,
        modality: Modality,
        info: "StreamInfo",
        num_frames: NDArray[np.int64],
        tables: Sequence[NDArray[np.uint8]],
        table: NDArray[np.int64],
        first: NDArray[np.int64],
    ) -> "FrameBank":
        """Address frames of one size that lie in tables, without reading one.

        Args:
            modality: What a frame is; its codec gives all frames one size.
            info: Frame shape and rate.
            num_frames: ``[N]`` frames of each sequence.
            tables: ``[rows, bytes]`` each, such as memory maps; they are never written to.
            table: ``[N]`` in which of them a sequence lies.
            first: ``[N]`` the row at which it begins.
        """
        store = _Store(
            tables=tuple(_read_only_tensor(rows) for rows in tables),
            shard=torch.from_numpy(np.ascontiguousarray(table)),
            first=torch.from_numpy(np.ascontiguousarray(first)),
        )
        return cls(modality, info, num_frames, store)

    def __len__(self) -> int:
        return len(self.num_frames)

    def take(self, index: NDArray[np.int64]) -> "FrameBank":
        """The bank of some of the sequences, in the order given; nothing is copied."""
        chosen = torch.from_numpy(np.ascontiguousarray(index))
        store = replace(self._store, shard=self._store.shard[chosen], first=self._store.first[chosen])
        offsets = None if self._offsets is None else self._offsets.take(chosen)
        return FrameBank(self.modality, self.info, self.num_frames[index], store, offsets)

    def cached(self, mode: CacheMode, device: torch.device | str = "cpu") -> "FrameBank":
        """The same bank with the packed frames of its sequences copied to memory or to the device.

        JPEG files stay in memory when the device is asked for: they are decoded on the CPU.

        Args:
            mode: Where to.
            device: The device that ``"device"`` means.
        """
        if mode == "none":
            return self
        num_rows = self._num_rows()
        table = torch.cat([self._rows(i) for i in range(len(self))])
        if mode == "device" and self.modality.codec != "jpeg":
            table = table.to(device)
        first = num_rows.cumsum(0) - num_rows
        store = _Store((table,), torch.zeros(len(self), dtype=torch.int64), first)
        return FrameBank(self.modality, self.info, self.num_frames, store, self._offsets)

    def gather(self, sequence: Tensor, frame: Tensor, device: torch.device | str = "cpu") -> Tensor:
        """Decode one batch of frames.

        Args:
            sequence: ``[B]`` int64 rows of the bank.
            frame: ``[B, T]`` int64 frames of each.
            device: Where the result goes; masks are unpacked there.

        Returns:
            Rasters ``[B, T, C, H, W]`` uint8, uint16 or float32; joints ``[B, T, V, D]`` float32.

        Raises:
            DatasetError: A frame lies outside its sequence, or a stored JPEG is broken.
            TypeError: The modality is a point cloud; see :meth:`gather_points`.
        """
        if self.modality.kind == "points":
            raise TypeError(f"{self.modality.name} is a point cloud: use gather_points or sample_points")
        self._check(sequence, frame)
        if self.modality.codec == "jpeg":
            return self._gather_jpeg(sequence[:, None].expand_as(frame), frame).to(device, non_blocking=True)
        rows = self._store.gather(sequence, frame)
        return _decode_rows(rows.to(device, non_blocking=True), self.modality, self.info)

    def gather_points(self, sequence: Tensor, frame: Tensor, device: torch.device | str = "cpu") -> PointBatch:
        """Decode whole point clouds of one batch.

        Args:
            sequence: ``[B]`` int64 rows of the bank.
            frame: ``[B, T]`` int64 frames of each.
            device: Where the result goes.

        Raises:
            DatasetError: A frame lies outside its sequence.
            TypeError: The modality is no point cloud.
        """
        offsets = self._point_offsets()
        self._check(sequence, frame)
        sequence = sequence[:, None].expand_as(frame).reshape(-1)
        start, count = offsets.of(sequence, frame.reshape(-1))
        which, within = _ragged(count)
        owner = sequence[which]
        points = self._decode_points(owner, start[which] + within, device)
        return PointBatch(points, torch.nn.functional.pad(count.cumsum(0), (1, 0)).to(device))

    def sample_points(
        self, sequence: Tensor, frame: Tensor, draw: Tensor, device: torch.device | str = "cpu"
    ) -> Tensor:
        """Draw points of each frame, with replacement.

        Args:
            sequence: ``[B]`` int64 rows of the bank.
            frame: ``[B, T]`` int64 frames of each.
            draw: ``[B, T, M]`` numbers in [0, 1) that choose the points.
            device: Where the result goes.

        Returns:
            ``[B, T, M, D]`` float32 in the sensor's coordinates; all zero for a frame without points.

        Raises:
            DatasetError: A frame lies outside its sequence.
            TypeError: The modality is no point cloud.

        Source:
            Drawing with replacement is the habit of the field's point models (LidarGait++, CVPR 2025).
        """
        offsets = self._point_offsets()
        self._check(sequence, frame)
        sequence = sequence[:, None].expand_as(frame)
        start, count = offsets.of(sequence, frame)  # [B, T]
        # float32 draws just below 1 may round up to the count itself.
        chosen = torch.minimum((draw * count[..., None]).long(), (count[..., None] - 1).clamp(min=0))
        is_empty = count == 0
        row = (start[..., None] + chosen).masked_fill(is_empty[..., None], 0)
        owner = sequence[..., None].expand_as(row)
        if bool(is_empty.any()):
            points = torch.zeros((*row.shape, self.info.frame_shape[0]), device=device)
            filled = ~is_empty
            points[filled.to(device)] = self._decode_points(owner[filled], row[filled], device)
            return points
        return self._decode_points(owner, row, device)

    def frames(self, i: int) -> Frames:
        """All frames of one sequence as NumPy arrays: ``[T, C, H, W]``, ``[T, V, D]`` or points with offsets."""
        return unpack(self.packed(i), self.modality, self.info)

    def packed(self, i: int) -> Packed:
        """The stored form of one sequence, without a copy where it lies in memory or in the map."""
        data = self._rows(i).cpu().numpy().reshape(-1)
        offsets = origin = None
        if self._offsets is not None:
            first = int(self._offsets.first[i])
            offsets = self._offsets.values[first : first + int(self.num_frames[i]) + 1].numpy()
            origin = None if self._offsets.origin is None else self._offsets.origin[i].numpy()
        return Packed(int(self.num_frames[i]), data, offsets, origin)

    def _num_rows(self) -> Tensor:
        """``[N]`` stored rows of each sequence."""
        if self._offsets is None:
            return self._num_frames
        return self._offsets.values[self._offsets.first + self._num_frames]

    def _rows(self, i: int) -> Tensor:
        """``[rows, bytes]`` of one sequence, without a copy."""
        first = int(self._store.first[i])
        if self._offsets is None:
            length = int(self.num_frames[i])
        else:
            length = int(self._offsets.values[self._offsets.first[i] + int(self.num_frames[i])])
        return self._store.tables[int(self._store.shard[i])][first : first + length]

    def _check(self, sequence: Tensor, frame: Tensor) -> None:
        if not len(sequence):
            raise DatasetError(f"{self.modality.name}: a batch needs at least one sequence")
        outside = (frame < 0) | (frame >= self._num_frames[sequence][:, None])
        if bool(outside.any()):
            b, t = outside.nonzero()[0].tolist()
            raise DatasetError(
                f"{self.modality.name}: frame {int(frame[b, t])} of sequence {int(sequence[b])} does not exist, "
                f"it has {int(self._num_frames[sequence[b]])}"
            )

    def _point_offsets(self) -> "_Offsets":
        if self.modality.kind != "points" or self._offsets is None:
            raise TypeError(f"{self.modality.name} is no point cloud: use gather")
        return self._offsets

    def _decode_points(self, sequence: Tensor, row: Tensor, device: torch.device | str) -> Tensor:
        if not row.numel():
            # NumPy's strides of an array without elements are not those that a view as numbers needs.
            return torch.zeros((*row.shape, self.info.frame_shape[0]), device=device)
        half = self._store.gather(sequence, row).to(device).view(torch.float16)
        origin = self._point_offsets().origin
        assert origin is not None
        return half.float() + origin[sequence].to(device)

    def _gather_jpeg(self, sequence: Tensor, frame: Tensor) -> Tensor:
        assert self._offsets is not None
        start, count = self._offsets.of(sequence, frame)
        begin = (self._store.first[sequence] + start).reshape(-1).tolist()
        sizes = count.reshape(-1).tolist()
        shards = self._store.shard[sequence].reshape(-1).tolist()
        tables = [table.numpy().reshape(-1) for table in self._store.tables]
        out = np.empty((frame.numel(), *self.info.frame_shape), np.uint8)

        def decode(some: range) -> None:
            for k in some:
                data = tables[shards[k]][begin[k] : begin[k] + sizes[k]].tobytes()
                out[k] = decode_jpeg(data, self.info.frame_shape)

        num_threads = min(16, os.cpu_count() or 1)
        # A task of many frames, as handing one over takes a fifth of the time that its decoding takes.
        each = max(1, min(64, -(-len(out) // (2 * num_threads))))
        with ThreadPoolExecutor(num_threads) as pool:
            for _ in pool.map(decode, (range(k, min(k + each, len(out))) for k in range(0, len(out), each))):
                pass
        return torch.from_numpy(out).reshape(*frame.shape, *self.info.frame_shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Offsets:
    """Where the frames of ragged sequences begin."""

    values: Tensor
    """``[sum(T + 1)]`` int64, relative to each sequence's first row."""
    first: Tensor
    """``[N]`` int64, where a sequence's offsets begin in ``values``."""
    origin: Tensor | None
    """``[N, D]`` float32 for points."""

    def take(self, index: Tensor) -> "_Offsets":
        return _Offsets(self.values, self.first[index], None if self.origin is None else self.origin[index])

    def of(self, sequence: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        """First row and number of rows of each frame."""
        at = self.first[sequence] + frame
        start = self.values[at]
        return start, self.values[at + 1] - start


def _decode_rows(rows: Tensor, modality: Modality, info: "StreamInfo") -> Tensor:
    """``[B, T, bytes]`` uint8 on any device to decoded frames there."""
    shape = (*rows.shape[:2], *info.frame_shape)
    if modality.codec == "raw":
        return rows.view(getattr(torch, modality.dtype)).reshape(shape)
    size = int(np.prod(info.frame_shape))
    if rows.device.type == "cpu":
        bits = np.unpackbits(rows.numpy().reshape(-1, rows.shape[2]), axis=1, count=size)
        return torch.from_numpy(bits).reshape(shape)
    shift = torch.arange(7, -1, -1, device=rows.device, dtype=torch.uint8)
    bits_on_device = (rows[..., None] >> shift) & 1
    return bits_on_device.flatten(2)[..., :size].reshape(shape)


def _ragged(count: Tensor) -> tuple[Tensor, Tensor]:
    """Number groups of the given sizes: for every element its group, and its place in the group."""
    group = torch.repeat_interleave(torch.arange(len(count)), count)
    begin = count.cumsum(0) - count
    return group, torch.arange(len(group)) - begin[group]


def _read_only_tensor(array: NDArray[np.uint8]) -> Tensor:
    """A tensor on the memory map. It must never be written to: that would end the process."""
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ", category=UserWarning)
        return torch.from_numpy(array)
