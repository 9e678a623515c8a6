"""What a model computes from single frames without any trainable parameter, so that it can be computed once and kept.

A model with a frozen tower gives such a description (:attr:`gaitbench.model.GaitModel.frozen_features`) and reads its
features with :meth:`FrozenFeatures.of`. In a plain run the tower works in every step; with ``run --feature-cache`` the
batch carries the features instead of the frames (:mod:`gaitbench.features`), and the model cannot tell.

Masks that lie in the frame of such frames are the stream ``silhouette-raw``: in CCPG, CASIA-B*, SUSTech1K and the
walkers it shows the same window as ``rgb``, and reaches a model as 0 to 1.

Axes: N batch, C channels, T frames, H rows, W columns; M single frames; features C', h, w.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from gaitbench.digest import json_digest
from gaitbench.errors import ModelError

if TYPE_CHECKING:
    from gaitbench.model import GaitBatch

__all__ = ["FeatureDtype", "FrozenFeatures"]

FeatureDtype = Literal["float32", "float16"]
"""How features are kept on disk; they reach the model as float32."""


class FrozenFeatures(ABC):
    """Features of single frames that training leaves alone.

    Args:
        modality: The stream that they are computed from; one of the model's inputs.
        name: Under which a batch carries them, such as ``rgb:features``.
        shape: C', h, w of one frame.
        key: Everything besides the frames that determines the values, as JSON: the tower with the hash of its weights,
            layers, resizing, normalisation. Features of another key are other features.
        dtype: How they are kept on disk. ``float16`` halves the space and rounds, so that such runs have names of their
            own.
        beside: Other inputs of the model that are read with each frame, such as ``aspect-ratio``; joints or single
            values, with as many frames as the stream. Batches keep them.

    Raises:
        ModelError: The description contradicts itself.
    """

    def __init__(
        self,
        *,
        modality: str,
        name: str,
        shape: tuple[int, int, int],
        key: Mapping[str, Any],
        dtype: FeatureDtype = "float32",
        beside: Sequence[str] = (),
    ) -> None:
        if name == modality:
            raise ModelError(f"frozen features need a name of their own, {name!r} is their source")
        if len(shape) != 3 or min(shape) < 1:
            raise ModelError(f"frozen features {name!r} have the shape [C, h, w] of one frame, got {list(shape)}")
        if dtype not in ("float32", "float16"):
            raise ModelError(f"frozen features {name!r} are kept as float32 or float16, not as {dtype!r}")
        self.modality = modality
        self.name = name
        self.shape = shape
        self.key = dict(key)
        self.dtype: FeatureDtype = dtype
        self.beside = tuple(beside)
        try:
            json_digest(self.key)
        except (TypeError, ValueError) as error:
            raise ModelError(f"the key of frozen features {name!r} is no JSON ({error}); hash arrays first") from error

    @abstractmethod
    def compute(self, frames: Tensor, *beside: Tensor) -> Tensor:
        """Compute the features of frames, one by one: no frame's values depend on another's.

        Args:
            frames: ``[M, C, H, W]`` float, as the batch has them: scaled, cut and flipped already.
            beside: ``[M, C, V]`` float for each of the streams that are read with them.

        Returns:
            ``[M, C', h, w]`` float.
        """

    def of(self, batch: "GaitBatch") -> Tensor:
        """The features of a batch: those that it carries, or those computed of its frames.

        Returns:
            ``[N, C', T, h, w]`` float, without gradients. Of padded frames they are zero where the batch carries them,
            and those of a black frame where not; a model leaves padded frames out anyway.
        """
        if (kept := batch.inputs.get(self.name)) is not None:
            return kept
        clips = batch.inputs[self.modality]  # [N, C, T, H, W]
        read = [batch.inputs[name].transpose(1, 2).flatten(0, 1) for name in (self.modality, *self.beside)]
        with torch.no_grad():
            features = self.compute(*read)
        return features.reshape(clips.shape[0], clips.shape[2], *features.shape[1:]).transpose(1, 2)
