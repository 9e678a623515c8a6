"""Kept features of some sequences, read in whole batches as frames are.

Axes: N sequences, B clips of a batch, T frames of a clip; features C', h, w.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gaitbench.storage.bank import CacheMode, FrameBank

__all__ = ["FeatureBank"]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureBank:
    """Features of N sequences, and of their mirror images where these are kept too."""

    name: str
    """Under which batches carry them."""
    modality: str
    """The stream that they stand for."""
    rows: FrameBank
    """``[N]`` sequences, or ``[2 N]`` with the mirror images behind."""
    is_mirrored: bool
    """True when mirror images are kept."""

    def __len__(self) -> int:
        return len(self.rows) // (2 if self.is_mirrored else 1)

    def cached(self, mode: CacheMode, device: torch.device | str = "cpu") -> "FeatureBank":
        """The same features, copied to memory or to the device; see :meth:`gaitbench.storage.bank.FrameBank.cached`."""
        if mode == "none":
            return self
        return FeatureBank(self.name, self.modality, self.rows.cached(mode, device), self.is_mirrored)

    def read(
        self,
        sequence: Tensor,
        frame: Tensor,
        device: torch.device | str = "cpu",
        flip: NDArray[np.bool_] | None = None,
    ) -> Tensor:
        """Read the features of a batch.

        Args:
            sequence: ``[B]`` int64 rows.
            frame: ``[B, T]`` int64 frames of each.
            device: Where the result goes.
            flip: ``[B]`` true for clips that are mirrored; None for none.

        Returns:
            ``[B, C', T, h, w]`` float32.

        Raises:
            DatasetError: A frame lies outside its sequence.
        """
        if flip is not None and flip.any():
            assert self.is_mirrored, "clips are mirrored, and features of mirror images were not asked for"
            sequence = sequence + len(self) * torch.from_numpy(flip)
        kept = self.rows.gather(sequence, frame, device).transpose(1, 2)
        out = torch.empty(kept.shape, device=kept.device)
        return out.copy_(kept)
