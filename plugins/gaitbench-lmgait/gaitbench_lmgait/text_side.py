"""The text side: CLIP's frozen text tower with motion awareness modules, and what is left of it after training.

Axes: S sentences, K tokens of a sentence, Z tokens of all sentences, D width of the image tower's maps, N clips.
"""

import math
from functools import partial

import torch
from torch import Tensor, nn

from gaitbench.errors import ModelError
from gaitbench.layers import init_parameters
from gaitbench.towers.borrowed import Borrowed
from gaitbench.towers.config import TowerConfig, TowerInfo
from gaitbench.towers.text import ClipTextTower
from gaitbench_lmgait.config import TextConfig

__all__ = ["MotionAwareness", "StoredText", "TextSide"]


class MotionAwareness(nn.Module):
    """Add a low-rank change to the output of a frozen layer.

    Args:
        width: Of the tokens.
        config: Rank, activation, start, gate.
        image_width: Of the vector that gates, where there is a gate.

    Source:
        Wu et al., "Language-Guided and Motion-Aware Gait Representation for Generalizable Recognition", arXiv
        2601.11931, equations 5 and 6: h + phi(h W_d) W_u. The gate is ours, for the paper's words that the module
        adapts to the image.

    Example:
        >>> module = MotionAwareness(512, TextConfig(), 384)
        >>> sum(weight.numel() for weight in module.parameters())
        65536
    """

    def __init__(self, width: int, config: TextConfig, image_width: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, config.mam_rank, bias=False)
        self.activation = nn.GELU() if config.mam_activation == "gelu" else nn.ReLU()
        self.up = nn.Linear(config.mam_rank, width, bias=False)
        self.gate = nn.Linear(image_width, config.mam_rank) if config.has_mam_gate else None
        init_parameters(self)
        if config.mam_start == "zero":
            nn.init.zeros_(self.up.weight)

    def forward(self, h: Tensor, image: Tensor | None = None) -> Tensor:
        """Change tokens ``[S, K, width]``; with a gate, ``image`` is ``[S, image_width]``."""
        inner = self.activation(self.down(h))
        if self.gate is not None:
            assert image is not None
            inner = inner * torch.sigmoid(self.gate(image))[:, None]
        changed: Tensor = h + self.up(inner)
        return changed


class TextSide(nn.Module):
    """Sentences in, a vector in the space of the image tower's maps out.

    The tower is frozen and no part of the model's weights; gradients pass through it to the modules.

    Args:
        config: Tower, sentences, modules.
        image_width: D.

    Raises:
        ModelError: The tower has fewer layers than modules follow, or a sentence is empty or too long for it.

    Source:
        Wu et al., arXiv 2601.11931, equations 5 to 7. Of a text the end-of-text token after the final norm is taken,
        as CLIP does; several sentences are averaged.
    """

    def __init__(self, config: TextConfig, image_width: int) -> None:
        super().__init__()
        self.config = config
        with torch.device("meta"):
            plain = TowerConfig(
                architecture=config.text.architecture, seed=config.text.seed, overrides=config.text.overrides
            )
            shape = _build(config, plain)
        self.tower: Borrowed[ClipTextTower] = Borrowed(partial(_build, config, config.text))
        layers = config.mam_layers or tuple(range(1, shape.num_layers + 1))
        if wrong := [layer for layer in layers if layer > shape.num_layers]:
            raise ModelError(
                f"mam_layers {wrong} are beyond the {shape.num_layers} layers of the text tower "
                f"{config.text.architecture}; choose others, or none for all of them"
            )
        shape.tokenize(config.sentences)
        self.adapters = nn.ModuleDict()
        if config.has_mam:
            for layer in layers:
                self.adapters[str(layer)] = MotionAwareness(shape.token_width, config, image_width)
        self.projection = nn.Linear(shape.width, image_width, bias=False)
        init_parameters(self.projection)

    @property
    def info(self) -> TowerInfo:
        """What a record says of the tower."""
        return self.tower.info

    def forward(self, image: Tensor | None = None) -> Tensor:
        """Encode the configured sentences, in float32 also under autocast.

        Args:
            image: ``[N, D]`` mean features of each clip, where the modules are gated.

        Returns:
            ``[1, 1, D]``; all tokens ``[1, Z, D]`` where the configuration says so; ``[N, 1, D]`` where the image
            gates.
        """
        tower = self.tower.tower
        tokens = tower.tokenize(self.config.sentences)  # [S, K]
        num_sentences = len(tokens)
        with torch.autocast(tokens.device.type, enabled=False):
            if self.config.has_mam_gate:
                assert image is not None
                tokens = tokens.repeat(len(image), 1)  # [N * S, K]
                image = image.float().repeat_interleave(num_sentences, dim=0)
            adapt = partial(self._adapt, image)
            if self.config.text_form == "tokens":
                _, of_tokens = tower(tokens, adapt, return_tokens=True)
                last = tokens.argmax(dim=1, keepdim=True)  # the end of a text has the highest number of all tokens
                is_text = torch.arange(tokens.shape[1], device=tokens.device) <= last  # [S, K]
                return self.projection(of_tokens[is_text])[None]
            vectors = tower(tokens, adapt)
            projected: Tensor = self.projection(vectors)
            return projected.view(-1, num_sentences, projected.shape[1]).mean(dim=1, keepdim=True)

    def _adapt(self, image: Tensor | None, layer: int, h: Tensor) -> Tensor:
        name = str(layer + 1)
        if name not in self.adapters:
            return h
        changed: Tensor = self.adapters[name](h, image)
        return changed


class StoredText(nn.Module):
    """What a sealed model keeps of the text side: the result, without the tower and its modules.

    Args:
        vector: ``[1, Z, D]`` as :class:`TextSide` gave it.
    """

    vector: Tensor

    def __init__(self, vector: Tensor) -> None:
        super().__init__()
        self.register_buffer("vector", vector)

    def forward(self, image: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """The stored ``[1, Z, D]``."""
        return self.vector


def _build(config: TextConfig, tower: TowerConfig) -> ClipTextTower:
    built = ClipTextTower(tower, is_projected=config.is_text_projected)
    if config.text_positions == "sinusoidal":
        table = built.network.positional_embedding
        with torch.no_grad():
            sines = _sinusoidal(*table.shape).to(table)
            # As strong as the table that they replace, beside words of the same strength as before.
            table.copy_(sines * (table.std() / sines.std()))
    return built


def _sinusoidal(length: int, width: int) -> Tensor:
    """``[length, width]``: sines and cosines of wavelengths from 2 pi to 20,000 pi.

    Source:
        Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.5.
    """
    position = torch.arange(length, dtype=torch.float32)[:, None]
    rate = torch.exp(-math.log(10_000.0) * torch.arange(0, width, 2, dtype=torch.float32) / width)
    table = torch.zeros(length, width)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate[: width // 2])
    return table
