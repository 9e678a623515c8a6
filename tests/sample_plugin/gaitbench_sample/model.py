"""Mean silhouette through one linear layer.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width.
"""

from collections.abc import Mapping

import torch
from pydantic import BaseModel, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec
from gaitbench.recipe import ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage

__all__ = ["PRESETS", "SampleMean", "SampleMeanConfig"]


class SampleMeanConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes."""

    width: PositiveInt = 32
    """D."""
    num_classes: PositiveInt = 2
    """Training subjects; the runner fills it in."""


class SampleMean(GaitModel):
    """Embeds the mean silhouette; trained with cross-entropy over the training subjects."""

    padding = "masked"

    def __init__(self, config: SampleMeanConfig) -> None:
        super().__init__(config)
        self.embed = nn.Linear(64 * 64, config.width)
        self.classify = nn.Linear(config.width, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes of 64 x 64."""
        return (InputSpec(modality="silhouette", height_px=64, width_px=64),)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """``[N, 1, T, H, W]`` to an embedding ``[N, D, 1]``."""
        clips, num_frames = batch.inputs["silhouette"], batch.num_frames["silhouette"]
        is_real = torch.arange(clips.shape[2], device=clips.device) < num_frames[:, None]  # [N, T]
        total = (clips[:, 0] * is_real[:, :, None, None]).sum(dim=1)  # [N, H, W]
        embedding = self.embed((total / num_frames[:, None, None]).flatten(1))
        return GaitOutput(embedding=embedding[:, :, None], logits=self.classify(embedding)[:, :, None])

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        """Cross-entropy."""
        assert output.logits is not None
        assert batch.labels is not None
        return {"cross_entropy": functional.cross_entropy(output.logits[:, :, 0], batch.labels)}


PRESETS = {
    "quick": Preset(
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=20,
                    clips=ClipConfig(subjects_per_batch=4, sequences_per_subject=2, num_frames=4),
                    optimizer=OptimizerConfig(name="adam", lr=0.01, weight_decay=0.0),
                    schedule=ScheduleConfig(name="constant"),
                ),
            )
        ),
        note="an example",
    )
}
"""Presets by name."""
