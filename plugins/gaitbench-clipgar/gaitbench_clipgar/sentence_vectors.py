"""Vectors of the sentences: encoded once by the text tower, and part of the model's weights from then on.

Axes: S sentences, D width of the text tower.
"""

import torch
from torch import Tensor, nn

from gaitbench.digest import json_digest
from gaitbench.errors import ModelError
from gaitbench.towers.config import TowerConfig, TowerInfo
from gaitbench.towers.left_out import are_weights_left_out
from gaitbench.towers.sentence_cache import encode_cached
from gaitbench.towers.text import TextEncoder, text_encoder

__all__ = ["SentenceVectors"]


class SentenceVectors(nn.Module):
    """Sentences in the text tower's space, ``[S, D]``, as the tower gives them.

    The tower is built when the vectors are first needed, and given up when they are there. Saved weights hold the
    vectors and a hash of what they are of: a loaded model needs no tower, and another tower or other sentences are
    refused.

    Args:
        config: The text tower.
        sentences: S of them; none for a model without a schema.

    Raises:
        UnknownNameError: There is no such tower.
        ModelError: It cannot be built.

    Example:
        >>> vectors = SentenceVectors(TowerConfig(architecture="hashing", overrides={"width": 16}), ())
        >>> vectors.width, vectors().shape
        (16, torch.Size([0, 16]))
    """

    vectors: Tensor

    def __init__(self, config: TowerConfig, sentences: tuple[str, ...]) -> None:
        super().__init__()
        self.config, self.sentences = config, sentences
        plain = TowerConfig(architecture=config.architecture, seed=config.seed, overrides=config.overrides)
        # The width is looked up without weights, so that building a model neither draws nor fetches any.
        with torch.device("meta"):
            self.width = text_encoder(plain).width
        self.register_buffer("vectors", torch.zeros(len(sentences), self.width))
        self._is_there = not sentences
        self._info: TowerInfo | None = None
        self.register_state_dict_pre_hook(_bring_first)  # type: ignore[no-untyped-call]

    @property
    def info(self) -> TowerInfo:
        """Of the tower, for the record; it is built for that where nothing was encoded here."""
        if self._info is not None:
            return self._info
        encoder = self._build()
        if not are_weights_left_out():
            self._info = encoder.info
        return encoder.info

    def forward(self) -> Tensor:
        """The vectors ``[S, D]``."""
        self.bring()
        return self.vectors

    def will_be_loaded(self) -> None:
        """Do without the tower: vectors are about to be loaded."""
        self._is_there = True

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def bring(self) -> None:
        """Encode the sentences, where they are not there."""
        if self._is_there or self.vectors.is_meta:
            return
        # What was made in inference mode could take no part in training.
        with torch.inference_mode(mode=False), torch.no_grad():
            encoder = self._build()
            if are_weights_left_out():
                # Of drawn weights, to count with; nobody keeps them.
                self.vectors.copy_(encoder.encode(self.sentences))
                return
            self.vectors.copy_(encode_cached(encoder, self.sentences))
        self._info, self._is_there = encoder.info, True

    def get_extra_state(self) -> Tensor:
        """Hash of tower and sentences, ``[32]`` uint8."""
        if self.vectors.is_meta:
            return torch.empty(32, dtype=torch.uint8, device="meta")
        return torch.frombuffer(bytearray.fromhex(self._digest()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Compare the hash that comes with loaded vectors.

        Raises:
            ModelError: They are of another tower, or of other sentences.
        """
        if self.vectors.is_meta or state.is_meta:
            return
        if bytes(state.cpu().tolist()).hex() != self._digest():
            raise ModelError(
                f"these weights were trained with other sentences, or with another text tower than "
                f"{self.config.architecture} ({self.config.weights}); configure text, template, words, sentences and "
                "attributes as they were"
            )
        self._is_there = True

    def _digest(self) -> str:
        # A file is known by its hash, wherever it lies.
        return json_digest([self.config.model_dump(mode="json", exclude={"path"}), list(self.sentences)])

    def _build(self) -> TextEncoder:
        # On the CPU, so that vectors do not depend on the device of the training.
        with torch.device("cpu"):
            return text_encoder(self.config)


def _bring_first(vectors: SentenceVectors, _prefix: str, _keep_vars: bool) -> None:
    vectors.bring()
