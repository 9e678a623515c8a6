"""A frozen tower inside a model, kept apart from the model's own weights."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, Self, TypeVar, cast

import torch
from torch import Tensor, nn

from gaitbench.errors import ModelError
from gaitbench.towers.config import TowerInfo
from gaitbench.towers.left_out import are_weights_left_out

__all__ = ["Borrowed"]


class _Tower(Protocol):
    """An image or text tower."""

    info: TowerInfo


T = TypeVar("T", bound=_Tower)


class Borrowed(nn.Module, Generic[T]):
    """A tower that a model uses and does not own.

    It is built when it is first needed, and moves with the model from then on. Its parameters are none of the model's:
    they are neither trained nor counted nor saved. A saved model keeps the hash of the tower's weights instead; loading
    it builds the tower from its configuration again and compares.

    Args:
        build: Makes the frozen tower; called once.

    Example:
        >>> from gaitbench.towers.config import TowerConfig
        >>> from gaitbench.towers.image import ImageTower
        >>> small = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 28}
        >>> config = TowerConfig(architecture="vit_small_patch14_dinov2", overrides=small)
        >>> borrowed = Borrowed(lambda: ImageTower(config, image_size=(28, 28)))
        >>> borrowed(torch.rand(1, 3, 28, 28)).last.shape
        torch.Size([1, 32, 2, 2])
        >>> len(list(borrowed.parameters())), borrowed.state_dict()["_extra_state"].shape
        (0, torch.Size([32]))
    """

    _place: Tensor

    def __init__(self, build: Callable[[], T]) -> None:
        super().__init__()
        self._build = build
        # A list hides the tower from nn.Module, which would make its weights the model's.
        self._built: list[T] = []
        self._is_left_out = False
        self.register_buffer("_place", torch.empty(0), persistent=False)

    @property
    def tower(self) -> T:
        """The tower, built now if it was not before."""
        if self._is_left_out and not are_weights_left_out():
            self._built.clear()
        if not self._built:
            device = self._place.device
            # Tensors made in inference mode could not take part in training later.
            with torch.inference_mode(mode=False), torch.device("meta" if device.type == "meta" else "cpu"):
                tower = self._build()
            cast("nn.Module", tower).to(device=device, dtype=self._place.dtype)
            self._built.append(tower)
            self._is_left_out = are_weights_left_out()
        return self._built[0]

    @property
    def info(self) -> TowerInfo:
        """Of the tower, for the record."""
        return self.tower.info

    @property
    def is_built(self) -> bool:
        """Whether it was needed yet."""
        return bool(self._built)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the tower gives."""
        return cast("nn.Module", self.tower)(*args, **kwargs)

    def get_extra_state(self) -> Tensor:
        """The sha256 of the tower's weights as ``[32]`` uint8: what a saved model keeps of the tower."""
        if self._place.is_meta:
            return torch.empty(32, dtype=torch.uint8, device="meta")
        return torch.frombuffer(bytearray.fromhex(self.tower.info.sha256), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Compare the hash that a saved model keeps with that of the tower as it is built here.

        Raises:
            ModelError: They differ.
        """
        if self._place.is_meta or state.is_meta:
            return
        # Weights that were stored in half precision hold the bytes of the hash as fractions.
        wanted = bytes(state.to("cpu", torch.uint8).tolist()).hex()
        info = self.tower.info
        if wanted != info.sha256:
            raise ModelError(
                f"these weights were trained with another {info.role} tower: it hashes to {wanted[:12]}..., "
                f"{info.architecture} ({info.weights}, {info.source}) to {info.sha256[:12]}... Configure the one that "
                "they were trained with; a tower that was drawn from a seed needs the same versions of its package and "
                "of torch, too"
            )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Move or convert the tower with the model."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for tower in self._built:
            cast("nn.Module", tower)._apply(fn)  # type: ignore[no-untyped-call]
        return self
