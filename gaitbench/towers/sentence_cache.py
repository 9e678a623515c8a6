"""Sentences encoded once: vectors on disk, by the encoder and the words.

::

    CACHE/sentences/TOWER/SHA256.safetensors   vectors, each under the sha256 of its sentence

TOWER is a hash of everything in the encoder that determines its vectors. A file is named by the hash of its own bytes,
so that a damaged one is known for what it is; processes that write at once write different files or the same one.

Axes: S sentences, D width.
"""

import contextlib
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor

from gaitbench.atomic import write_bytes
from gaitbench.digest import json_digest
from gaitbench.errors import ModelError
from gaitbench.store import cache_root
from gaitbench.towers.text_encoder import TextEncoder, check_sentences

__all__ = ["encode_cached", "sentence_folder"]

_log = logging.getLogger("gaitbench")
_FORMAT = 1


def encode_cached(encoder: TextEncoder, sentences: Sequence[str], *, root: Path | None = None) -> Tensor:
    """Encode sentences; those that this encoder has seen before are read.

    Args:
        encoder: A frozen one.
        sentences: S of them; the same one may come several times.
        root: Of the cache; None for gaitbench's own.

    Returns:
        ``[S, D]`` float32 on the CPU, as :meth:`TextEncoder.encode` gives them.

    Raises:
        ModelError: The encoder changes while it is trained; a sentence is empty or too long; or the encoder gave NaN.
        OutputError: The cache cannot be written.

    Example:
        >>> import tempfile
        >>> from gaitbench.towers.config import TowerConfig
        >>> from gaitbench.towers.text import text_encoder
        >>> encoder = text_encoder(TowerConfig(architecture="hashing"))
        >>> encode_cached(encoder, ["a long coat", "a bag", "a long coat"], root=Path(tempfile.mkdtemp())).shape
        torch.Size([3, 512])
    """
    check_sentences(sentences)
    if not encoder.identity:
        raise ModelError(
            f"the vectors of {encoder.info.says} change with its training and cannot be kept; call its encode method"
        )
    folder = sentence_folder(encoder, root)
    keys = [hashlib.sha256(sentence.encode()).hexdigest() for sentence in sentences]
    known = _read(folder, set(keys), encoder.width)
    new = {key: sentence for key, sentence in zip(keys, sentences, strict=True) if key not in known}
    if new:
        vectors = encoder.encode(list(new.values())).cpu()
        if not bool(vectors.isfinite().all()):
            raise ModelError(f"{encoder.info.says} gave NaN or infinity for a sentence; check its weights")
        made = {key: vector.clone() for key, vector in zip(new, vectors, strict=True)}
        content = save(made)
        write_bytes(folder / f"{hashlib.sha256(content).hexdigest()}.safetensors", content)
        known |= made
    return torch.stack([known[key] for key in keys]) if keys else torch.zeros(0, encoder.width)


def sentence_folder(encoder: TextEncoder, root: Path | None = None) -> Path:
    """Where the vectors of an encoder are kept.

    Args:
        encoder: Frozen.
        root: Of the cache; None for gaitbench's own.
    """
    return (root or cache_root()) / "sentences" / json_digest([_FORMAT, encoder.identity])[:32]


def _read(folder: Path, keys: set[str], width: int) -> dict[str, Tensor]:
    """Vectors of the keys that are there; a damaged file is named, removed and done again."""
    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        if not keys - found.keys():
            break
        try:
            content = path.read_bytes()
        except OSError:  # gone meanwhile, or not to be read: encoded again
            continue
        if hashlib.sha256(content).hexdigest() != path.stem:
            _log.warning("%s is damaged; its sentences are encoded again", path)
            with contextlib.suppress(OSError):
                path.unlink()
            continue
        vectors = load(content)
        found |= {key: vectors[key] for key in keys & vectors.keys() if vectors[key].shape == (width,)}
    return found
