"""Text-guided disentanglement (TFD): what belongs to a modality is put together from prototypes and taken away.

Axes: M sequences, D width, C width of CLIP's space, h rows, w columns, S prototypes of each modality, k retrieved.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.errors import ModelError
from gaitbench.layers import init_parameters, widen
from gaitbench_tcfdnet.config import TcfdNetConfig
from gaitbench_tcfdnet.dictionary import MODALITIES

__all__ = ["Disentangled", "Disentangling", "Retrieved", "retrieve"]


class Retrieved(NamedTuple):
    """Prototypes of each sequence's own modality, the most alike first."""

    numbers: Tensor
    """``[M, k]`` int64 within the modality's S."""
    similarity: Tensor
    """``[M, k]`` cosines."""


class Disentangled(NamedTuple):
    """A feature in two parts, which add up to it."""

    shared: Tensor
    """``[M, D, h, w]``: what is left."""
    modality: Tensor
    """``[M, D, h, w]``: what is called the modality's own."""
    gate: Tensor
    """``[M, D]``: alpha, how much of what was put together is taken away, in [0, 1]."""


def retrieve(queries: Tensor, bank: Tensor, kind: Tensor, count: int) -> Retrieved:
    """Find for each sequence the prototypes of its own modality that are most like it.

    Of prototypes that are alike, such as sentences of the same words, the first ones of the bank are taken.

    Args:
        queries: ``[M, C]``.
        bank: ``[m, S, C]``, S prototypes of each of m modalities.
        kind: ``[M]`` int64, each sequence's modality.
        count: k, at most S.

    Raises:
        ModelError: There are fewer prototypes of a modality than are asked for.

    Example:
        >>> bank = torch.eye(4).view(2, 2, 4)  # modality 0 has the first two axes, modality 1 the others
        >>> retrieve(torch.tensor([[0.0, 1.0, 5.0, 5.0]]), bank, torch.tensor([0]), 1).numbers
        tensor([[1]])
    """
    if not 1 <= count <= bank.shape[1]:
        raise ModelError(f"{count} of {bank.shape[1]} prototypes of each modality cannot be retrieved; ask for fewer")
    with torch.autocast(queries.device.type, enabled=False):
        own = functional.normalize(widen(bank), dim=2)[kind]  # [M, S, C]
        cosine = torch.einsum("mc,msc->ms", functional.normalize(widen(queries), dim=1), own)
        # Not topk, whose choice among equals may change with the batch.
        similarity, numbers = cosine.sort(dim=1, descending=True, stable=True)
    return Retrieved(numbers[:, :count], similarity[:, :count])


class Disentangling(nn.Module):
    """Puts a modality's part together, gates it, subtracts it.

    Args:
        config: d, tau, the gate, where prototypes come from.

    Source:
        TCFDNet, CVPR 2026, text-guided feature disentanglement: Omega = softmax(cos(u, V)), F_mod = Linear(Omega V),
        alpha = sigmoid(MLP(pool(u))), F_shared = u - alpha F_mod.
    """

    def __init__(self, config: TcfdNetConfig) -> None:
        super().__init__()
        width = config.width
        self.tau = config.tau
        self.learned: nn.Parameter | None = None
        if config.prototypes == "learned":
            self.learned = nn.Parameter(torch.randn(len(MODALITIES), config.dictionary.num_each, width))
        self.project = None if config.prototypes == "none" else nn.Linear(width, width)
        self.combine = nn.Linear(width, width)
        last = nn.Linear(config.gate_width, width)
        self.gate = nn.Sequential(nn.Linear(width, config.gate_width), nn.LeakyReLU(0.01), last)
        init_parameters(self)
        nn.init.constant_(last.bias, config.gate_bias)

    def forward(self, maps: Tensor, prototypes: Tensor | None) -> Disentangled:
        """Divide features, in float32 also under autocast: a difference of near numbers has few digits.

        Args:
            maps: ``[M, D, h, w]``.
            prototypes: ``[M, k, D]`` of each sequence; None where there are none.

        Raises:
            ModelError: Prototypes are missing, or there are some that nothing reads.
        """
        if (prototypes is None) != (self.project is None):
            raise ModelError("prototypes come where the configuration has some (prototypes), and only there")
        with torch.autocast(maps.device.type, enabled=False):
            maps = widen(maps)
            gate = self.gate(maps.mean(dim=(2, 3))).sigmoid()  # [M, D]
            modality = gate[:, :, None, None] * self._put_together(maps, prototypes)
        return Disentangled(maps - modality, modality, gate)

    def _put_together(self, maps: Tensor, prototypes: Tensor | None) -> Tensor:
        """F_mod, ``[M, D, h, w]``."""
        places = maps.flatten(2).transpose(1, 2)  # [M, h*w, D]
        if prototypes is not None:
            assert self.project is not None
            units = functional.normalize(self.project(widen(prototypes)), dim=2)  # [M, k, D]
            omega = torch.softmax(functional.normalize(places, dim=2) @ units.transpose(1, 2) / self.tau, dim=2)
            places = omega @ units
        combined: Tensor = self.combine(places)
        return combined.transpose(1, 2).reshape(maps.shape)
