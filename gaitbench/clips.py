"""Clips: which sequences make a batch, which frames make a clip, and how frames become a model's input.

Everything is drawn for the whole batch at once. A batch depends on (seed, step) alone: any step can be asked for, in
any order, by any process.

Axes: N sequences of the dataset, B clips of a batch, C channels, T frames, H rows, W columns, V joints, M points,
D values per joint or point.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gaitbench.augment import AugmentDraw, AugmentPlan, draw_augment
from gaitbench.card import StreamInfo
from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, ShapeError
from gaitbench.memory import keep_freed_memory
from gaitbench.modality import Modality
from gaitbench.model import GaitBatch, InputSpec
from gaitbench.recipe import AugmentConfig, ClipConfig
from gaitbench.seeding import derive_seed
from gaitbench.storage.bank import CacheMode, FrameBank

if TYPE_CHECKING:
    from gaitbench.features.bank import FeatureBank

__all__ = ["ClipSampler", "check_clocks", "check_inputs", "frame_reader", "test_batches", "to_input"]

_NO_AUGMENT = AugmentConfig()


class ClipSampler:
    """P x K or flat batches of clips from the training sequences, assembled whole.

    Args:
        dataset: The training sequences.
        labels: ``[N]`` int64 index of each sequence's training subject.
        clips: Which sequences make a batch and which frames make a clip.
        inputs: What the model reads. All modalities of a clip show the same moments.
        augment: What is done to rasters; all modalities of a clip undergo the same change.
        seed: With the step, all that a batch depends on.
        device: Where batches go: packed, and unpacked, converted and augmented there.
        cache: Where packed frames wait.
        features: Kept features of the sequences, which batches carry in place of the frames that they are of; the
            draws stay the same.

    Raises:
        DatasetError: The dataset is empty, does not fit ``inputs``, or one of its files is broken.
        ShapeError: There is not one label per sequence.

    Source:
        P x K batches: Hermans et al., "In Defense of the Triplet Loss", 2017, section 2. Frame orders are those of the
        field's common recipes.
    """

    def __init__(
        self,
        dataset: GaitDataset,
        labels: Tensor,
        clips: ClipConfig,
        inputs: Sequence[InputSpec],
        augment: AugmentConfig = _NO_AUGMENT,
        seed: int = 0,
        device: torch.device | str = "cpu",
        cache: CacheMode = "none",
        features: "FeatureBank | None" = None,
    ) -> None:
        if labels.shape != (len(dataset),):
            raise ShapeError(f"{len(dataset)} sequences need labels [{len(dataset)}], got {list(labels.shape)}")
        check_inputs(dataset, inputs)
        keep_freed_memory()
        self._labels = labels.to("cpu", torch.int64)
        self._clips = clips
        self._augment = augment
        self._seed = seed
        self._device = torch.device(device)
        self._streams = _Streams(dataset, inputs, cache, self._device, features)
        self._groups = _Groups.of(self._labels)
        attributes = torch.from_numpy(dataset.table.attributes.astype(np.int64))
        self._attributes = attributes if attributes.shape[1] else None

    def batch(self, step: int) -> GaitBatch:
        """Assemble the batch of one step.

        Args:
            step: 0 or more.

        Returns:
            Clips of ``subjects_per_batch * sequences_per_subject`` sequences, those of one subject side by side; or of
            ``batch_size`` sequences in random order.
        """
        rng = torch.Generator().manual_seed(derive_seed(self._seed, "clips", step))
        clips = self._clips
        if clips.batch_size is not None:
            sequence = _deal(len(self._labels), clips.batch_size, rng)
        else:
            sequence = self._groups.draw(clips.subjects_per_batch, clips.sequences_per_subject, rng)
        length = torch.full((len(sequence),), clips.num_frames)
        if clips.max_frames is not None:
            length = torch.randint(clips.num_frames, clips.max_frames + 1, (len(sequence),), generator=rng)
        available = self._streams.num_moments[sequence]
        if clips.order == "ordered":
            moment = _ordered(available, length, clips.skip, rng)
        else:
            moment = _unordered(available, length, rng)
        draw = draw_augment(self._augment, len(sequence), rng)
        points = torch.Generator().manual_seed(derive_seed(self._seed, "points", step))
        inputs = {
            stream.name: stream.read(
                sequence, self._streams.to_frames(stream, sequence, moment), self._device, draw, points
            )
            for stream in self._streams.all
        }
        if clips.max_frames is not None:
            is_padding = (torch.arange(moment.shape[1]) >= length[:, None]).to(self._device)  # [B, T]
            for stream in self._streams.all:
                inputs[stream.name].movedim(stream.time_axis, 1)[is_padding] = 0
        num_frames = length.to(self._device)
        return GaitBatch(
            inputs=inputs,
            num_frames=self._streams.counts(num_frames),
            labels=self._labels[sequence].to(self._device),
            attributes=None if self._attributes is None else self._attributes[sequence].to(self._device),
            step=step,
        )


def test_batches(
    dataset: GaitDataset,
    inputs: Sequence[InputSpec],
    *,
    max_frames: int | None,
    frames_per_batch: int,
    padding: Literal["masked", "refused"],
    device: torch.device | str = "cpu",  # noqa: PT028
    features: "FeatureBank | None" = None,  # noqa: PT028
) -> Iterator[tuple[Tensor, GaitBatch]]:
    """Go through whole sequences, every one exactly once, those of similar length together.

    What a sequence's frames are does not depend on the others in its batch: points are drawn with a generator of the
    sequence's own.

    Args:
        dataset: The sequences.
        inputs: What the model reads.
        max_frames: Longer sequences are cut to their first frames, counted in the slowest stream; None keeps all.
        frames_per_batch: Most frames of a batch, padding counted; a longer sequence is a batch of its own.
        padding: ``masked``: shorter sequences of a batch are padded with zeros at the end. ``refused``: only
            sequences of equal length share a batch.
        device: Where batches go.
        features: Kept features of the sequences, which batches carry in place of the frames that they are of.

    Yields:
        Rows ``[n]`` of the dataset on the CPU, and their batch, with the labels None.

    Raises:
        DatasetError: The dataset does not fit ``inputs``, or one of its files is broken.
        ValueError: ``max_frames`` or ``frames_per_batch`` is below 1.
    """
    if frames_per_batch < 1 or (max_frames is not None and max_frames < 1):
        raise ValueError(f"frames_per_batch {frames_per_batch} and max_frames {max_frames} must be 1 or more")
    check_inputs(dataset, inputs)
    device = torch.device(device)
    streams = _Streams(dataset, inputs, "none", device, features)
    num_moments = streams.num_moments if max_frames is None else streams.num_moments.clamp(max=max_frames)
    attributes = torch.from_numpy(dataset.table.attributes.astype(np.int64)).to(device)
    for rows in _group_by_length(num_moments, frames_per_batch, padding):
        length = num_moments[rows]
        moment = torch.arange(int(length.max())).expand(len(rows), -1)  # [n, T]
        is_padding = moment >= length[:, None]
        moment = torch.minimum(moment, length[:, None] - 1)
        own = [int.from_bytes(hashlib.sha256(str(dataset.table.sequence_id[i]).encode()).digest()[:7]) for i in rows]
        read: dict[str, Tensor] = {}
        for stream in streams.all:
            frame = streams.to_frames(stream, rows, moment)
            x = stream.read(rows, frame, device, None, own)
            if bool(is_padding.any()):
                x.movedim(stream.time_axis, 1)[is_padding.to(device)] = 0
            read[stream.name] = x
        num_frames = length.to(device)
        yield (
            rows,
            GaitBatch(
                inputs=read,
                num_frames=streams.counts(num_frames),
                attributes=attributes[rows.to(device)] if attributes.shape[1] else None,
            ),
        )


# Pytest collects names that begin with "test_"; this one is no test.
test_batches.__test__ = False  # type: ignore[attr-defined]


def check_inputs(dataset: GaitDataset, inputs: Sequence[InputSpec]) -> None:
    """Stop when a dataset does not fit a model, before anything slow.

    Rasters fit when their columns can be cut equally at both sides to the model's; masks and class maps may be
    repeated a whole number of times in both directions before.

    Raises:
        DatasetError: The dataset has no sequence, or a modality is missing or does not fit.
    """
    if not len(dataset):
        raise DatasetError(f"{dataset.card.name}: no sequence is left; check the protocol's or your own selection")
    if not inputs:
        raise DatasetError("the model reads no modality of this task; check the model's inputs")
    for spec in inputs:
        bank = dataset.bank(spec.modality)
        where = f"{dataset.card.name}: {spec.modality}"
        shape = bank.info.frame_shape
        channels = shape[0] if bank.modality.kind == "raster" else shape[-1]
        if bank.info.colour_map == "jet":
            if spec.channels not in (1, 3):
                raise DatasetError(
                    f"{where} is a range image in false colours, the model reads {spec.channels} channels instead of 3 "
                    "colours or 1 distance; choose another model or modality"
                )
        elif spec.colour_map == "jet":
            if bank.modality.dtype != "uint8" or channels != 1 or spec.channels != 3:
                raise DatasetError(
                    f"{where} has {channels} channels of {bank.modality.dtype}, the model wants {spec.channels} "
                    "channels in false colours, which are made of one uint8 channel; choose another modality"
                )
        elif channels != spec.channels:
            raise DatasetError(
                f"{where} has {channels} channels, the model reads {spec.channels}; choose another model or modality"
            )
        if bank.modality.kind == "joints" and spec.num_joints and shape[0] != spec.num_joints:
            raise DatasetError(
                f"{where} has {shape[0]} joints, the model reads {spec.num_joints}; choose another model"
            )
        if bank.modality.kind == "points" and spec.num_points is None:
            raise DatasetError(f"{where} is a point cloud, the model does not say how many points it reads per frame")
        if bank.modality.kind == "raster":
            _Raster.of(spec, bank.modality, shape[1], shape[2], where, info=bank.info)


def to_input(frames: Tensor, spec: InputSpec) -> Tensor:
    """Make a model's input of decoded frames.

    Args:
        frames: ``[B, T, C, H, W]`` rasters, ``[B, T, V, D]`` joints, or ``[B, T, M, D]`` points, which ``spec``
            tells from joints by its ``num_points``.
        spec: What the model expects: size, columns, scale, colours.

    Returns:
        Float32 ``[B, C, T, H, W]``, ``[B, C, T, V]`` or ``[B, T, M, C]``.

    Raises:
        DatasetError: The size does not fit.

    Example:
        >>> mask = torch.ones(2, 30, 1, 64, 64, dtype=torch.uint8)
        >>> to_input(mask, InputSpec(modality="silhouette", height_px=64, width_px=44)).shape
        torch.Size([2, 1, 30, 64, 44])
    """
    if frames.ndim == 5:
        batch, length, channels, height, width = frames.shape
        target = _Raster.of(spec, None, height, width)
        # Three channels are coloured already.
        target = target._replace(is_jet=target.is_jet and channels == 1)
        out_channels = 3 if target.is_jet else channels
        out = torch.empty((batch, out_channels, length, target.height, target.columns), device=frames.device)
        target.fill(frames, out, None)
        return out
    x = frames.float() if spec.num_points is not None else frames.float().permute(0, 3, 1, 2)
    return x if spec.scale == 1 else x / spec.scale


def frame_reader(
    dataset: GaitDataset, spec: InputSpec, device: torch.device | str = "cpu"
) -> Callable[[Tensor, Tensor], Tensor]:
    """Give a function that reads single frames as batches have them, and as no augmentation changed them.

    Args:
        dataset: The sequences.
        spec: What the model expects of a raster or of joints.
        device: Where frames go.

    Returns:
        A function of rows ``[M]`` of the dataset and frames ``[M]`` of these, which gives float32 ``[M, C, H, W]`` or
        ``[M, C, V]``.

    Raises:
        DatasetError: The dataset does not fit ``spec``, or one of its files is broken.
    """
    check_inputs(dataset, [spec])
    stream = _Stream(dataset.bank(spec.modality), spec)
    return lambda sequence, frame: stream.read(sequence, frame[:, None], torch.device(device), None, [])[:, :, 0]


class _Stream(NamedTuple):
    """One modality on its way to the model."""

    bank: FrameBank
    spec: InputSpec
    features: "FeatureBank | None" = None
    """What goes to the model in place of the frames."""

    @property
    def name(self) -> str:
        """Under which a batch has it."""
        return self.spec.modality if self.features is None else self.features.name

    @property
    def time_axis(self) -> int:
        return 1 if self.bank.modality.kind == "points" else 2

    def read(
        self,
        sequence: Tensor,
        frame: Tensor,
        device: torch.device,
        draw: AugmentDraw | None,
        source: "torch.Generator | list[int]",
    ) -> Tensor:
        """Input of ``[B]`` sequences at their frames ``[B, T]``; ``source`` chooses the points of clouds."""
        if self.features is not None:
            return self.features.read(sequence, frame, device, None if draw is None else draw.flip)
        if self.bank.modality.kind == "points":
            assert self.spec.num_points is not None
            chosen = _point_draw(frame.shape[1], self.spec.num_points, len(sequence), source)
            return to_input(self.bank.sample_points(sequence, frame, chosen, device), self.spec)
        if self.bank.modality.kind == "joints":
            return to_input(self.bank.gather(sequence, frame, device), self.spec)
        _, height, width = self.bank.info.frame_shape
        target = _Raster.of(self.spec, self.bank.modality, height, width, info=self.bank.info)
        shape = (*frame.shape, self.spec.channels)
        out = torch.empty((shape[0], shape[2], shape[1], target.height, target.columns), device=device)
        # Inference mode makes hundreds of small calls cheaper; what it writes to is made outside, so that a network can
        # be trained on it.
        with torch.inference_mode():
            frames = self.bank.gather(sequence, frame, device)
            target.fill(frames, out, None if draw is None else target.plan(draw, device))
        return out


class _Streams:
    """Modalities that are sampled together, on a common clock: that of the slowest one."""

    def __init__(
        self,
        dataset: GaitDataset,
        inputs: Sequence[InputSpec],
        cache: CacheMode,
        device: torch.device,
        features: "FeatureBank | None",
    ) -> None:
        self.all = [
            _Stream(dataset.bank(spec.modality), spec, features.cached(cache, device))
            if features is not None and spec.modality == features.modality
            else _Stream(dataset.bank(spec.modality).cached(cache, device), spec)
            for spec in inputs
        ]
        check_clocks(dataset, [spec.modality for spec in inputs])
        self._rate = min(stream.bank.info.frame_rate_hz for stream in self.all)
        lasting = [
            np.floor((stream.bank.num_frames - 1) * (self._rate / stream.bank.info.frame_rate_hz) + 1e-6)
            for stream in self.all
        ]
        self.num_moments = torch.from_numpy(np.min(lasting, axis=0).astype(np.int64) + 1)
        """``[N]`` int64: frames of the slowest stream for which every stream still has one."""

    def to_frames(self, stream: _Stream, sequence: Tensor, moment: Tensor) -> Tensor:
        """``[B, T]`` int64 frames of a stream that are nearest in time to the moments."""
        ratio = stream.bank.info.frame_rate_hz / self._rate
        if ratio == 1:
            return moment
        last = torch.from_numpy(stream.bank.num_frames)[sequence] - 1
        return torch.minimum((moment * ratio + 0.5).long(), last[:, None])

    def counts(self, num_frames: Tensor) -> dict[str, Tensor]:
        """Numbers of frames ``[B]`` of every modality and of every input."""
        names = dict.fromkeys(name for stream in self.all for name in (stream.spec.modality, stream.name))
        return dict.fromkeys(names, num_frames)


def check_clocks(dataset: GaitDataset, modalities: Sequence[str]) -> None:
    """Stop where frames that are to be seen together were taken by clocks that nobody compared.

    Args:
        dataset: Holds all of ``modalities``.
        modalities: What a model is shown at a time.

    Raises:
        DatasetError: Their clocks differ.
    """
    clocks = {modality: dataset.card.streams[modality].clock for modality in modalities}
    if len(set(clocks.values())) > 1:
        found = ", ".join(f"{modality} by that of {clock or 'the dataset'}" for modality, clock in clocks.items())
        raise DatasetError(
            f"{dataset.card.name}: streams that were timed by different clocks cannot be read together ({found}); "
            "prepare a folder with synchronised streams, see the dataset's options in `gaitbench info`"
        )


class _Groups(NamedTuple):
    """Sequences sorted by label."""

    order: Tensor
    """``[N]`` int64: sequences, those of one label side by side."""
    first: Tensor
    """``[L]`` int64: where a label begins."""
    num_each: Tensor
    """``[L]`` int64: its sequences."""

    @classmethod
    def of(cls, labels: Tensor) -> "_Groups":
        order = labels.argsort(stable=True)
        num_each = torch.from_numpy(np.unique(labels.numpy(), return_counts=True)[1])
        return cls(order, num_each.cumsum(0) - num_each, num_each)

    def draw(self, num_labels: int, num_each: int, rng: torch.Generator) -> Tensor:
        """``[P * K]`` int64 sequences: P labels, then K of each, without replacement where there are enough."""
        total = len(self.num_each)
        if total >= num_labels:
            label = torch.rand(total, generator=rng).argsort()[:num_labels]
        else:
            label = torch.randint(total, (num_labels,), generator=rng)
        within = _distinct(self.num_each[label], num_each, rng)
        return self.order[self.first[label][:, None] + within].reshape(-1)


def _deal(available: int, wanted: int, rng: torch.Generator) -> Tensor:
    """``[wanted]`` int64 numbers below ``available`` in random order, none twice before all have come."""
    rounds = [torch.rand(available, generator=rng).argsort() for _ in range(-(-wanted // available))]
    return torch.cat(rounds)[:wanted]


def _distinct(available: Tensor, wanted: int, rng: torch.Generator, own: Tensor | None = None) -> Tensor:
    """``[B, wanted]`` int64 numbers below ``available`` in random order, distinct where there are enough.

    With ``own`` ``[B]`` that many of each row count, and only they need be distinct.
    """
    widest = max(int(available.max()), wanted)
    key = torch.rand((len(available), widest), generator=rng)
    is_real = torch.arange(widest) < available[:, None]
    distinct = key.masked_fill_(~is_real, -1.0).topk(wanted, dim=1).indices
    share = torch.rand((len(available), wanted), generator=rng, dtype=torch.float64)
    too_few = available < (wanted if own is None else own)
    if own is not None:
        # Behind what counts, a row may have run out of numbers.
        distinct = torch.minimum(distinct, available[:, None] - 1)
    if not bool(too_few.any()):
        return distinct
    return torch.where(too_few[:, None], (share * available[:, None]).long(), distinct)


def _unordered(num_frames: Tensor, length: Tensor, rng: torch.Generator) -> Tensor:
    """``[B, T]`` random frames in random order, of which the first ``length`` ``[B]`` of each row count."""
    return _distinct(num_frames, int(length.max()), rng, length)


def _ordered(num_frames: Tensor, length: Tensor, skip: int, rng: torch.Generator) -> Tensor:
    """``[B, T]`` rising frames of a random window, which goes on at the beginning where a sequence is short.

    The first ``length`` ``[B]`` of each row count.
    """
    longest, window = int(length.max()), length + skip
    repeats = torch.where(num_frames < window, -(-window // num_frames), 1)
    room = num_frames * repeats - window + 1
    start = (torch.rand(len(num_frames), generator=rng, dtype=torch.float64) * room).long()
    key = torch.rand((len(num_frames), longest + skip), generator=rng)
    key = key.masked_fill_(torch.arange(longest + skip) >= window[:, None], -1.0)
    kept = key.topk(longest, dim=1).indices
    # What does not count sorts behind what does.
    kept = kept.masked_fill_(torch.arange(longest) >= length[:, None], longest + skip).sort(dim=1).values
    return (start[:, None] + kept) % num_frames[:, None]


def _group_by_length(length: Tensor, frames_per_batch: int, padding: str) -> Iterator[Tensor]:
    """Rows of each batch, the longest first, so that a lack of memory shows at once."""
    order = length.argsort(descending=True, stable=True)
    start = 0
    while start < len(order):
        longest = int(length[order[start]])
        end = start + max(1, frames_per_batch // longest)
        rows = order[start:end]
        if padding == "refused":
            rows = rows[length[rows] == longest]
        yield rows
        start += len(rows)


def _point_draw(num_frames: int, num_points: int, num_clips: int, source: "torch.Generator | list[int]") -> Tensor:
    """``[B, T, M]`` numbers in [0, 1)."""
    if isinstance(source, torch.Generator):
        return torch.rand((num_clips, num_frames, num_points), generator=source)
    draws = [torch.rand((num_frames, num_points), generator=torch.Generator().manual_seed(key)) for key in source]
    return torch.stack(draws)


class _Raster(NamedTuple):
    """How decoded rasters become a model's input."""

    repeat: int
    """Times that rows and columns are repeated."""
    height: int
    """Rows of the input."""
    width: int
    """Columns before the cut."""
    columns: int
    """Columns of the input."""
    scale: float
    """What values are divided by."""
    is_jet: bool
    """True where one channel becomes three false-colour ones."""
    is_uncoloured: bool
    """True where three false-colour channels become one again."""
    mode: Literal["bilinear", "nearest"]
    """How moved pixels are read: the indices of class maps must not be blended."""

    @classmethod
    def of(
        cls,
        spec: InputSpec,
        modality: Modality | None,
        height: int,
        width: int,
        where: str = "",
        *,
        info: StreamInfo | None = None,
    ) -> "_Raster":
        """Fit frames of one size to a model; raises :class:`DatasetError` when they do not fit."""
        wanted = spec.height_px or height
        repeat, rest = divmod(wanted, height)
        columns = spec.width_px or width * max(repeat, 1)
        problem = ""
        if rest or repeat < 1:
            problem = "rows can only be repeated a whole number of times"
        elif repeat > 1 and modality is not None and modality.codec != "bits" and modality.unit != "class":
            problem = "only masks and class maps are enlarged"
        elif width * repeat < columns:
            problem = "columns are missing"
        elif (width * repeat - columns) % 2:
            problem = "the columns that are too many are odd in number and cannot be cut equally at both sides"
        if problem:
            raise DatasetError(
                f"{where or spec.modality} is {height}x{width} pixels, the model reads {wanted}x{columns}: {problem}; "
                "prepare the dataset in another size, or configure the model for this one"
            )
        is_jet = spec.colour_map == "jet"
        is_coloured = info is not None and info.colour_map == "jet"
        scale_to_unit = 1.0 if info is None else info.scale_to_unit
        return cls(
            repeat=repeat,
            height=wanted,
            width=width * repeat,
            columns=columns,
            scale=spec.scale * (255.0 if is_jet else 1.0 / scale_to_unit),
            is_jet=is_jet and not is_coloured,
            is_uncoloured=is_coloured and spec.channels == 1,
            mode="nearest" if modality is not None and modality.unit == "class" else "bilinear",
        )

    def plan(self, draw: AugmentDraw, device: torch.device) -> AugmentPlan:
        """Work out what was drawn for images of this size."""
        return AugmentPlan.of(draw, self.height, self.width, self.columns, device)

    def fill(self, frames: Tensor, out: Tensor, plan: AugmentPlan | None) -> None:
        """``[B, T, C, H, W]`` decoded to ``[B, C, T, H', W']`` float32, changed as planned before the cut."""
        if self.is_jet:
            frames = _jet_table(frames.device)[frames[:, :, 0].long()].permute(0, 1, 4, 2, 3)
        elif self.is_uncoloured:
            from gaitbench.projection import unjet

            frames = unjet(frames.movedim(2, -1))[:, :, None]
        if frames.dtype == torch.uint16:
            frames = frames.float()
        x = frames.transpose(1, 2)
        if self.repeat > 1:
            x = x.repeat_interleave(self.repeat, dim=3).repeat_interleave(self.repeat, dim=4)
        if plan is None:
            cut = (self.width - self.columns) // 2
            out.copy_(x[..., cut : cut + self.columns])
        else:
            plan.apply(x, out, self.mode)
        if self.scale != 1:
            out.div_(self.scale)


def _jet_table(device: torch.device) -> Tensor:
    """``[256, 3]`` uint8 colours; 0, which is no return, stays black."""
    from gaitbench.projection import jet

    value = torch.arange(256, dtype=torch.uint8)
    return jet(value).to(device)
