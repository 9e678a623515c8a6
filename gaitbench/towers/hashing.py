"""A text encoder that has learned nothing: hashed words, so that sentences are as alike as their words.

It stands in where no trained encoder can be had. It needs no download, and gives every process the same vectors.

Axes: S sentences, D width.
"""

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gaitbench.digest import json_digest
from gaitbench.errors import ModelError
from gaitbench.towers.config import HASHING, TowerConfig, TowerInfo
from gaitbench.towers.text_encoder import TextEncoder, check_sentences

__all__ = ["HashingEncoder"]

_VERSION = 1
_WORD = re.compile(r"[^\W_]+")
_NUM_BUCKETS = 4
_PAIR_WEIGHT = 0.5


class HashingEncoder(nn.Module, TextEncoder):
    """Adds up a few signed buckets for every word and, at half the weight, for every two words in a row.

    Case, punctuation and Unicode's several ways to write one letter do not matter; the order of words does a little.

    Args:
        config: Its override ``width`` is D, 512 where it is not given; its seed chooses the buckets.

    Raises:
        ModelError: Another override is given, or the width is no positive number.

    Source:
        Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009 (signed buckets). The pairs
        and the number of buckets per word are ours.

    Example:
        >>> encoder = HashingEncoder(TowerConfig(architecture="hashing"))
        >>> a, b, c = encoder.encode(["A man walks.", "a man, walks", "Her arms swing widely"])
        >>> torch.equal(a, b), bool(a @ b > a @ c)
        (True, True)
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        if config.architecture != HASHING:
            raise ModelError(f"{config.architecture} is no hashing encoder")
        width = config.overrides.get("width", 512)
        if unknown := sorted(config.overrides.keys() - {"width"}):
            raise ModelError(f"the hashing encoder has no setting {', '.join(unknown)}; it has width")
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            raise ModelError(f"the width of the hashing encoder must be a whole number from 1, got {width!r}")
        self.width = width
        self._seed = config.seed
        self.info = TowerInfo(
            role="text",
            architecture=HASHING,
            weights="hashing",
            source=f"seed {config.seed}",
            sha256=json_digest([HASHING, _VERSION, width, config.seed]),
            num_parameters=0,
            is_frozen=True,
        )

    def encode(self, sentences: Sequence[str]) -> Tensor:
        """Encode sentences to unit length.

        Args:
            sentences: S of them, each with a word.

        Returns:
            ``[S, D]`` float32 on the CPU.

        Raises:
            ModelError: A sentence has no word.
        """
        check_sentences(sentences)
        vectors = torch.zeros(len(sentences), self.width)
        for row, sentence in enumerate(sentences):
            words = _words(sentence)
            for word in words:
                self._add(vectors[row], word, 1.0)
            for pair in itertools.pairwise(words):
                self._add(vectors[row], " ".join(pair), _PAIR_WEIGHT)
        return nn.functional.normalize(vectors, dim=1)

    def _add(self, vector: Tensor, feature: str, weight: float) -> None:
        digest = hashlib.sha256(f"{self._seed} {feature}".encode()).digest()
        for start in range(0, 4 * _NUM_BUCKETS, 4):
            number = int.from_bytes(digest[start : start + 4], "big")
            vector[(number >> 1) % self.width] += weight if number & 1 else -weight


def _words(sentence: str) -> list[str]:
    text = unicodedata.normalize("NFKC", sentence).casefold()
    return _WORD.findall(re.sub("['\N{RIGHT SINGLE QUOTATION MARK}]", "", text))
