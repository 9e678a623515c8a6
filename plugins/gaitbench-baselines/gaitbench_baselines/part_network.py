"""What many networks do behind their last feature map: pool, one embedding per strip, a neck, two losses.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from gaitbench.layers import SeparateBNNeck, SeparateFC, horizontal_pyramid_pool, init_parameters, set_pool
from gaitbench.losses import batch_all_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, labels_of, logits_of
from gaitbench.recipe import Stage

__all__ = ["HEAD_KEYS", "PartNetwork", "PartNetworkConfig"]

HEAD_KEYS: Mapping[str, str] = MappingProxyType(
    {
        r"FCs\.fc_bin": "head.weight",
        r"BNNecks\.fc_bin": "neck.weight",
        r"BNNecks\.bn1d\.(.+)": r"neck.norm.\1",
    }
)
"""Published key to ours, of head and neck."""


class PartNetworkConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Input size, head, neck and losses."""

    height_px: PositiveInt = 64
    """Rows of the input."""
    width_px: PositiveInt = 44
    """Columns of the input."""
    embedding_width: PositiveInt = 256
    """D."""
    bins: tuple[PositiveInt, ...] = (16,)
    """Strips per scale; P is their sum."""
    embedding: Literal["head", "neck"] = "head"
    """What retrieval compares: the part vectors before the neck, or those that the neck normalises."""
    num_classes: PositiveInt = 3000
    """Training subjects; the runner sets it."""
    margin: NonNegativeFloat = 0.2
    """Margin of the triplet loss."""
    logit_scale: PositiveFloat = 16.0
    """Factor on the cosines in the cross-entropy."""
    label_smoothing: float = Field(0.1, ge=0, lt=1)
    """Share of the target spread over all classes."""


class PartNetwork(GaitModel):
    """A network that ends in set pooling, strips, one matrix per strip and a neck.

    Losses: ``triplet``, ``cross_entropy``.

    Source:
        Fan et al., "OpenGait: Revisiting Gait Recognition Toward Better Practicality", CVPR 2023, section "GaitBase".
    """

    padding = "masked"
    config: PartNetworkConfig

    def build_head(self, in_channels: int, *, num_parts: int | None = None) -> None:
        """Add head and neck, and start what was added before.

        Args:
            in_channels: C of the last feature map.
            num_parts: Parts that have parameters; None for P.
        """
        config = self.config
        for module in self.children():
            init_parameters(module)
        count = sum(config.bins) if num_parts is None else num_parts
        self.head = SeparateFC(count, in_channels, config.embedding_width)
        self.neck = SeparateBNNeck(count, config.embedding_width, config.num_classes)

    def recognise(self, x: Tensor, num_frames: Tensor) -> GaitOutput:
        """Reduce features ``[N, C, T, H, W]`` to part embeddings ``[N, D, P]`` and logits ``[N, classes, P]``."""
        return self.embed_parts(self.pool_parts(x, num_frames))

    def pool_parts(self, x: Tensor, num_frames: Tensor) -> Tensor:
        """Reduce features ``[N, C, T, H, W]`` to part features ``[N, C, P]``: set pooling, then strips."""
        return horizontal_pyramid_pool(set_pool(x, num_frames), self.config.bins)

    def embed_parts(self, parts: Tensor) -> GaitOutput:
        """Map part features ``[N, C, P]`` to embeddings ``[N, D, P]`` and logits ``[N, classes, P]``."""
        embedding = self.head(parts)
        feature, logits = self.neck(embedding)
        if self.config.embedding == "head":
            return GaitOutput(embedding=embedding, logits=logits)
        return GaitOutput(embedding=feature, logits=logits, extras={"head": embedding})

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Batch-all triplet loss on the head's part vectors, cross-entropy on the neck's cosines.

        The head's vectors count for the triplets also where retrieval compares the neck's.
        """
        config, labels = self.config, labels_of(batch)
        head = output.extras.get("head", output.embedding)
        return {
            "triplet": batch_all_triplet(head, labels, margin=config.margin),
            "cross_entropy": part_cross_entropy(
                logits_of(output), labels, scale=config.logit_scale, label_smoothing=config.label_smoothing
            ),
        }
