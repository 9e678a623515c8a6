"""SMPLGait: silhouette features straightened by what a body model says of shape and viewpoint.

Axes: N batch, C channels, T frames, M = N * T frames of a batch, H rows, W columns, S = max(H, W) side of a square
map, D embedding width, P parts.
"""

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self

import torch
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.errors import ModelError, ShapeError
from gaitbench.layers import (
    SeparateBNNeck,
    SeparateFC,
    horizontal_pyramid_pool,
    init_parameters,
    set_pool,
    unfold_frames,
)
from gaitbench.losses import batch_all_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of, logits_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.raster_input import raster_input

__all__ = ["PRESETS", "PUBLISHED_KEYS", "SMPLGait", "SMPLGaitConfig", "SMPLTransform", "square_maps"]

SMPL_VALUES = 85
"""Camera (3), pose (72) and shape (10) of one frame."""

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"Backbone\.forward_block\.feature\.0\.conv\.weight": "trunk.0.weight",
        r"Backbone\.forward_block\.feature\.2\.conv\.weight": "trunk.1.weight",
        r"Backbone\.forward_block\.feature\.5\.conv\.weight": "trunk.2.weight",
        r"Backbone\.forward_block\.feature\.7\.conv\.weight": "trunk.3.weight",
        r"Backbone\.forward_block\.feature\.10\.conv\.weight": "trunk.4.weight",
        r"Backbone\.forward_block\.feature\.12\.conv\.weight": "trunk.5.weight",
        r"fc([123])\.(weight|bias)": r"transform.linears.@\1.\2",
        r"bn([123])\.(.+)": r"transform.norms.@\1.\2",
        r"FCs\.fc_bin": "head.weight",
        r"BNNecks\.fc_bin": "neck.weight",
        r"BNNecks\.bn1d\.(.+)": r"neck.norm.\1",
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`."""


class SMPLGaitConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of SMPLGait; the defaults are those published for Gait3D."""

    modality: Literal["silhouette", "parsing"] = "silhouette"
    """The raster it reads: masks, or maps of part labels as on Gait3D-Parsing."""
    has_smpl: bool = True
    """False leaves the SMPL branch out: the published baseline of plain convolutions."""
    height_px: PositiveInt = 64
    """Rows of the raster."""
    width_px: PositiveInt = 44
    """Columns of the raster."""
    channels: tuple[PositiveInt, PositiveInt, PositiveInt] = (64, 128, 256)
    """Width of the three pairs of convolutions."""
    stem_stride: Literal[1, 2] = 1
    """Stride of the first convolution: 1 as published; with 2 it takes the place of the first pooling."""
    smpl_widths: tuple[PositiveInt, PositiveInt] = (128, 256)
    """Width of the first two layers of the SMPL branch; the third is as wide as a square map has pixels."""
    smpl_dropout: float = Field(0.2, ge=0, lt=1)
    """Dropout in the last two layers of the SMPL branch."""
    square_padding: Literal["end", "both"] = "end"
    """Where maps get their zero columns (or rows) to become square: behind the last one, as published, or half at each
    side."""
    embedding_width: PositiveInt = 256
    """D."""
    bins: tuple[PositiveInt, ...] = (16, 8, 4, 2, 1)
    """Strips per scale; P is their sum."""
    num_classes: PositiveInt = 3000
    """Training subjects; the runner sets it."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet loss."""
    logit_scale: PositiveFloat = 16.0
    """Factor on the cosines in the cross-entropy."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target spread over all classes."""

    @model_validator(mode="after")
    def _maps_have_pixels(self) -> Self:
        if self.height_px % 4 or self.width_px % 4:
            raise ValueError(f"{self.height_px}x{self.width_px} pixels cannot be halved twice; use multiples of 4")
        return self


class SMPLGait(GaitModel):
    """Plain convolutions per frame; the columns of each map are mixed by a matrix made of the frame's SMPL values.

    Exactly invariant to the order of frames and to their repetition. Losses: ``triplet``, ``cross_entropy`` (weighed
    0.1 in the published recipe).

    Source:
        Zheng et al., "Gait Recognition in the Wild with Dense 3D Representations and A Benchmark", CVPR 2022,
        sections "Silhouette Learning Network" and "3D Spatial Transformation Network".

    Example:
        >>> import torch
        >>> model = SMPLGait(SMPLGaitConfig(channels=(4, 8, 16), embedding_width=32, num_classes=5)).eval()
        >>> inputs = {"silhouette": torch.rand(2, 1, 5, 64, 44).round(), "smpl": torch.randn(2, 85, 5, 1)}
        >>> output = model(GaitBatch(inputs, dict.fromkeys(inputs, torch.tensor([5, 3]))))
        >>> output.embedding.shape, output.logits.shape
        (torch.Size([2, 32, 31]), torch.Size([2, 5, 31]))
    """

    padding = "masked"
    config: SMPLGaitConfig

    def __init__(self, config: SMPLGaitConfig) -> None:
        super().__init__(config)
        self.trunk = _PlainTrunk(config.channels, config.stem_stride)
        if config.has_smpl:
            side = max(config.height_px, config.width_px) // 4
            self.transform = SMPLTransform(side, config.smpl_widths, config.smpl_dropout)
        num_parts = sum(config.bins)
        self.head = SeparateFC(num_parts, config.channels[-1], config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)
        init_parameters(self)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Masks or part labels, and 85 SMPL values per frame."""
        config = self.config
        raster = InputSpec(modality=config.modality, height_px=config.height_px, width_px=config.width_px)
        return (
            (raster, InputSpec(modality="smpl", channels=SMPL_VALUES, num_joints=1)) if config.has_smpl else (raster,)
        )

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed rasters ``[N, 1, T, H, W]`` and SMPL values ``[N, 85, T, 1]`` as ``[N, D, P]``.

        Padding changes nothing outside training.

        Raises:
            ModelError: The batch lacks a modality.
            ShapeError: The SMPL values are not those of the raster's frames.
        """
        x, num_frames = raster_input(batch, self.config.modality)
        x = self.trunk(x)
        if self.config.has_smpl:
            x = self.transform(square_maps(x, self.config.square_padding), _smpl_rows(batch, len(x)))
        maps = set_pool(unfold_frames(x, len(x) // len(num_frames)), num_frames)  # [N, C, H, W]
        embedding = self.head(horizontal_pyramid_pool(maps, self.config.bins))
        return GaitOutput(embedding=embedding, logits=self.neck(embedding).logits)

    def embed_raw(self, raster: Tensor, smpl: Tensor | None = None) -> Tensor:
        """Embed rasters and body models of the same frames.

        Args:
            raster: ``[N, T, H, W]``.
            smpl: ``[N, T, 85]``: camera, pose and shape; None where :attr:`SMPLGaitConfig.has_smpl` is False.

        Returns:
            ``[N, D, P]``.

        Raises:
            ShapeError: The axes are others.
        """
        expected = (*raster.shape[:2], SMPL_VALUES) if self.config.has_smpl else None
        if raster.dim() != 4 or (None if smpl is None else smpl.shape) != expected:
            raise ShapeError(
                f"SMPLGait reads [N, T, H, W] and, unless has_smpl is False, [N, T, {SMPL_VALUES}], got "
                f"{list(raster.shape)} and {None if smpl is None else list(smpl.shape)}"
            )
        inputs: dict[str, Tensor] = {self.config.modality: raster[:, None]}
        if smpl is not None:
            inputs["smpl"] = smpl.transpose(1, 2)[..., None]
        num_frames = torch.full((len(raster),), raster.shape[1], device=raster.device)
        output: GaitOutput = self(GaitBatch(inputs, dict.fromkeys(inputs, num_frames)))
        return output.embedding

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Batch-all triplet loss on the embeddings, cross-entropy on the neck's cosines."""
        config, labels = self.config, labels_of(batch)
        return {
            "triplet": batch_all_triplet(output.embedding, labels, margin=config.margin),
            "cross_entropy": part_cross_entropy(
                logits_of(output), labels, scale=config.logit_scale, label_smoothing=config.label_smoothing
            ),
        }


class SMPLTransform(nn.Module):
    """A square matrix of every frame, from its SMPL values, that mixes the columns of the frame's map.

    Args:
        side: S.
        widths: Width of the first two layers.
        dropout: Of the last two layers, in training.

    Source:
        Zheng et al., CVPR 2022, section "3D Spatial Transformation Network" (the matrix is learned as a difference
        from the identity).

    Example:
        >>> import torch
        >>> transform = SMPLTransform(side=4).eval()
        >>> transform(torch.rand(3, 8, 4, 4), torch.randn(3, 85)).shape
        torch.Size([3, 8, 4, 4])
    """

    def __init__(self, side: int, widths: tuple[int, int] = (128, 256), dropout: float = 0.2) -> None:
        super().__init__()
        self.side = side
        sizes = (SMPL_VALUES, *widths, side * side)
        self.linears = nn.ModuleList([nn.Linear(a, b) for a, b in itertools.pairwise(sizes)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(size) for size in sizes[1:]])
        self.dropouts = nn.ModuleList([nn.Identity(), nn.Dropout(dropout), nn.Dropout(dropout)])

    def forward(self, x: Tensor, smpl: Tensor) -> Tensor:
        """Multiply maps ``[M, C, S, S]`` on the right by what ``[M, 85]`` values give; same shape."""
        for linear, norm, dropout in zip(self.linears, self.norms, self.dropouts, strict=True):
            smpl = functional.relu(norm(dropout(linear(smpl))))
        matrix = smpl.view(-1, 1, self.side, self.side)
        # The identity apart: in a rounded sum with the matrix, small entries would be lost beside its ones.
        return x + x @ matrix


def square_maps(x: Tensor, padding: Literal["end", "both"] = "end") -> Tensor:
    """Add zero columns (or rows) until maps are square.

    Args:
        x: ``[M, C, H, W]``.
        padding: ``end``: behind the last column. ``both``: half at each side, an odd one at the end.

    Returns:
        ``[M, C, S, S]`` with S = max(H, W).

    Example:
        >>> import torch
        >>> square_maps(torch.ones(1, 1, 3, 1), "both")[0, 0, 0]
        tensor([0., 1., 0.])
    """
    height, width = x.shape[2:]
    missing = (max(0, height - width), max(0, width - height))  # columns, rows
    before = [count // 2 if padding == "both" else 0 for count in missing]
    columns, rows = ((first, count - first) for first, count in zip(before, missing, strict=True))
    return functional.pad(x, (*columns, *rows))


class _PlainTrunk(nn.ModuleList):
    """Three pairs of convolutions with leaky ReLU, pooling between: ``[M, 1, H, W]`` to ``[M, C, H/4, W/4]``."""

    def __init__(self, channels: tuple[int, int, int], stem_stride: int) -> None:
        first, second, third = channels
        sizes = ((1, first), (first, first), (first, second), (second, second), (second, third), (third, third))
        convs = [nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in sizes]
        convs[0] = nn.Conv2d(1, first, 5, stride=stem_stride, padding=2, bias=False)
        super().__init__(convs)
        self.pooled = {3} if stem_stride == 2 else {1, 3}

    def forward(self, x: Tensor) -> Tensor:
        for index, conv in enumerate(self):
            x = conv(x)
            # A rising activation commutes with the maximum, and a quarter of the pixels is quicker to activate.
            x = functional.leaky_relu(functional.max_pool2d(x, 2) if index in self.pooled else x)
        return x


def _smpl_rows(batch: GaitBatch, num_rows: int) -> Tensor:
    """``[M, 85]`` SMPL values of all frames, in the order of the folded rasters."""
    if "smpl" not in batch.inputs:
        raise ModelError(
            f"the batch holds {', '.join(batch.inputs)}, but the model reads smpl too; "
            "configure has_smpl=False for data without body models"
        )
    smpl = batch.inputs["smpl"]
    if smpl.dim() != 4 or smpl.shape[1] != SMPL_VALUES or smpl.shape[3] != 1:
        raise ShapeError(f"smpl must be [N, {SMPL_VALUES}, T, 1], got {list(smpl.shape)}")
    rows = smpl[..., 0].transpose(1, 2).flatten(0, 1)
    if len(rows) != num_rows:
        raise ShapeError(f"{len(rows)} frames of smpl do not fit {num_rows} frames of the raster")
    return rows


def _stage(iterations: int, clips: ClipConfig, optimizer: OptimizerConfig, schedule: ScheduleConfig) -> Stage:
    return Stage(
        iterations=iterations,
        clips=clips,
        optimizer=optimizer,
        schedule=schedule,
        loss_weights={"triplet": 1.0, "cross_entropy": 0.1},
    )


PRESETS: dict[str, Preset] = {
    "paper": Preset(
        recipe=Recipe(
            stages=(
                _stage(
                    60_000,
                    ClipConfig(subjects_per_batch=32, sequences_per_subject=4, num_frames=30),
                    OptimizerConfig(name="sgd", lr=0.1),
                    ScheduleConfig(name="multistep", milestones=(20_000, 40_000, 50_000)),
                ),
            ),
            precision="bf16-mixed",
        ),
        note="sizes and recipe as published for Gait3D",
    ),
    "quick": Preset(
        config={
            "has_smpl": False,
            "channels": (16, 32, 64),
            "stem_stride": 2,
            "embedding_width": 128,
        },
        recipe=Recipe(
            stages=(
                _stage(
                    800,
                    ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=8),
                    OptimizerConfig(name="adamw", lr=2e-3, weight_decay=1e-3),
                    ScheduleConfig(name="onecycle", warmup=80),
                ).model_copy(update={"augment": AugmentConfig(flip=0.5, shift=0.3, rescale=0.3)}),
            ),
            precision="bf16-mixed",
        ),
        note="without the SMPL branch, quarter width, first convolution with stride 2, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset. The embedded walkers have no body models."""
PRESETS["paper@gait3d"] = PRESETS["paper"]
