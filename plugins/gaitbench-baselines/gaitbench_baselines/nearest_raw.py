"""The trivial baseline: compare mean frames as they are. Nothing is trained.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import BaseModel, Field, PositiveInt
from torch import Tensor

from gaitbench.errors import ModelError
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec
from gaitbench.recipe import Preset, Recipe, Stage
from gaitbench_baselines.energy_image import energy_image

__all__ = ["PRESETS", "NearestRaw", "NearestRawConfig"]


class NearestRawConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is compared."""

    modalities: tuple[Literal["silhouette", "lidar-depth"], ...] = Field(default=("silhouette",), min_length=1)
    """Streams it reads, each for itself; two of them make it a cross-modal baseline."""
    height_px: PositiveInt = 64
    """Rows of the input."""
    width_px: PositiveInt = 44
    """Columns of the input."""


class NearestRaw(GaitModel):
    """The mean silhouette, or how often each pixel of a range image has a return, pixel by pixel.

    Both say where the body was, so that the two modalities can be compared with each other.

    Source:
        Nearest neighbour on gait energy images: Han and Bhanu, "Individual Recognition Using Gait Energy Image",
        TPAMI 2006, without the learned part. The use on range images is ours.

    Example:
        >>> model = NearestRaw(NearestRawConfig())
        >>> clips = torch.rand(2, 1, 5, 64, 44).round()
        >>> model(GaitBatch({"silhouette": clips}, {"silhouette": torch.tensor([5, 3])})).embedding.shape
        torch.Size([2, 2816, 1])
    """

    padding = "masked"
    config: NearestRawConfig

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes, range images or both, as they are."""
        config = self.config
        return tuple(
            InputSpec(
                modality=modality,
                height_px=config.height_px,
                width_px=config.width_px,
                scale=255.0 if modality == "lidar-depth" else 1.0,
            )
            for modality in config.modalities
        )

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed each modality of the batch as ``[N, H*W, 1]``; of several the plain mean is the joint embedding."""
        outputs: dict[str, GaitOutput] = {}
        for modality in self.config.modalities:
            if modality in batch.inputs:
                occupied = batch.inputs[modality] > 0
                image = energy_image(occupied, batch.num_frames[modality])  # [N, 1, H, W]
                outputs[modality] = GaitOutput(embedding=image.flatten(1).unsqueeze(2))
        if not outputs:
            raise ModelError(f"the batch holds none of {', '.join(self.config.modalities)}")
        joint = torch.stack([output.embedding for output in outputs.values()]).mean(dim=0)
        return GaitOutput(embedding=joint, by_modality=outputs)

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Nothing is trained: the only entry is zero."""
        return {"none": torch.zeros((), device=output.embedding.device)}


_UNTRAINED = Recipe(stages=())
_CROSSMODAL = Preset(config={"modalities": ("silhouette", "lidar-depth")}, recipe=_UNTRAINED, note="not trained")

PRESETS: dict[str, Preset] = {
    "quick": Preset(recipe=_UNTRAINED, note="not trained"),
    "paper": Preset(recipe=_UNTRAINED, note="not trained"),
    "quick@crossmodal": _CROSSMODAL,
    "paper@crossmodal": _CROSSMODAL,
    "quick@usf-gait17": Preset(
        config={"height_px": 32, "width_px": 22}, recipe=_UNTRAINED, note="not trained, at the tensors' 32x22 pixels"
    ),
}
"""Presets by name; ``NAME@TASK`` and ``NAME@DATASET`` go before ``NAME``."""
