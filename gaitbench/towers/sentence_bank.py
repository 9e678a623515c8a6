"""Vectors of sentences: encoded once by a text tower, and part of a model's weights from then on.

Axes: S sentences, D width of the text tower.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gaitbench.digest import json_digest
from gaitbench.errors import ModelError
from gaitbench.towers.config import TowerConfig, TowerInfo
from gaitbench.towers.left_out import are_weights_left_out
from gaitbench.towers.sentence_cache import encode_cached
from gaitbench.towers.text import TextEncoder, text_encoder

__all__ = ["SentenceBank"]


class SentenceBank(nn.Module):
    """Sentences in a text tower's space, as the tower gives them.

    The tower is built when the vectors are first needed, and given up when they are there. Saved weights hold the
    vectors and a hash of what they are of: a loaded model needs no tower, and another tower or other sentences are
    refused. A model whose weights bring them along says so beforehand, in ``take_form_of``, with
    :meth:`will_be_loaded`.

    Args:
        config: The text tower.
        sentences: S of them; none for a model that has nothing to tell yet.
        shape: What S is divided into, such as modalities and sentences of each; None for one axis.
        fields: The model's configuration that the sentences come from, for messages.

    Raises:
        UnknownNameError: There is no such tower.
        ModelError: It cannot be built.
        ValueError: ``shape`` is not one of S sentences.

    Example:
        >>> bank = SentenceBank(TowerConfig(architecture="hashing", overrides={"width": 16}), ("a bag", "no bag"))
        >>> bank.width, bank().shape
        (16, torch.Size([2, 16]))
    """

    vectors: Tensor

    def __init__(
        self,
        config: TowerConfig,
        sentences: Sequence[str],
        *,
        shape: tuple[int, ...] | None = None,
        fields: str = "text and sentences",
    ) -> None:
        super().__init__()
        self.config, self.sentences, self.fields = config, tuple(sentences), fields
        plain = TowerConfig(architecture=config.architecture, seed=config.seed, overrides=config.overrides)
        # The width is looked up without weights, so that building a model neither draws nor fetches any.
        with torch.device("meta"):
            self.width = text_encoder(plain).width
        shape = (len(self.sentences),) if shape is None else shape
        count = torch.Size(shape).numel()
        if count != len(self.sentences):
            raise ValueError(f"{len(self.sentences)} sentences do not divide into {shape}")
        self.register_buffer("vectors", torch.zeros(*shape, self.width))
        self._is_there = not self.sentences
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
        """The vectors ``[S, D]``, or ``[*shape, D]``, in the order of the sentences."""
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
                self.vectors.copy_(encoder.encode(self.sentences).view_as(self.vectors))
                return
            self.vectors.copy_(encode_cached(encoder, self.sentences).view_as(self.vectors))
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
        if bytes(state.to("cpu", torch.uint8).tolist()).hex() != self._digest():
            raise ModelError(
                f"these weights were trained with other sentences, or with another text tower than "
                f"{self.config.architecture} ({self.config.weights}); configure {self.fields} as they were"
            )
        self._is_there = True

    def _digest(self) -> str:
        # A file of weights is known by its hash, wherever it lies.
        tower = self.config.model_dump(mode="json", exclude={"path"})
        return json_digest([tower, list(self.vectors.shape[:-1]), list(self.sentences)])

    def _build(self) -> TextEncoder:
        # On the CPU, so that vectors do not depend on the device of the training.
        with torch.device("cpu"):
            return text_encoder(self.config)


def _bring_first(bank: SentenceBank, _prefix: str, _keep_vars: bool) -> None:
    bank.bring()
