"""Vectors of the dictionary's sentences: encoded once by the text tower, and part of the model's weights from then on.

Axes: m modalities, S sentences of each, C width of the text tower.
"""

import torch
from torch import Tensor, nn

from gaitbench.digest import json_digest
from gaitbench.errors import ModelError
from gaitbench.towers.config import TowerConfig, TowerInfo
from gaitbench.towers.left_out import are_weights_left_out
from gaitbench.towers.sentence_cache import encode_cached
from gaitbench.towers.text import TextEncoder, text_encoder
from gaitbench_tcfdnet.dictionary import MODALITIES, Dictionary

__all__ = ["SentenceBank"]


class SentenceBank(nn.Module):
    """The dictionary in the text tower's space, ``[m, S, C]``, as the tower gives it.

    The tower is built when the vectors are first needed, and given up when they are there. Saved weights hold the
    vectors and a hash of what they are of: a loaded model needs no tower, and another tower or other sentences are
    refused.

    Args:
        config: The text tower.
        dictionary: The sentences.

    Raises:
        UnknownNameError: There is no such tower.
        ModelError: It cannot be built.

    Example:
        >>> bank = SentenceBank(TowerConfig(architecture="hashing"), Dictionary.model_validate("shipped"))
        >>> bank.width, bank().shape
        (512, torch.Size([2, 64, 512]))
    """

    vectors: Tensor

    def __init__(self, config: TowerConfig, dictionary: Dictionary) -> None:
        super().__init__()
        self.config, self.dictionary = config, dictionary
        plain = TowerConfig(architecture=config.architecture, seed=config.seed, overrides=config.overrides)
        # The width is looked up without weights, so that building a model neither draws nor fetches any.
        with torch.device("meta"):
            self.width = text_encoder(plain).width
        self.register_buffer("vectors", torch.zeros(len(MODALITIES), dictionary.num_each, self.width))
        self._is_there = False
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
        """The vectors ``[m, S, C]``, in the order of the modalities and of their sentences."""
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
        sentences = [sentence for modality in MODALITIES for sentence in self.dictionary.of(modality)]
        # What was made in inference mode could take no part in training.
        with torch.inference_mode(mode=False), torch.no_grad():
            encoder = self._build()
            if are_weights_left_out():
                # Of drawn weights, to count with; nobody keeps them.
                self.vectors.copy_(encoder.encode(sentences).view_as(self.vectors))
                return
            self.vectors.copy_(encode_cached(encoder, sentences).view_as(self.vectors))
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
                f"these weights were trained with another dictionary, or with another text tower than "
                f"{self.config.architecture} ({self.config.weights}); configure text and dictionary as they were"
            )
        self._is_there = True

    def _digest(self) -> str:
        # A file of weights is known by its hash, wherever it lies; a dictionary by what it says.
        tower = self.config.model_dump(mode="json", exclude={"path"})
        return json_digest([tower, [list(self.dictionary.of(modality)) for modality in MODALITIES]])

    def _build(self) -> TextEncoder:
        # On the CPU, so that vectors do not depend on the device of the training.
        with torch.device("cpu"):
            return text_encoder(self.config)


def _bring_first(bank: SentenceBank, _prefix: str, _keep_vars: bool) -> None:
    bank.bring()
