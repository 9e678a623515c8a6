"""Sentences and parts of a clip in one transformer, and a head for each sentence.

Axes: N sequences, S sentences, P parts, K = S + P tokens, C width of tokens, D width of sentences.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.errors import ModelError
from gaitbench.layers import init_parameters
from gaitbench_clipgar.config import ClipGarConfig

__all__ = ["EncoderBlock", "Fusion"]

_START = 0.02
"""Deviation of learned embeddings at the start."""


class EncoderBlock(nn.Module):
    """Attention of all tokens to all, then two linear layers for each, both added to what came in.

    Args:
        width: C.
        config: Heads, inner width, place of the norms, dropout.

    Source:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.1; norms in front as in Dosovitskiy et al.,
        "An Image is Worth 16x16 Words", ICLR 2021, section 3.1.
    """

    def __init__(self, width: int, config: ClipGarConfig) -> None:
        super().__init__()
        self.heads, self.dropout, self.is_pre_norm = config.heads, config.dropout, config.is_pre_norm
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.inner = nn.Linear(width, config.feedforward * width)
        self.outer = nn.Linear(config.feedforward * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``[N, K, C]`` to the same axes."""
        if self.is_pre_norm:
            x = x + self._attention(self.norm1(x))
            return x + self._feedforward(self.norm2(x))
        x = self.norm1(x + self._attention(x))
        changed: Tensor = self.norm2(x + self._feedforward(x))
        return changed

    def _attention(self, x: Tensor) -> Tensor:
        query, key, value = (
            self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        )  # [N, heads, K, C/heads]
        share = self.dropout if self.training else 0.0
        seen = functional.scaled_dot_product_attention(query, key, value, dropout_p=share)
        return self._dropped(self.out(seen.transpose(1, 2).flatten(2)))

    def _feedforward(self, x: Tensor) -> Tensor:
        return self._dropped(self.outer(self._dropped(functional.gelu(self.inner(x)))))

    def _dropped(self, x: Tensor) -> Tensor:
        return functional.dropout(x, self.dropout, self.training)


class Fusion(nn.Module):
    """Text tokens above visual ones, through the transformer; each text token gives the logit of its class.

    Args:
        text_width: D.
        width: C, of the visual tokens.
        num_parts: P.
        num_labels: S.
        config: What is chosen.

    Raises:
        ModelError: The heads of the attention do not divide the width.

    Source:
        Wang et al., RA-GAR and CLIP-GAR, AAAI 2025, equation 2. Embeddings of the kind of a token and a head for each
        text token go back to Cheng et al., "A Simple Visual-Textual Baseline for Pedestrian Attribute Recognition",
        TCSVT 2022.

    Example:
        >>> fusion = Fusion(16, 8, 2, 5, ClipGarConfig(channels=(8, 8, 8, 8), heads=2))
        >>> fusion(torch.randn(5, 16), torch.randn(3, 8, 2)).shape
        torch.Size([3, 5])
    """

    def __init__(self, text_width: int, width: int, num_parts: int, num_labels: int, config: ClipGarConfig) -> None:
        super().__init__()
        if width % config.heads:
            raise ModelError(
                f"the fusion's tokens are {width} wide, which {config.heads} heads do not divide; set heads"
            )
        self.is_text_normalised = config.is_text_normalised
        self.phi = nn.Linear(text_width, width)  # a 1x1 convolution, as text has no place
        self.text_type = _embedding(config.has_types, width)
        self.visual_type = _embedding(config.has_types, width)
        self.position = _embedding(config.has_positions, num_parts, width)
        self.blocks = nn.ModuleList(EncoderBlock(width, config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(width) if config.has_last_norm else nn.Identity()
        init_parameters(self)
        # A linear map from C to 1 for each label, all of them in one tensor.
        bound = width**-0.5
        self.head_weight = nn.Parameter(torch.empty(num_labels, width).uniform_(-bound, bound))
        self.head_bias = nn.Parameter(torch.zeros(num_labels))

    def forward(self, text: Tensor, visual: Tensor) -> Tensor:
        """Tell labels.

        Args:
            text: ``[S, D]``.
            visual: ``[N, C, P]``.

        Returns:
            Logits ``[N, S]``.
        """
        if self.is_text_normalised:
            text = functional.normalize(text, dim=1)
        text, visual = self.phi(text), visual.transpose(1, 2)  # [S, C], [N, P, C]
        if self.text_type is not None and self.visual_type is not None:
            text, visual = text + self.text_type, visual + self.visual_type
        if self.position is not None:
            visual = visual + self.position
        x = torch.cat([text.expand(len(visual), -1, -1), visual], dim=1)  # [N, K, C]
        for block in self.blocks:
            x = block(x)
        told = self.norm(x[:, : len(text)])  # [N, S, C]
        logits: Tensor = (told * self.head_weight).sum(dim=2) + self.head_bias
        return logits


def _embedding(is_there: bool, *shape: int) -> nn.Parameter | None:
    return nn.Parameter(torch.randn(*shape) * _START) if is_there else None
