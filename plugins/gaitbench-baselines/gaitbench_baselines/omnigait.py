"""OmniGait: any sensor's pictures, or those of two, in one space by one network.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts, A auxiliary streams.
"""

from collections.abc import Mapping
from typing import Literal, Self

import torch
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from gaitbench.dated import Dated
from gaitbench.layers import ResidualBlock2d, SeparateBNNeck, SeparateFC, init_parameters
from gaitbench.losses import batch_all_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of, logits_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.mean_direction import mean_direction
from gaitbench_baselines.one_space import SensorConfig, outputs_of_all, parts_of
from gaitbench_baselines.sensor_streams import num_channels, pictures_of, present, stream_specs

__all__ = ["PRESETS", "GatedFusion", "OmniGait", "OmniGaitConfig"]

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


class OmniGaitConfig(Dated, SensorConfig, frozen=True):
    """Sizes of OmniGait; the defaults are the published ones, for two streams instead of nine."""

    later_fields = frozenset({"fusion", "fused_sets"})

    modalities: tuple[str, ...] = ("silhouette", "lidar-depth")
    """Streams. Each is embedded alone; the first one is also fused with each of the others."""
    token_widths: tuple[PositiveInt, PositiveInt] = (64, 128)
    """Channels behind the convolution and the residual block that each stream has for itself."""
    channels: tuple[PositiveInt, ...] = (128, 256, 512)
    """Width of the stages that all streams share."""
    strides: tuple[PositiveInt, ...] = (2, 2, 1)
    """Stride of these stages."""
    num_blocks: tuple[PositiveInt, ...] = (1, 1, 1)
    """Residual blocks of these stages."""
    gate_width: PositiveInt = 64
    """Hidden width of the fusion's gate, not published; 64 and 128 both give the 9.96 M parameters that are."""
    has_image_statistics: bool = True
    """Pictures of three channels are normalised by the statistics of ImageNet, as published."""
    fusion: Literal["gate", "mean"] = "gate"
    """How a test sequence of several streams becomes one embedding. ``gate``, as published: maps of the first stream
    and of another are fused in the network, which was trained on it. ``mean``: the mean direction of the embeddings of
    each alone, what any model of several streams could do; the training is the same. Streams without the first one have
    no gate, and always take the mean."""
    fused_sets: tuple[tuple[str, ...], ...] | None = None
    """Which streams the cross-modal task asks about as one, beside each alone; None for the published pairs, the first
    stream with each other one. Empty asks about none, as for test data whose streams cannot be read together."""

    @model_validator(mode="after")
    def _check_sets(self) -> Self:
        """Refuse sets that are none, or of other streams."""
        sets = self.fused_sets or ()
        for names in sets:
            if len(set(names)) < max(2, len(names)) or not set(names) <= set(self.modalities):
                raise ValueError(
                    f"fused_sets: each must be two or more different ones of {', '.join(self.modalities)}, got "
                    f"{', '.join(names) or 'none'}"
                )
        if len({frozenset(names) for names in sets}) < len(sets):
            raise ValueError(f"fused_sets names a set twice: {'; '.join(', '.join(names) for names in sets)}")
        return self


class GatedFusion(nn.Module):
    """Fuse two maps: a convolution of both, plus both, weighed by a gate that sees the picture as a whole.

    Args:
        channels: C of either map.
        hidden: Width of the gate.

    Source:
        OmniGait: MMGait, CVPR 2026, the fusion of a silhouette with an auxiliary stream, as its public code has it (a
        sigmoid before the softmax, which the text does not mention).

    Example:
        >>> x = torch.rand(3, 8, 16, 11)
        >>> GatedFusion(8, 4)(x, x).shape
        torch.Size([3, 8, 16, 11])
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.merge = nn.Conv2d(2 * channels, channels, 1)
        self.gate = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, 2))
        init_parameters(self)

    def forward(self, anchor: Tensor, auxiliary: Tensor) -> Tensor:
        """Fuse two ``[M, C, H, W]`` into one."""
        merged: Tensor = self.merge(torch.cat([anchor, auxiliary], dim=1))
        weight = torch.sigmoid(self.gate(merged.mean(dim=(2, 3)))).softmax(dim=1)  # [M, 2]
        first, second = weight[:, :, None, None, None].unbind(dim=1)  # [M, 1, 1, 1] each
        return merged + first * anchor + second * auxiliary


class OmniGait(GaitModel):
    """A small entrance per stream, then one encoder, one head and one neck for every stream and every fusion.

    Losses, over the embeddings of all streams and fusions as one batch: ``triplet`` and ``cross_entropy``. Pairs across
    sensors are among those of that batch.

    Source:
        MMGait, CVPR 2026 (arXiv 2604.15979): OmniGait, sizes and recipe of its public code.

    Example:
        >>> config = OmniGaitConfig(token_widths=(4, 4), channels=(4, 8, 8), embedding_width=32, num_classes=5)
        >>> model = OmniGait(config).eval()
        >>> one = {"silhouette": torch.rand(2, 1, 5, 64, 64).round()}
        >>> model(GaitBatch(one, {"silhouette": torch.tensor([5, 3])})).embedding.shape
        torch.Size([2, 32, 16])
    """

    padding = "masked"
    config: OmniGaitConfig

    def __init__(self, config: OmniGaitConfig) -> None:
        super().__init__(config)
        num_parts = sum(config.bins)
        self.entrances = nn.ModuleDict({name: _entrance(name, config) for name in config.modalities})
        self.fusion = GatedFusion(config.token_widths[1], config.gate_width)
        self.shared = _stages(config)
        self.head = SeparateFC(num_parts, config.channels[-1], config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Pictures in [0, 1], range images in false colour unless configured otherwise."""
        return stream_specs(self.config)

    @property
    def fusions(self) -> tuple[tuple[str, ...], ...]:
        """The first stream with each other one, unless configured otherwise."""
        first, *others = self.config.modalities
        asked = self.config.fused_sets
        return tuple((first, other) for other in others) if asked is None else asked

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed the streams of the batch, ``[N, C, T, H, W]`` each, and their fusions, as ``[N, D, P]``.

        With one stream the output is that stream's, and no other stream has a part in it. With several, ``by_modality``
        holds each one alone, and the embedding is that of the first stream fused with the other; of several fusions
        their mean. Without the first stream, or where the configuration says so, it is their mean direction. Padding
        changes nothing outside training.
        """
        config = self.config
        names = present(batch, config.modalities)
        tokens, lengths = {}, {}
        for name in names:
            x, lengths[name] = pictures_of(batch, name, config)
            tokens[name] = self.entrances[name](_normalised(x) if config.has_image_statistics else x)
        kinds = [(tokens[name], lengths[name]) for name in names]
        if names[0] == config.modalities[0] and (self.training or config.fusion == "gate"):
            anchor = kinds[0]
            kinds += [self._fused(anchor, other) for other in kinds[1:]]
        # One pass, so that batch norms see all streams and fusions.
        features = self.shared(torch.cat([x for x, _ in kinds])).split([len(x) for x, _ in kinds])
        embeddings = [
            parts_of(rows, num_frames, self.head, config.bins)
            for rows, (_, num_frames) in zip(features, kinds, strict=True)
        ]
        logits = self.neck(torch.cat(embeddings)).logits.chunk(len(embeddings))
        outputs = [GaitOutput(embedding=e, logits=rows) for e, rows in zip(embeddings, logits, strict=True)]
        if len(names) == 1:
            return outputs[0]
        fused = outputs[len(names) :]
        is_gated = bool(fused) and config.fusion == "gate"
        return GaitOutput(
            embedding=torch.stack([one.embedding for one in fused]).mean(dim=0)
            if is_gated
            else mean_direction(embeddings[: len(names)]),
            by_modality=dict(zip(names, outputs, strict=False)),
            extras={
                "fused": torch.stack([one.embedding for one in fused], dim=1),
                "fused_logits": torch.stack([logits_of(one) for one in fused], dim=1),
            }
            if fused
            else {},
        )

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Triplets and cross-entropy over all streams and fusions.

        Raises:
            ModelError: The batch lacked a stream.
        """
        config, labels = self.config, labels_of(batch)
        alone = outputs_of_all(output, config, "omnigait")
        embeddings = [one.embedding for one in alone] + list(output.extras["fused"].unbind(dim=1))
        logits = [logits_of(one) for one in alone] + list(output.extras["fused_logits"].unbind(dim=1))
        again = labels.repeat(len(embeddings))
        return {
            "triplet": batch_all_triplet(torch.cat(embeddings), again, margin=config.margin),
            "cross_entropy": part_cross_entropy(
                torch.cat(logits), again, scale=config.logit_scale, label_smoothing=config.label_smoothing
            ),
        }

    def _fused(self, anchor: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Maps ``[N*T, C, H, W]`` of both, frame by frame; the shorter of two clips is repeated."""
        wanted = torch.maximum(anchor[1], other[1])
        longest = max(len(frames) // len(num_frames) for frames, num_frames in (anchor, other))
        return self.fusion(_repeated(*anchor, wanted, longest), _repeated(*other, wanted, longest)), wanted


def _repeated(frames: Tensor, num_frames: Tensor, wanted: Tensor, longest: int) -> Tensor:
    """Go on from the first frame of each clip until it has as many real frames as wanted, of ``longest`` in all."""
    length = len(frames) // len(num_frames)
    # Asking whether lengths agree stalls a GPU for longer than picking frames takes.
    if not frames.is_cuda and length == longest and torch.equal(num_frames, wanted):
        return frames
    frame = torch.arange(longest, device=num_frames.device) % num_frames[:, None]  # [N, T]
    row = frame + length * torch.arange(len(num_frames), device=num_frames.device)[:, None]
    return frames.index_select(0, row.flatten().to(frames.device))


def _normalised(frames: Tensor) -> Tensor:
    if frames.shape[1] != len(_MEAN):
        return frames
    mean, std = (frames.new_tensor(values)[:, None, None] for values in (_MEAN, _STD))
    return (frames - mean) / std


def _entrance(modality: str, config: OmniGaitConfig) -> nn.Sequential:
    first, second = config.token_widths
    entrance = nn.Sequential(
        nn.Conv2d(num_channels(modality, config.encoding), first, 3, stride=config.stem_stride, padding=1, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        ResidualBlock2d(first, second),
    )
    init_parameters(entrance)
    return entrance


def _stages(config: OmniGaitConfig) -> nn.Sequential:
    stages, width = nn.Sequential(), config.token_widths[1]
    for out_width, stride, count in zip(config.channels, config.strides, config.num_blocks, strict=True):
        blocks = [ResidualBlock2d(width, out_width, stride=stride)]
        blocks += [ResidualBlock2d(out_width, out_width) for _ in range(count - 1)]
        stages.append(nn.Sequential(*blocks))
        width = out_width
    init_parameters(stages)
    return stages


_PAPER = Recipe(
    stages=(
        Stage(
            iterations=60_000,
            clips=ClipConfig(subjects_per_batch=8, sequences_per_subject=4, num_frames=16),
            optimizer=OptimizerConfig(name="sgd", lr=0.1),
            schedule=ScheduleConfig(name="multistep", milestones=(20_000, 40_000, 50_000)),
        ),
    ),
    precision="bf16-mixed",
)

PRESETS: dict[str, Preset] = {
    "paper": Preset(recipe=_PAPER, note="two of the nine published streams"),
    "paper@mmgait": Preset(
        config={"modalities": ("silhouette", "lidar-depth", "skeleton-map", "rgb"), "num_classes": 200},
        recipe=_PAPER,
        note="four of the nine published streams; modalities names the others",
    ),
    "quick": Preset(
        config={
            "width_px": 44,
            "token_widths": (16, 16),
            "channels": (32, 64, 128),
            "stem_stride": 2,
            "gate_width": 8,
            "embedding_width": 128,
            "bins": (8, 4, 2, 1),
        },
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=420,
                    clips=ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=4),
                    augment=AugmentConfig(flip=0.5, shift=0.3, rescale=0.3),
                    optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
                    schedule=ScheduleConfig(name="onecycle", warmup=42),
                ),
            ),
            precision="bf16-mixed",
        ),
        note="quarter width, first convolutions with stride 2, 8 to 1 strips, 44 columns, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
