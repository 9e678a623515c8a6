"""LidarGait++: a point network per frame, pooled in slices of metric height.

Axes: N batch, T frames, M points, F real frames of a batch, S centres, D embedding width, P parts.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self

import torch
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from gaitbench.errors import ModelError, ShapeError
from gaitbench.layers import PointMLP, SeparateBNNeck, SeparateFC, SetAbstraction, farthest_points
from gaitbench.losses import batch_all_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of, logits_of
from gaitbench.recipe import ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench.seeding import derive_seed
from gaitbench_lidar.point_augment import PointAugmentConfig, augment_points
from gaitbench_lidar.prepared_points import prepare_points
from gaitbench_lidar.pyramid_point_pool import (
    pyramid_point_pool,
    slices_by_count,
    slices_by_extent,
    slices_by_height,
)

__all__ = ["PRESETS", "PUBLISHED_KEYS", "LidarGaitPP", "LidarGaitPPConfig"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"sa4\.mlp_convs\.(\d)\.(.+)": r"whole.\1.0.\2",
        r"sa4\.mlp_bns\.(\d)\.(.+)": r"whole.\1.1.\2",
        r"sa(\d)\.mlp_convs\.(\d)\.(.+)": r"levels.@\1.mlp.\2.0.\3",
        r"sa(\d)\.mlp_bns\.(\d)\.(.+)": r"levels.@\1.mlp.\2.1.\3",
        r"FCs\.fc_bin": "head.weight",
        r"BNNecks\.fc_bin": "neck.weight",
        r"BNNecks\.bn1d\.(.+)": r"neck.norm.\1",
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""

_CHUNK = 1 << 24
"""Numbers in the widest tensor of one pass in evaluation: 64 MiB in float32."""


class LidarGaitPPConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of LidarGait++; the defaults are those published for SUSTech1K."""

    num_points: PositiveInt = 1024
    """Points drawn per frame, with replacement; 256 on FreeGait."""
    channels: PositiveInt = 16
    """C, the unit of all widths: the levels end with 4C, 8C and 16C; 32 on FreeGait."""
    num_centres: tuple[PositiveInt, PositiveInt, PositiveInt] = (512, 256, 128)
    """Points left after each level; (256, 192, 128) on FreeGait."""
    num_neighbours: PositiveInt = 32
    """Points around each centre; 16 on FreeGait."""
    radii: tuple[PositiveFloat, PositiveFloat, PositiveFloat] = (0.1, 0.2, 0.4)
    """What each level divides offsets by, in shares of a frame's largest distance from its mean."""
    is_offset_scaled: bool = True
    """False leaves offsets undivided."""
    is_size_aware: bool = True
    """Whether the network sees the height in metres as a fourth value of each point."""
    pooling: Literal["height", "extent", "count"] = "height"
    """Slices of equal metric height in ``height_range``, of equal height between each frame's lowest and highest
    centre (by z), or of equally many centres (by z)."""
    bins: tuple[PositiveInt, ...] = (1, 2, 4, 8, 16)
    """Slices per scale; P is their sum."""
    height_range: tuple[float, float] = (0.0, 2.0)
    """Metres above the lowest point that ``height`` cuts into slices; what lies outside goes to the end slices."""
    point_width: PositiveInt = 256
    """Channels of a centre before pooling."""
    embedding_width: PositiveInt = 256
    """D."""
    num_classes: PositiveInt = 250
    """Training subjects; the runner sets it."""
    augment: PointAugmentConfig = PointAugmentConfig()
    """What happens to points in training; the recipe's augmentations are for rasters."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet loss."""
    logit_scale: PositiveFloat = 31.0
    """Factor on the cosines in the cross-entropy."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target spread over all classes."""

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        first, second, third = self.num_centres
        if not first >= second >= third:
            raise ValueError(f"num_centres must not rise from level to level, got {self.num_centres}")
        if not self.height_range[0] < self.height_range[1]:
            raise ValueError(f"height_range must rise, got {self.height_range}")
        if not self.bins:
            raise ValueError("bins must name a scale at least")
        return self


class LidarGaitPP(GaitModel):
    """Set abstraction three times, a network per centre, pyramid point pooling, the maximum over frames.

    Exactly invariant to the order of frames and to their repetition, and to the order of a frame's points but for the
    first one, where the choice of centres starts (the published code starts anywhere, at each level). A frame without
    points changes nothing. Losses: ``triplet``, ``cross_entropy``.

    Source:
        Shen et al., "LidarGait++: Learning Local Features and Size Awareness from LiDAR Point Clouds for 3D Gait
        Recognition", CVPR 2025.

    Example:
        >>> model = LidarGaitPP(LidarGaitPPConfig(channels=2, num_centres=(24, 16, 8), num_neighbours=4)).eval()
        >>> batch = GaitBatch({"lidar": torch.rand(2, 5, 64, 3)}, {"lidar": torch.tensor([5, 3])})
        >>> output = model(batch)
        >>> output.embedding.shape, output.logits.shape
        (torch.Size([2, 256, 31]), torch.Size([2, 250, 31]))
    """

    padding = "masked"
    config: LidarGaitPPConfig

    def __init__(self, config: LidarGaitPPConfig) -> None:
        super().__init__(config)
        values, width, num_parts = 4 if config.is_size_aware else 3, config.channels, sum(config.bins)
        levels = []
        for level, radius in enumerate(config.radii):
            wide = width * 2 ** (level + 1)
            levels.append(
                SetAbstraction(
                    values,
                    wide if level else 0,
                    (wide, wide, 2 * wide),
                    num_neighbours=config.num_neighbours,
                    radius=radius if config.is_offset_scaled else 1.0,
                )
            )
        self.levels = nn.ModuleList(levels)
        self.whole = PointMLP(values + 16 * width, (16 * width, 16 * width, config.point_width))
        self.head = SeparateFC(num_parts, config.point_width, config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)

    @classmethod
    def without_mirroring(cls, config: BaseModel) -> BaseModel:
        """Without clips whose left and right are mirrored."""
        assert isinstance(config, LidarGaitPPConfig)
        return config.model_copy(update={"augment": config.augment.model_copy(update={"flip": 0.0})})

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Points in metres, z up."""
        return (InputSpec(modality="lidar", channels=3, num_points=self.config.num_points),)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed clouds ``[N, T, M, 3]`` in metres as ``[N, D, P]``; padding changes nothing."""
        if "lidar" not in batch.inputs:
            raise ModelError(f"the batch holds {', '.join(batch.inputs) or 'nothing'}, but the model reads lidar")
        raw, num_frames = batch.inputs["lidar"], batch.num_frames["lidar"]
        if raw.dim() != 4 or raw.shape[3] != 3:
            raise ShapeError(f"lidar clips must be [N, T, M, 3], got {list(raw.shape)}")
        points = prepare_points(raw)
        if self.training:
            generator = torch.Generator().manual_seed(derive_seed("lidargait++", "points", batch.step))
            points = augment_points(points, self.config.augment, generator)
        return self.embed_prepared(points, num_frames, is_empty=(raw == 0).all(dim=3).all(dim=2))

    def embed_prepared(
        self, points: Tensor, num_frames: Tensor | None = None, is_empty: Tensor | None = None
    ) -> GaitOutput:
        """Embed points that :func:`gaitbench_lidar.prepared_points.prepare_points` or others have prepared.

        Args:
            points: ``[N, T, M, 4]``: x, y, z as the network takes them, and the height in metres.
            num_frames: ``[N]`` int64, real frames of each clip; None when all are real.
            is_empty: ``[N, T]`` bool, frames without points, which are left out; None when there are none.

        Returns:
            Embeddings ``[N, D, P]`` and logits. A clip without any point embeds as zero.

        Raises:
            ShapeError: ``points`` is not ``[N, T, M, 4]``.
        """
        if points.dim() != 4 or points.shape[3] != 4:
            raise ShapeError(f"prepared points must be [N, T, M, 4], got {list(points.shape)}")
        num_clips, length = points.shape[:2]
        is_real = torch.ones(num_clips, length, dtype=torch.bool, device=points.device)
        if num_frames is not None:
            is_real = torch.arange(length, device=points.device) < num_frames.to(points.device)[:, None]
        if is_empty is not None:
            is_real = is_real & ~is_empty
        (row,) = is_real.flatten().nonzero(as_tuple=True)  # [F]
        parts = points.new_zeros(num_clips * length, self.config.point_width, sum(self.config.bins))
        if len(row):
            frames = points.flatten(0, 1).index_select(0, row)
            # In training the batch norms must see all frames at once.
            at_once = len(frames) if self.training else max(1, _CHUNK // self._numbers_per_frame())
            seen = torch.cat([self._describe(part) for part in torch.split(frames, at_once)])
            parts = parts.to(seen.dtype).index_copy(0, row, seen)
        # A part is never negative, so the zeros of frames that are left out do not show in the maximum.
        pooled = parts.view(num_clips, length, *parts.shape[1:]).amax(dim=1)
        embedding = self.head(pooled)
        return GaitOutput(embedding=embedding, logits=self.neck(embedding).logits)

    def embed_raw(self, x: Tensor) -> Tensor:
        """Embed prepared points; see :meth:`embed_prepared`.

        Args:
            x: ``[N, T, M, 4]``.

        Returns:
            ``[N, D, P]``.
        """
        return self.embed_prepared(x).embedding

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Batch-all triplet loss on the embeddings, cross-entropy on the neck's cosines."""
        config = self.config
        labels = labels_of(batch)
        return {
            "triplet": batch_all_triplet(output.embedding, labels, margin=config.margin),
            "cross_entropy": part_cross_entropy(
                logits_of(output), labels, scale=config.logit_scale, label_smoothing=config.label_smoothing
            ),
        }

    def _describe(self, points: Tensor) -> Tensor:
        """Map frames ``[F, M, 4]`` to parts ``[F, C, P]``."""
        config = self.config
        place = points if config.is_size_aware else points[..., :3]
        order = farthest_points(place, config.num_centres[0])  # [F, S]
        features = None
        for level, count in zip(self.levels, config.num_centres, strict=True):
            place, features = level(place, features, order[:, :count])
            points = points.gather(1, order[:, :count, None].expand(-1, -1, 4))
            # Centres come in the order in which they were chosen, and the next level's are the first of them.
            order = torch.arange(order.shape[1], device=order.device).expand_as(order)
        assert features is not None
        features = self.whole(torch.cat([place, features], dim=2))  # [F, S, C]
        if config.pooling == "height":
            fine = slices_by_height(points[..., 3], config.bins, config.height_range)
        else:
            slices = slices_by_extent if config.pooling == "extent" else slices_by_count
            fine = slices(points[..., 2], config.bins)
        return pyramid_point_pool(features, fine, config.bins)

    def _numbers_per_frame(self) -> int:
        config = self.config
        around = [(4 << level) * config.channels * count for level, count in enumerate(config.num_centres)]
        return max(around) * config.num_neighbours


def _paper(iterations: int) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=ClipConfig(subjects_per_batch=32, sequences_per_subject=4, num_frames=10),
        optimizer=OptimizerConfig(name="sgd", lr=0.1),
        schedule=ScheduleConfig(name="cosine", final_factor=1e-3),
        loss_weights={"triplet": 1.0, "cross_entropy": 0.1},
    )
    return Recipe(stages=(stage,), precision="32-true")


def _quick(iterations: int) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=4),
        optimizer=OptimizerConfig(name="adamw", lr=6e-3, weight_decay=5e-3),
        schedule=ScheduleConfig(name="onecycle", warmup=iterations // 10),
    )
    return Recipe(stages=(stage,), precision="bf16-mixed")


_SUSTECH1K = Preset(
    config={"augment": {"scale": 1.0, "flip": 0.15}},
    recipe=_paper(40_000),
    note="sizes and recipe as published for SUSTech1K; ranges of augmentations are PointNet++'s",
)

PRESETS: dict[str, Preset] = {
    "paper": _SUSTECH1K,
    "paper@sustech1k": _SUSTECH1K,
    "paper@freegait": Preset(
        config={
            "num_points": 256,
            "channels": 32,
            "num_centres": (256, 192, 128),
            "num_neighbours": 16,
            "augment": {"scale": 0.2, "flip": 0.1},
        },
        recipe=_paper(80_000),
        note="sizes and recipe as published for FreeGait; ranges of augmentations are PointNet++'s",
    ),
    "quick": Preset(
        config={
            "num_points": 96,
            "channels": 8,
            "num_centres": (48, 24, 16),
            "num_neighbours": 8,
            "bins": (1, 2, 4, 8),
            "point_width": 128,
            "embedding_width": 128,
            "augment": {"flip": 0.5},
        },
        recipe=_quick(900),
        note="96 points, a tenth of the centres, half width, 15 slices, cross-entropy at full weight, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
