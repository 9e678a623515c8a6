"""Semantic-guided feature decoupling (SGFD): what both sensors share, what is one sensor's own, and texts as a guide.

Axes: M sequences of all modalities, S texts, D width, C width of the text space, h rows, w columns.
"""

from typing import NamedTuple

from torch import Tensor, nn

from gaitbench.layers import init_parameters, widen
from gaitbench_sgcrossgait.attention import CrossAttention
from gaitbench_sgcrossgait.config import MODALITIES, SgCrossGaitConfig

__all__ = ["Decoupled", "Decoupling"]


class Decoupled(NamedTuple):
    """A feature twice projected."""

    shared: Tensor
    """``[M, D, h, w]``: what retrieval is made of."""
    specific: Tensor
    """``[M, D, h, w]``: what tells the sensor."""


class Decoupling(nn.Module):
    """Two projections of one map, a classifier of sensors behind the second, attention to texts behind the first.

    Args:
        config: d, heads, whether texts guide.
        text_width: C.

    Source:
        SG-CrossGait, TIFS 2026, semantic-guided feature decoupling: shared and modality-specific features, and a
        modality classification in the authors' log. Projections, classifier and attention are ours.
    """

    def __init__(self, config: SgCrossGaitConfig, text_width: int) -> None:
        super().__init__()
        width = config.width
        self.shared = nn.Conv2d(width, width, 1)
        self.specific = nn.Conv2d(width, width, 1)
        self.sensor = nn.Linear(width, len(MODALITIES))
        for layer in (self.shared, self.specific, self.sensor):
            init_parameters(layer)
        self.attention = CrossAttention(width, text_width, config.heads) if config.is_guided else None

    def forward(self, maps: Tensor) -> Decoupled:
        """Divide ``[M, D, h, w]``."""
        return Decoupled(self.shared(maps), self.specific(maps))

    def told_sensor(self, specific: Tensor) -> Tensor:
        """Logits ``[M, 2]`` of which sensor a specific feature ``[M, D, h, w]`` is of."""
        logits: Tensor = self.sensor(widen(specific).mean(dim=(2, 3)))
        return logits

    def guided(self, shared: Tensor, texts: Tensor, may_see: Tensor) -> Tensor:
        """Let each place of shared features look at texts, and add what it finds.

        Args:
            shared: ``[M, D, h, w]``.
            texts: ``[S, C]``.
            may_see: ``[M, S]`` bool, the texts that each sequence may look at; at least one.

        Returns:
            ``[M, D, h, w]``, for a training loss.
        """
        assert self.attention is not None
        places = widen(shared).flatten(2).transpose(1, 2)  # [M, h*w, D]
        found: Tensor = places + self.attention(places, widen(texts)[None], may_see)
        return found.transpose(1, 2).reshape(shared.shape)

    def looked_at(self, shared: Tensor, texts: Tensor) -> Tensor:
        """How much each place of ``[M, D, h, w]`` would look at each of ``[S, C]`` texts: ``[M, S, h, w]``."""
        assert self.attention is not None
        places = widen(shared).flatten(2).transpose(1, 2)
        weights = self.attention.weights(places, widen(texts)[None])  # [M, h*w, S]
        return weights.transpose(1, 2).reshape(len(shared), -1, *shared.shape[2:])
