"""SwinGait: the first stages of DeepGaitV2-P3D, then a transformer with shifted windows.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self

import torch
from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from torch import Tensor
from torch.nn import functional

from gaitbench.layers import Stages, Stem, frame_wise
from gaitbench.model import GaitBatch, GaitOutput, InputSpec, clips_of
from gaitbench.recipe import ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.deepgaitv2 import DATA_AUGMENTATION, quick_recipe, stage_keys
from gaitbench_baselines.gait_challenge import on_gait_challenge
from gaitbench_baselines.part_network import HEAD_KEYS, PartNetwork, PartNetworkConfig
from gaitbench_baselines.raster_input import silhouettes
from gaitbench_baselines.video_swin import PUBLISHED_KEYS as SWIN_KEYS
from gaitbench_baselines.video_swin import VideoSwin

__all__ = ["PRESETS", "PUBLISHED_KEYS", "SwinGait", "SwinGaitConfig"]

PUBLISHED_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"layer0\.forward_block\.(.+)": r"stem.\1",
        **stage_keys(r"layer(\d)", r"stages.@\1"),
        **{rf"transformer\.{key}": f"transformer.{ours}" for key, ours in SWIN_KEYS.items()},
        **HEAD_KEYS,
    }
)
"""Published key to ours, for :func:`gaitbench.layers.rename_published`. Stem, convolutional stages, head and neck are
called as in DeepGaitV2-P3D, whose trained weights the published training starts from."""


class SwinGaitConfig(PartNetworkConfig, frozen=True):
    """Sizes of SwinGait; the defaults are those published for Gait3D and GREW (1442)."""

    in_channels: PositiveInt = 1
    """Channels of the silhouettes."""
    channels: tuple[PositiveInt, PositiveInt] = (64, 128)
    """Width of the two convolutional stages; the stem is as wide as the first."""
    strides: tuple[PositiveInt, PositiveInt] = (1, 2)
    """Stride of the two convolutional stages in space."""
    num_blocks: tuple[PositiveInt, PositiveInt] = (1, 4)
    """Blocks of the two convolutional stages; (1, 1) on CCPG and SUSTech1K (1122)."""
    stem_stride: Literal[1, 2] = 1
    """Stride of the first convolution: 1 as published; 2 quarters the cost of training."""
    map_px: tuple[PositiveInt, PositiveInt] = (30, 20)
    """Rows and columns that the convolutions' maps are resized to."""
    patch_px: tuple[PositiveInt, PositiveInt] = (2, 2)
    """Rows and columns of a patch."""
    widths: tuple[PositiveInt, ...] = (256, 512)
    """Width of the transformer's stages."""
    depths: tuple[PositiveInt, ...] = (4, 2)
    """Blocks of the transformer's stages; (2, 2) on CCPG and SUSTech1K."""
    heads: tuple[PositiveInt, ...] = (16, 32)
    """Attention heads of the transformer's stages."""
    window: tuple[PositiveInt, PositiveInt, PositiveInt] = (3, 3, 5)
    """Frames, rows and columns of a window."""
    mlp_ratio: PositiveFloat = 4.0
    """Hidden width of a block's perceptron over its width."""
    drop_path: float = Field(0.1, ge=0, lt=1)
    """Probability that training skips the last block for a clip; it rises linearly from 0 at the first."""
    bins: tuple[PositiveInt, ...] = (15,)
    """Strips per scale; P is their sum."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        """Refuse stages that do not agree."""
        if not len(self.widths) == len(self.depths) == len(self.heads) > 0:
            raise ValueError(
                f"widths {self.widths}, depths {self.depths} and heads {self.heads} must name the same stages"
            )
        if any(width % heads for width, heads in zip(self.widths, self.heads, strict=True)):
            raise ValueError(f"heads {self.heads} must divide widths {self.widths}")
        if any(size % patch for size, patch in zip(self.map_px, self.patch_px, strict=True)):
            raise ValueError(f"patches of {self.patch_px} do not fill maps of {self.map_px}")
        return self


class SwinGait(PartNetwork):
    """Convolutions for the fine, attention within shifted windows for the coarse; 15 strips; a neck.

    Windows are cut from the first frame on and wrap round at the end, so how long a clip is matters to all its frames:
    padding is refused. A sequence of any length is embedded as it is. As published, head and neck have parameters for
    one part more than there are: the last one is fed a copy of the last part, and neither its embedding nor its logits
    are used. Losses: ``triplet``, ``cross_entropy``.

    Source:
        Fan et al., "Exploring Deep Models for Practical Gait Recognition", arXiv 2303.03301, section "SwinGait".

    Example:
        >>> sizes = {"channels": (4, 8), "num_blocks": (1, 1), "widths": (16, 32), "depths": (2, 2), "heads": (2, 4)}
        >>> model = SwinGait(SwinGaitConfig(**sizes, embedding_width=32, num_classes=5)).eval()
        >>> clips = torch.rand(2, 1, 5, 64, 44).round()
        >>> output = model(GaitBatch({"silhouette": clips}, {"silhouette": torch.tensor([5, 5])}))
        >>> output.embedding.shape, output.logits.shape
        (torch.Size([2, 32, 15]), torch.Size([2, 5, 15]))
    """

    padding = "refused"
    config: SwinGaitConfig

    def __init__(self, config: SwinGaitConfig) -> None:
        super().__init__(config)
        self.stem = Stem(config.in_channels, config.channels[0], stride=config.stem_stride)
        self.stages = Stages(config, ("2d", "p3d"))
        self.transformer = VideoSwin(
            config.channels[-1],
            widths=config.widths,
            depths=config.depths,
            heads=config.heads,
            window=config.window,
            patch_px=config.patch_px,
            mlp_ratio=config.mlp_ratio,
            drop_path=config.drop_path,
        )
        self.build_head(config.widths[-1], num_parts=sum(config.bins) + 1)
        self.transformer.reset_parameters()

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes in [0, 1]."""
        return silhouettes(self.config)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed silhouettes ``[N, C, T, H, W]`` of equal length as ``[N, D, P]``."""
        x, num_frames = clips_of(batch, "silhouette")
        x = self.transformer(frame_wise(self._resize, self.stages(self.stem(x))))
        return self.recognise(x, num_frames)

    def embed_parts(self, parts: Tensor) -> GaitOutput:
        """Map part features ``[N, C, P]`` to embeddings ``[N, D, P]`` and logits ``[N, classes, P]``."""
        output = super().embed_parts(torch.cat([parts, parts[:, :, -1:].detach()], dim=2))
        assert output.logits is not None
        return GaitOutput(
            embedding=output.embedding[:, :, :-1],
            logits=output.logits[:, :, :-1],
            extras={name: value[:, :, :-1] for name, value in output.extras.items()},
        )

    def _resize(self, frames: Tensor) -> Tensor:
        return functional.interpolate(frames, size=self.config.map_px, mode="bilinear", align_corners=True)


def _paper(iterations: int, annealed: int, subjects: int, sequences: int) -> Recipe:
    """Anneal the learning rate by steps of 1000, then go on with the smallest one."""
    slow = ("stem.*", "stages.*", "head.*", "neck.*")
    stage = Stage(
        iterations=iterations,
        clips=ClipConfig(
            subjects_per_batch=subjects, sequences_per_subject=sequences, num_frames=30, order="ordered", skip=4
        ),
        augment=DATA_AUGMENTATION,
        optimizer=OptimizerConfig(
            name="adamw",
            lr=3e-4,
            weight_decay=0.02,
            lr_scale=dict.fromkeys(slow, 0.1),
            no_decay=("transformer.*norm*", "transformer.patch.*", "transformer.*.position_bias"),
        ),
        schedule=ScheduleConfig(name="cosine", cosine_steps=annealed, update_every=1000, min_lr=1e-6),
    )
    return Recipe(stages=(stage,), precision="bf16-mixed")


_SHALLOW: dict[str, object] = {"num_blocks": (1, 1), "depths": (2, 2)}
_NOTE = (
    "the published training starts from a DeepGaitV2-P3D trained on the same dataset; name its weights as "
    "recipe.start_from, otherwise it starts from scratch"
)
_GAIT3D = Preset(recipe=_paper(80_000, 60_000, 32, 4), note=_NOTE)

PRESETS: dict[str, Preset] = {
    "paper": _GAIT3D,
    "paper@gait3d": _GAIT3D,
    "paper@grew": Preset(recipe=_paper(200_000, 150_000, 32, 4), note=_NOTE),
    "paper@ccpg": Preset(config=_SHALLOW, recipe=_paper(80_000, 60_000, 8, 16), note=_NOTE),
    "paper@sustech1k": Preset(config=_SHALLOW, recipe=_paper(60_000, 50_000, 8, 8), note=_NOTE),
    "quick": Preset(
        config={
            "channels": (16, 32),
            "num_blocks": (1, 1),
            "stem_stride": 2,
            "map_px": (16, 10),
            "widths": (64, 128),
            "depths": (2, 2),
            "heads": (2, 4),
            "mlp_ratio": 2.0,
            "embedding_width": 128,
            "bins": (8, 4, 2, 1),
        },
        recipe=quick_recipe(300),
        note="quarter width, first convolution with stride 2, 8 rows of 5 patches, 8 to 1 strips, short training",
    ),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
PRESETS["quick@usf-gait17"] = on_gait_challenge(PRESETS["quick"])
