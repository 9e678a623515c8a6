"""A plugin for tests: a model that borrows an image tower and a text encoder, on the moving squares in colour."""

from collections.abc import Mapping

import torch
from pydantic import BaseModel, PositiveInt
from torch import Tensor, nn

from gaitbench.hookspecs import hookimpl
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec
from gaitbench.recipe import ClipConfig, OptimizerConfig, Preset, Recipe, Stage
from gaitbench.specs import DatasetSpec, ModelSpec, ProtocolSpec
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.image import ImageTower
from gaitbench.towers.text import text_encoder

api_version = 1

VIT = "vit_small_patch14_dinov2.lvd142m"
SMALL = TowerConfig(architecture=VIT, overrides={"embed_dim": 16, "depth": 1, "num_heads": 2, "img_size": 28})


class TowerNetConfig(BaseModel, frozen=True, extra="forbid"):
    num_classes: PositiveInt = 1
    image: TowerConfig = SMALL
    text: TowerConfig = TowerConfig(architecture="hashing", overrides={"width": 16})
    is_frozen: bool = True


class TowerNet(GaitModel):
    """Frames through the image tower, weighed by their likeness to a sentence, averaged."""

    padding = "refused"
    config: TowerNetConfig

    def __init__(self, config: TowerNetConfig) -> None:
        super().__init__(config)
        self.tower = ImageTower(config.image, image_size=(28, 28), is_frozen=config.is_frozen)
        self.text = text_encoder(config.text)
        self.embed = nn.Linear(16, 8)
        self.head = nn.Linear(8, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (InputSpec(modality="rgb", height_px=64, width_px=64, channels=3, scale=255.0),)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        clips = batch.inputs["rgb"]
        sentence = self.text.encode(["a square moves"]).to(clips.device)
        frames = self.tower(clips.transpose(1, 2).flatten(0, 1)).pooled.unflatten(0, (len(clips), -1))
        embedding = self.embed((frames * (1 + torch.sigmoid(frames @ sentence.T))).mean(dim=1))
        return GaitOutput(embedding=embedding[..., None], logits=self.head(embedding)[..., None])

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        return {"softmax": nn.functional.cross_entropy(output.logits[..., 0], batch.labels)}


PRESETS = {
    "quick": Preset(
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=2,
                    clips=ClipConfig(subjects_per_batch=3, sequences_per_subject=2, num_frames=2),
                    optimizer=OptimizerConfig(lr=0.01),
                ),
            )
        ),
        note="two steps",
    ),
    "paper": Preset(
        config={"image": {**SMALL.model_dump(), "weights": "pretrained", "revision": "0" * 40, "overrides": {}}}
    ),
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
            name="tower-net",
            title="A little network behind borrowed towers",
            target="tower_plugin:TowerNet",
            config="tower_plugin:TowerNetConfig",
            presets="tower_plugin:PRESETS",
            inputs=("rgb",),
            tasks=("identity",),
            fidelity="paper",
        )
    )
