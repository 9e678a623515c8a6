"""A plugin for tests: a model with a frozen random convolution before what it trains, on the moving squares in colour.

Some of its settings are faults: a tower that trains along, and a key that does not tell which weights the tower has.
"""

import os
import signal
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import BaseModel, PositiveInt
from torch import Tensor, nn

from gaitbench.frozen import FrozenFeatures
from gaitbench.hookspecs import hookimpl
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, Stage
from gaitbench.specs import DatasetSpec, ModelSpec, ProtocolSpec

api_version = 1


class FrozenConfig(BaseModel, frozen=True, extra="forbid"):
    num_classes: PositiveInt = 1
    tower_seed: int = 0
    dtype: Literal["float32", "float16"] = "float32"
    is_frozen: bool = True
    has_kept_features: bool = True
    key_tells_seed: bool = True
    scale: float = 1.0


class ConvFeatures(FrozenFeatures):
    """Features of a convolution with weights drawn by a seed."""

    num_computed: ClassVar[int] = 0
    """Frames computed in this process."""

    def __init__(self, tower: nn.Module, config: FrozenConfig) -> None:
        key = {"tower": "conv", "seed": config.tower_seed if config.key_tells_seed else "?", "scale": config.scale}
        super().__init__(modality="rgb", name="rgb:features", shape=(6, 8, 8), key=key, dtype=config.dtype)
        self._tower = tower
        self._scale = config.scale

    def compute(self, frames: Tensor, *beside: Tensor) -> Tensor:
        ConvFeatures.num_computed += len(frames)
        if os.environ.get("FROZEN_KILL") and ConvFeatures.num_computed > int(os.environ["FROZEN_KILL"]):
            os.kill(os.getpid(), signal.SIGKILL)
        return self._scale * torch.tanh(self._tower(frames))


class FrozenNet(GaitModel):
    """Frozen features, a convolution, the mean over real frames, a linear part."""

    padding = "masked"
    config: FrozenConfig

    def __init__(self, config: FrozenConfig) -> None:
        super().__init__(config)
        rng = torch.Generator().manual_seed(config.tower_seed)
        self.tower = nn.Conv2d(3, 6, 8, stride=8)
        with torch.no_grad():
            for parameter in self.tower.parameters():
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=rng))
        self.tower.requires_grad_(not config.is_frozen)
        self.conv = nn.Conv2d(6, 4, 3, padding=1)
        self.drop = nn.Dropout(0.1)
        self.embed = nn.Linear(4 * 64, 8)
        self.head = nn.Linear(8, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (InputSpec(modality="rgb", height_px=64, width_px=64, channels=3, scale=255.0),)

    @property
    def frozen_features(self) -> FrozenFeatures | None:
        return ConvFeatures(self.tower, self.config) if self.config.has_kept_features else None

    def forward(self, batch: GaitBatch) -> GaitOutput:
        features = ConvFeatures(self.tower, self.config).of(batch) / self.config.scale
        n, _, t, _, _ = features.shape
        y = torch.relu(self.conv(features.transpose(1, 2).flatten(0, 1))).flatten(1).unflatten(0, (n, t))
        is_real = torch.arange(t, device=y.device) < batch.num_frames["rgb"][:, None]
        mean = (y * is_real[..., None]).sum(dim=1) / is_real.sum(dim=1, keepdim=True)
        embedding = self.embed(self.drop(mean))
        return GaitOutput(embedding=embedding[..., None], logits=self.head(embedding)[..., None])

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        trained = sum(p.square().sum() for p in self.tower.parameters())
        loss = nn.functional.cross_entropy(output.logits[..., 0], batch.labels)
        return {"softmax": loss} if self.config.is_frozen else {"softmax": loss, "tower": trained}


_CLIPS = ClipConfig(subjects_per_batch=3, sequences_per_subject=2, num_frames=4, max_frames=6)
RECIPE = Recipe(
    stages=(
        Stage(
            name="flipped",
            iterations=6,
            clips=_CLIPS,
            augment=AugmentConfig(flip=0.5),
            optimizer=OptimizerConfig(name="adam", lr=0.01),
        ),
        Stage(name="upright", iterations=3, clips=_CLIPS, optimizer=OptimizerConfig(lr=0.01)),
    ),
    checkpoint_every=2,
)
TURNED = Recipe(stages=(Stage(name="turned", clips=_CLIPS, augment=AugmentConfig(rotate=0.2, erase=0.1)),))
PRESETS = {
    "quick": Preset(recipe=RECIPE),
    "turned": Preset(recipe=TURNED),
    "upright": Preset(recipe=Recipe(stages=RECIPE.stages[1:])),
}


@hookimpl
def gaitbench_register(registry) -> None:
    registry.add(
        DatasetSpec(
            name="tiny",
            title="Moving squares",
            target="tiny_dataset:TinyBuilder",
            options="tiny_dataset:TinyOptions",
            modalities=("silhouette", "rgb"),
            protocols=("tiny",),
            needs_source=False,
        )
    )
    registry.add(ProtocolSpec(name="tiny", title="Tiny", target="tiny_plugin:PROTOCOL", dataset="tiny"))
    registry.add(
        ModelSpec(
            name="frozen-net",
            title="A little network behind a frozen convolution",
            target="frozen_plugin:FrozenNet",
            config="frozen_plugin:FrozenConfig",
            presets="frozen_plugin:PRESETS",
            inputs=("rgb",),
            tasks=("identity",),
            fidelity="paper",
        )
    )
