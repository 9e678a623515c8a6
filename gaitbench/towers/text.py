"""The text tower: sentences in, one vector each, by CLIP's text encoder or by hashed words.

Axes: S sentences, K tokens of a sentence, D width.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, Self, overload

import torch
from torch import Tensor, nn

from gaitbench.digest import json_digest
from gaitbench.errors import ModelError, ShapeError
from gaitbench.towers.clip import (
    OPENAI_KEYS,
    ClipSettings,
    clip_hub_file,
    clip_settings,
    has_quick_gelu,
    set_quick_gelu,
    text_weights,
)
from gaitbench.towers.config import HASHING, TowerConfig, TowerInfo
from gaitbench.towers.hashing import HashingEncoder
from gaitbench.towers.info import tower_info
from gaitbench.towers.libraries import library
from gaitbench.towers.text_encoder import TextEncoder, check_sentences
from gaitbench.towers.weights import drawn, load_published, published_weights

__all__ = ["ClipTextTower", "TextEncoder", "text_encoder"]

_VOCABULARY = 49_408
_SENTENCES_AT_ONCE = 64

AfterLayer = Callable[[int, Tensor], Tensor]
"""Takes a layer's number, from 0, and its output ``[S, K, D]``; what it returns takes the output's place."""


def text_encoder(config: TowerConfig) -> TextEncoder:
    """Build the encoder that a configuration names.

    Raises:
        UnknownNameError: There is no such architecture.
        ModelError: Its package is missing, or its weights cannot be had or do not fit.
    """
    return HashingEncoder(config) if config.architecture == HASHING else ClipTextTower(config)


class ClipTextTower(nn.Module, TextEncoder):
    """CLIP's text transformer from open_clip: causal, read off at the end-of-text token.

    A frozen tower stays in evaluation mode and holds no gradients, but lets them through to whatever is added between
    its layers.

    Args:
        config: Which architecture with which weights.
        is_frozen: False for a tower that is trained with the model.
        is_projected: True for vectors in the space that CLIP's images share; False for those before the projection.

    Raises:
        UnknownNameError: open_clip has no such architecture.
        ModelError: open_clip is missing, the tower is of another kind, or its weights cannot be had or do not fit.

    Source:
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
        section 2.4.

    Example:
        >>> small = {"width": 32, "heads": 2, "layers": 2, "embed_dim": 16}
        >>> tower = ClipTextTower(TowerConfig(architecture="ViT-B-32", overrides=small))
        >>> tower(tower.tokenize(["the left arm swings", "the right arm is still"])).shape
        torch.Size([2, 16])
    """

    def __init__(self, config: TowerConfig, *, is_frozen: bool = True, is_projected: bool = True) -> None:
        super().__init__()
        self.config, self.is_frozen, self.is_projected = config, is_frozen, is_projected
        settings = clip_settings(config, "text")
        _check_kind(config.architecture, settings)
        published = published_weights(config, lambda: clip_hub_file(config), OPENAI_KEYS)
        seed = config.seed if is_frozen or config.weights != "untrained" else None
        self.network: Any = drawn(lambda: _create(settings), seed)
        if published is not None:
            load_published(self.network, text_weights(published.tensors), published.where)
            if OPENAI_KEYS & published.tensors.keys():
                set_quick_gelu(self.network, is_quick=True)
        if is_projected and self.network.text_projection is None:
            raise ModelError(f"{config.architecture} has no projection; build it with is_projected=False")
        self.token_width = int(settings.text["width"])
        self.width = settings.embed_dim if is_projected else self.token_width
        self.num_layers = len(self.network.transformer.resblocks)
        self.context_length = int(self.network.context_length)
        self.vocabulary = int(self.network.vocab_size)
        self._tokenizer_settings = dict(settings.text.get("tokenizer_kwargs") or {})
        found = _num_without_positions(self.network)
        promised = found
        if config.overrides:
            plain = clip_settings(TowerConfig(architecture=config.architecture), "text")
            with torch.device("meta"):
                promised = _num_without_positions(_create(plain))
        self.info: TowerInfo = tower_info("text", config, self, published, is_frozen, (found, promised))
        if is_frozen:
            self.requires_grad_(requires_grad=False)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Choose training or evaluation mode; a frozen tower stays in evaluation."""
        return super().train(mode and not self.is_frozen)

    @property
    def identity(self) -> str:
        """Hash of everything that determines the vectors; empty while training may change them."""
        whole = super().identity
        return json_digest([whole, self.is_projected]) if whole else ""

    def get_extra_state(self) -> Tensor:
        """Whether the activation is OpenAI's: it belongs to the weights and is not told by their shapes."""
        return torch.tensor(has_quick_gelu(self.network), device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Take the activation that the weights were trained with."""
        set_quick_gelu(self.network, is_quick=bool(state))

    def tokenize(self, sentences: Sequence[str]) -> Tensor:
        """Write sentences as CLIP's byte pairs between a start and an end token, padded with zeros.

        Args:
            sentences: S of them, each with a word.

        Returns:
            ``[S, K]`` int64 on the tower's device.

        Raises:
            ModelError: A sentence has no word, holds a start or end token, or does not fit into K tokens; none is cut
                short in silence.
        """
        check_sentences(sentences)
        tokenizer = _tokenizer(tuple(sorted(self._tokenizer_settings.items())))
        tokens = torch.zeros(len(sentences), self.context_length, dtype=torch.int64)
        for row, sentence in enumerate(sentences):
            ends = tokenizer.sot_token_id, tokenizer.eot_token_id
            inner = tokenizer.encode(sentence)
            # The sentence would be read off at the first end in it, and an empty one has no meaning.
            if not inner or not {*ends}.isdisjoint(inner):
                raise ModelError(
                    f"sentence {row} of {len(sentences)} has no word, or a mark of its start or end, for CLIP's "
                    f"tokens: {sentence!r}; write it in plain words"
                )
            pieces = [ends[0], *inner, ends[1]]
            if len(pieces) > self.context_length:
                raise ModelError(
                    f"sentence {row} of {len(sentences)} has {len(pieces)} tokens with start and end, and "
                    f"{self.config.architecture} reads {self.context_length}; shorten or divide it: {sentence!r}"
                )
            tokens[row, : len(pieces)] = torch.tensor(pieces)
        return tokens.to(self.network.positional_embedding.device)

    @overload
    def forward(
        self, tokens: Tensor, after_layer: AfterLayer | None = None, *, return_tokens: Literal[False] = False
    ) -> Tensor: ...

    @overload
    def forward(
        self, tokens: Tensor, after_layer: AfterLayer | None = None, *, return_tokens: Literal[True]
    ) -> tuple[Tensor, Tensor]: ...

    def forward(
        self, tokens: Tensor, after_layer: AfterLayer | None = None, *, return_tokens: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Encode tokens; gradients flow to ``after_layer``'s own parameters.

        No token sees those behind it, so what stands behind the end of the longest sentence is computed for
        ``return_tokens`` alone.

        Args:
            tokens: ``[S, K]`` int64, as :meth:`tokenize` gives them.
            after_layer: Called with each layer's number, from 0, and output ``[S, k, D]``, of the longest sentence's k
                tokens or, with ``return_tokens``, of K; returns what goes on.
            return_tokens: True for every token's vector besides the sentence's.

        Returns:
            ``[S, D]``: the end-of-text token after the final norm and, where there is one, the projection; with
            ``return_tokens`` also ``[S, K, D]``: all tokens alike.

        Raises:
            ShapeError: The tokens, or what ``after_layer`` returns, have another shape.
        """
        if tokens.ndim != 2 or tokens.shape[1] != self.context_length:
            raise ShapeError(f"a text tower reads tokens [S, {self.context_length}], got {list(tokens.shape)}")
        net = self.network
        end = tokens.argmax(dim=1)  # [S]; the end-of-text token has the highest number of all
        length = self.context_length if return_tokens or not len(end) else int(end.max()) + 1
        x: Tensor = net.token_embedding(tokens[:, :length]) + net.positional_embedding[:length]  # [S, k, D]
        mask = net.attn_mask[:length, :length].to(x.dtype)
        for number, block in enumerate(net.transformer.resblocks):
            x = block(x, attn_mask=mask)
            if after_layer is not None:
                shape = x.shape
                x = after_layer(number, x)
                if x.shape != shape:
                    raise ShapeError(
                        f"after_layer must return {list(shape)}, as layer {number} gave it, got {list(x.shape)}"
                    )
        x = net.ln_final(x)
        sentences = x[torch.arange(len(x), device=x.device), end]  # [S, D]
        if self.is_projected:
            sentences = _projected(net.text_projection, sentences)
        if not return_tokens:
            return sentences
        return sentences, (_projected(net.text_projection, x) if self.is_projected else x)

    @torch.no_grad()
    def encode(self, sentences: Sequence[str]) -> Tensor:
        """Encode sentences in float32, some at a time.

        Args:
            sentences: S of them, each with a word.

        Returns:
            ``[S, D]`` float32 on the tower's device, not normalised.

        Raises:
            ModelError: A sentence has no word or is too long.
        """
        tokens = self.tokenize(sentences)
        with torch.autocast(tokens.device.type, enabled=False):
            parts = [self(part).float() for part in torch.split(tokens, _SENTENCES_AT_ONCE)]
        return torch.cat(parts)


def _projected(projection: nn.Linear | Tensor, x: Tensor) -> Tensor:
    result: Tensor = projection(x) if isinstance(projection, nn.Linear) else x @ projection
    return result


def _check_kind(name: str, settings: ClipSettings) -> None:
    """Stop at text towers of other kinds, whose tokens or pooling are not CLIP's."""
    text = settings.text
    foreign = [key for key in ("hf_model_name", "hf_tokenizer_name", "embed_cls", "no_causal_mask") if text.get(key)]
    if text.get("pool_type", "argmax") != "argmax":
        foreign.append("pool_type")
    if foreign:
        raise ModelError(
            f"the text tower of {name} is not of CLIP's kind ({', '.join(foreign)}); take one that is, such as "
            "ViT-B-32, ViT-B-16, ViT-L-14 or RN50"
        )
    if text.get("vocab_size", _VOCABULARY) < _VOCABULARY:
        raise ModelError(
            f"CLIP's tokens are numbers below {_VOCABULARY}; a vocabulary of {text['vocab_size']} is too small"
        )


def _create(settings: ClipSettings) -> Any:
    open_clip = library("open_clip")
    try:
        return open_clip.model._build_text_tower(settings.embed_dim, settings.text, settings.is_quick)
    except (TypeError, ValueError, RuntimeError, AssertionError, ZeroDivisionError) as error:
        raise ModelError(f"open_clip cannot build a text tower with {settings.text}: {error}") from error


def _num_without_positions(network: Any) -> int:
    total: int = sum(weight.numel() for weight in network.parameters()) - network.positional_embedding.numel()
    return total


@functools.cache
def _tokenizer(settings: tuple[tuple[str, object], ...]) -> Any:
    return library("open_clip").SimpleTokenizer(**dict(settings))
