"""A model that passes every check, for tests to break in one place each."""

from collections.abc import Mapping

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of
from gaitbench.recipe import Preset, Recipe, Stage
from gaitbench.registry import Registry
from gaitbench.specs import ModelSpec


class Config(BaseModel, frozen=True):
    width: int = 6
    num_classes: int = 3


class Good(GaitModel):
    """Mean of the real frames through one layer."""

    padding = "masked"

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.layer = nn.Linear(16 * 11, config.width)
        self.head = nn.Linear(config.width, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (InputSpec(modality="silhouette", height_px=16, width_px=11),)

    def mean(self, batch: GaitBatch) -> Tensor:
        x, num_frames = batch.inputs["silhouette"], batch.num_frames["silhouette"]
        real = torch.arange(x.shape[2]) < num_frames[:, None]
        return ((x[:, 0] * real[:, :, None, None]).sum(1) / num_frames[:, None, None]).flatten(1)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        embedding = self.layer(self.mean(batch))
        return GaitOutput(embedding=embedding[:, :, None], logits=self.head(embedding)[:, :, None])

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        assert output.logits is not None
        return {"ce": nn.functional.cross_entropy(output.logits[:, :, 0], labels_of(batch))}


PRESETS = {
    "quick": Preset(),
    "paper@casia-b": Preset(config={"width": 9}, recipe=Recipe(precision="bf16-mixed")),
}
PUBLISHED_KEYS = {r"fc\.(.+)": r"layer.\1", r"classifier\.(.+)": r"head.\1"}


def registry_of(**fields: str) -> Registry:
    """A registry with this model as ``mean-net``."""
    spec = {
        "name": "mean-net",
        "title": "Mean",
        "target": "mean_net:Good",
        "config": "mean_net:Config",
        "presets": "mean_net:PRESETS",
        "published_keys": "mean_net:PUBLISHED_KEYS",
    }
    registry = Registry()
    registry.add(ModelSpec(**{**spec, **fields}, inputs=("silhouette",), tasks=("identity",), fidelity="paper"))  # type: ignore[arg-type]
    return registry
