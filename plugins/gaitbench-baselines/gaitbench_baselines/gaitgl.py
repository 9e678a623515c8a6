"""GaitGL: 3D convolutions over the whole body and over each strip, side by side.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, Self

import torch
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers import SeparateBNNeck, SeparateFC, clear_padding, init_parameters, padding_mask, set_pool
from gaitbench.losses import batch_all_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, clips_of, labels_of, logits_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.gait_challenge import on_gait_challenge
from gaitbench_baselines.raster_input import silhouettes
from gaitbench_baselines.strips import strip_wise

__all__ = ["PRESETS", "PUBLISHED_KEYS", "GaitGL", "GaitGLConfig", "GeneralisedMean", "GlobalLocalConv", "at_least"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"conv3d\.0\.conv3d\.weight": "stem.0.weight",
        r"conv3d\.2\.conv3d\.weight": "stem.1.weight",
        r"LTA\.0\.conv3d\.weight": "shorten.weight",
        r"GLConv[AB](\d)\.global_conv3d\.conv3d\.weight": r"stages.\1.0.whole.weight",
        r"GLConv[AB](\d)\.local_conv3d\.conv3d\.weight": r"stages.\1.0.strip.weight",
        r"GLConv[AB](\d)\.(\d)\.global_conv3d\.conv3d\.weight": r"stages.\1.\2.whole.weight",
        r"GLConv[AB](\d)\.(\d)\.local_conv3d\.conv3d\.weight": r"stages.\1.\2.strip.weight",
        r"HPP\.p": "pool.exponent",
        r"Head0\.fc_bin": "head.weight",
        r"Bn\.(.+)": r"norm.\1",
        r"Head1\.fc_bin": "classifier.weight",
        r"BNNecks\.fc_bin": "neck.weight",
        r"BNNecks\.bn1d\.(.+)": r"neck.norm.\1",
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`. The numbers of the published stages count from
0; a doubled stage has one more number, and so has the second convolution of a doubled stem."""

_MIN_FRAMES = 3
"""Frames that the shortening convolution needs."""


class GaitGLConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of GaitGL; the defaults are those published for CASIA-B."""

    in_channels: PositiveInt = 1
    """Channels of the input; masks have one."""
    height_px: PositiveInt = 64
    """Rows of the silhouettes."""
    width_px: PositiveInt = 44
    """Columns of the silhouettes."""
    channels: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (32, 64, 128, 128)
    """Width of the stem and of the three stages; (32, 64, 128, 256) for OU-MVLP and GREW."""
    convs_per_stage: Literal[1, 2] = 1
    """Convolutions of the stem and of each stage; 2 for OU-MVLP and GREW."""
    num_strips: PositiveInt = 8
    """Strips of the local branch; 2 for OU-MVLP and GREW."""
    bins: tuple[PositiveInt, ...] = (64,)
    """Strips per scale that are pooled; P is their sum. With the published one, every row of a 64-row map."""
    embedding_width: PositiveInt | None = None
    """D; None takes the width of the last stage, as published."""
    neck: Literal["norm", "bnneck"] = "norm"
    """``norm``: one batch norm over the D features, shared by all parts, then plain logits; the embedding is what the
    batch norm gives. ``bnneck`` (published for GREW): cosines behind a neck; the embedding is what goes into it."""
    num_classes: PositiveInt = 74
    """Training subjects; the runner sets it."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet loss."""
    logit_scale: PositiveFloat = 1.0
    """Factor on the logits in the cross-entropy."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target spread over all classes; 0.1 for OU-MVLP and GREW."""

    @model_validator(mode="after")
    def _maps_must_fit(self) -> Self:
        height, width = self.height_px // 2, self.width_px // 2
        if self.height_px % self.num_strips or height % self.num_strips:
            raise ValueError(
                f"num_strips {self.num_strips} does not divide the maps of {self.height_px} and {height} rows"
            )
        if not self.bins or any(2 * height * width % count for count in self.bins):
            raise ValueError(f"bins {self.bins} do not divide the last map, {2 * height}x{width}")
        return self


class GaitGL(GaitModel):
    """Global and local 3D convolutions, the maximum over time, one embedding per row of the last map.

    The order of frames matters. A convolution of stride 3 over time takes every three frames together (the rest of
    one or two is left out), so a clip of one or two frames is first played again until it has three or four, as
    published. Losses: ``triplet``, ``cross_entropy``.

    Source:
        Lin et al., "Gait Recognition via Effective Global-Local Feature Representation and Local Temporal
        Aggregation", ICCV 2021 (arXiv 2011.01461), sections on the global and local convolution layer, local temporal
        aggregation and the GeM pooling layer.

    Example:
        >>> model = GaitGL(GaitGLConfig(channels=(4, 4, 8, 8))).eval()
        >>> clips = torch.rand(2, 1, 9, 64, 44).round()
        >>> output = model(GaitBatch({"silhouette": clips}, {"silhouette": torch.tensor([9, 2])}))
        >>> output.embedding.shape, output.logits.shape
        (torch.Size([2, 8, 64]), torch.Size([2, 74, 64]))
    """

    padding = "masked"
    beyond_features = ("norm", "classifier", "neck")
    config: GaitGLConfig

    def __init__(self, config: GaitGLConfig) -> None:
        super().__init__(config)
        stem, *widths = config.channels
        self.stem = nn.ModuleList(
            nn.Conv3d(width, stem, 3, padding=1, bias=False)
            for width in (config.in_channels, stem)[: config.convs_per_stage]
        )
        self.shorten = nn.Conv3d(stem, stem, (3, 1, 1), stride=(3, 1, 1), bias=False)
        self.stages = nn.ModuleList()
        before = stem
        for stage, width in enumerate(widths):
            convs = nn.ModuleList()
            for index in range(config.convs_per_stage):
                is_last = stage == len(widths) - 1 and index == config.convs_per_stage - 1
                convs.append(GlobalLocalConv(before, width, num_strips=config.num_strips, is_stacked=is_last))
                before = width
            self.stages.append(convs)
        self.pool = GeneralisedMean(config.bins)
        num_parts, embedding_width = sum(config.bins), config.embedding_width or before
        self.head = SeparateFC(num_parts, before, embedding_width)
        if config.neck == "bnneck":
            self.neck = SeparateBNNeck(num_parts, embedding_width, config.num_classes)
        else:
            self.norm = nn.BatchNorm1d(embedding_width)
            self.classifier = SeparateFC(num_parts, embedding_width, config.num_classes)
        init_parameters(self)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes in [0, 1]."""
        return silhouettes(self.config)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed silhouettes ``[N, C, T, H, W]`` as ``[N, D, P]``; padding changes nothing."""
        embedding = self.part_features(batch)
        if self.config.neck == "bnneck":
            return GaitOutput(embedding=embedding, logits=self.neck(embedding).logits)
        embedding = self.norm(embedding)
        return GaitOutput(embedding=embedding, logits=self.classifier(embedding))

    def part_features(self, batch: GaitBatch) -> Tensor:
        """The strips ``[N, D, P]`` behind the head, before the batch norm or the neck."""
        clips, num_frames = at_least(_MIN_FRAMES, *clips_of(batch, "silhouette"))
        x = clips.contiguous(memory_format=torch.channels_last_3d)
        is_padding = padding_mask(num_frames, x.shape[2])
        for conv in self.stem:
            x = functional.leaky_relu(conv(clear_padding(x, is_padding)), inplace=True)
        x, num_frames = functional.leaky_relu(self.shorten(x), inplace=True), num_frames // 3
        is_padding = padding_mask(num_frames, x.shape[2])
        for index, stage in enumerate(self.stages):
            if index == 1:
                x = functional.max_pool3d(x, (1, 2, 2))
            for conv in stage:
                x = conv(clear_padding(x, is_padding))
        return self.head(self.pool(set_pool(x, num_frames)))

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Batch-all triplet loss on the embeddings, cross-entropy on the logits."""
        config, labels = self.config, labels_of(batch)
        return {
            "triplet": batch_all_triplet(output.embedding, labels, margin=config.margin),
            "cross_entropy": part_cross_entropy(
                logits_of(output), labels, scale=config.logit_scale, label_smoothing=config.label_smoothing
            ),
        }


class GlobalLocalConv(nn.Module):
    """Two 3x3x3 convolutions with leaky ReLU, one over the whole map and one over each horizontal strip alone.

    Args:
        in_channels: Channels that come in.
        out_channels: Channels that go out.
        num_strips: Strips of the local one, all with the same kernel.
        is_stacked: Put the two results above each other, the whole map first, instead of adding them.

    Source:
        Lin et al., "GaitGL", ICCV 2021, section on the global and local convolution layer (GLConvA adds, GLConvB
        stacks).

    Example:
        >>> GlobalLocalConv(2, 4, num_strips=8, is_stacked=True)(torch.zeros(1, 2, 5, 32, 22)).shape
        torch.Size([1, 4, 5, 64, 22])
    """

    def __init__(self, in_channels: int, out_channels: int, *, num_strips: int, is_stacked: bool = False) -> None:
        super().__init__()
        self.whole = nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False)
        self.strip = nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False)
        self.num_strips = num_strips
        self.is_stacked = is_stacked

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, T, H, W]`` to ``[N, C', T, H, W]``, or ``[N, C', T, 2*H, W]`` when stacked.

        Raises:
            ShapeError: The strips do not divide H.
        """
        whole = functional.leaky_relu(self.whole(x), inplace=True)
        strips = functional.leaky_relu(strip_wise(self.strip, x, self.num_strips), inplace=True)
        return torch.cat([whole, strips], dim=3) if self.is_stacked else whole + strips


class GeneralisedMean(nn.Module):
    """Describe each horizontal strip by ``mean(max(x, 1e-6) ** e) ** (1 / e)``, the exponent e being learnt.

    Computed in the number format of the exponent, also under autocast.

    Args:
        bins: Strips per scale, cut as in :func:`gaitbench.layers.horizontal_pyramid_pool`.
        exponent: e at the start; 1 is the mean, infinity the maximum.

    Source:
        Radenovic et al., "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2018 (GeM); per strip: Lin
        et al., "GaitGL", ICCV 2021.

    Example:
        >>> x = torch.tensor([3.0, 4.0, 0.0, 0.0]).reshape(1, 1, 2, 2)
        >>> GeneralisedMean([2], exponent=2.0)(x).square().detach()
        tensor([[[1.2500e+01, 1.0000e-12]]])
    """

    def __init__(self, bins: Sequence[int], *, exponent: float = 6.5) -> None:
        super().__init__()
        self.bins = tuple(bins)
        self.exponent = nn.Parameter(torch.full((1,), exponent))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to ``[N, C, P]``.

        Raises:
            ShapeError: A number of bins does not divide H * W.
        """
        height, width = x.shape[-2:]
        if any(height * width % count for count in self.bins):
            raise ShapeError(f"maps {list(x.shape)} cannot be cut into {list(self.bins)} equal strips; choose others")
        with torch.autocast(x.device.type, enabled=False):
            pixels = x.to(self.exponent.dtype).flatten(2).clamp_min(1e-6)
            strips = [pixels.unflatten(2, (count, -1)) for count in self.bins]  # [N, C, b, H*W/b] each
            return torch.cat([self._mean(strip) for strip in strips], dim=2)

    def _mean(self, x: Tensor) -> Tensor:
        # Powers of 1e-6 vanish in float32 and those of large values are infinite; shares of the largest one are not.
        # The result does not depend on that factor, so it needs no gradient.
        largest = x.detach().amax(dim=3, keepdim=True)
        mean = (x / largest).pow(self.exponent).mean(dim=3).pow(1 / self.exponent)
        return mean * largest.squeeze(3)


def at_least(length: int, clips: Tensor, num_frames: Tensor) -> tuple[Tensor, Tensor]:
    """Play clips of too few frames again, whole, until they have enough.

    Args:
        length: Frames that are enough.
        clips: ``[N, C, T, H, W]``, padded at the end of T.
        num_frames: ``[N]`` int64, real frames of each.

    Returns:
        Clips ``[N, C, T', H, W]`` and their real frames ``[N]``: unchanged where there were enough, else the smallest
        multiple that is. Frames beyond hold rubbish.

    Example:
        >>> clips = torch.tensor([[7.0, 8.0, 9.0], [1.0, 2.0, 0.0]]).reshape(2, 1, 3, 1, 1)
        >>> longer, num_frames = at_least(3, clips, torch.tensor([3, 2]))
        >>> longer[1].flatten(), num_frames
        (tensor([1., 2., 1., 2.]), tensor([3, 4]))
    """
    enough = torch.where(num_frames < length, num_frames * -(-length // num_frames), num_frames)
    # A clip of one frame less than enough is doubled; what has that many frames anyway is not made longer.
    total = max(clips.shape[2], 2 * (length - 1))
    if clips.shape[2] == total and not clips.is_cuda and bool((num_frames >= length).all()):
        return clips, num_frames
    frame = torch.arange(total, device=clips.device) % num_frames[:, None]  # [N, T']
    index = frame[:, None, :, None, None].expand(-1, clips.shape[1], -1, *clips.shape[3:])
    return clips.gather(2, index), enough


def _paper(iterations: int, milestones: tuple[int, ...], subjects: int, sequences: int, weight_decay: float) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=ClipConfig(
            subjects_per_batch=subjects, sequences_per_subject=sequences, num_frames=30, order="ordered", skip=0
        ),
        optimizer=OptimizerConfig(name="adam", lr=1e-4, weight_decay=weight_decay),
        schedule=ScheduleConfig(name="multistep", milestones=milestones),
    )
    return Recipe(stages=(stage,), precision="bf16-mixed", test_frames_per_batch=512)


_WIDE: dict[str, object] = {
    "channels": (32, 64, 128, 256),
    "convs_per_stage": 2,
    "num_strips": 2,
    "label_smoothing": 0.1,
}
_CASIA_B = _paper(80_000, (70_000,), 8, 8, 5e-4)
_GREW = _paper(250_000, (150_000, 200_000), 32, 4, 0.0)

PRESETS: dict[str, Preset] = {
    "paper": Preset(recipe=_CASIA_B, note="sizes and recipe as published for CASIA-B"),
    "paper@casia-b": Preset(recipe=_CASIA_B),
    "paper@ou-mvlp": Preset(config=_WIDE, recipe=_paper(210_000, (150_000, 200_000), 32, 8, 0.0)),
    "paper@grew": Preset(config=_WIDE, recipe=_GREW),
    "paper-bnneck": Preset(
        config={**_WIDE, "neck": "bnneck"}, recipe=_GREW, note="variant with BNNeck, as published for GREW"
    ),
    "quick": Preset(
        config={"channels": (8, 16, 32, 32)},
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=450,
                    clips=ClipConfig(
                        subjects_per_batch=8, sequences_per_subject=4, num_frames=9, order="ordered", skip=0
                    ),
                    augment=AugmentConfig(flip=0.5, shift=0.3, rescale=0.3),
                    optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=1e-3),
                    schedule=ScheduleConfig(name="onecycle", warmup=45),
                ),
            ),
            precision="bf16-mixed",
            test_frames_per_batch=512,
        ),
        note="quarter width, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
PRESETS["quick@usf-gait17"] = on_gait_challenge(PRESETS["quick"], num_frames=9)
