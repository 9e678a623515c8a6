"""Vision transformers of timm, DINOv2 first of all, as image towers.

Axes: N images, D width, h rows and w columns of tokens.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gaitbench.errors import ModelError
from gaitbench.towers.config import Override
from gaitbench.towers.image_network import ImageFeatures, ImageNetwork, map_of, stacked
from gaitbench.towers.libraries import library, unknown_architecture
from gaitbench.towers.weights import HubFile, resample_positions, square_grid

__all__ = ["TimmVit", "timm_hub_file"]


class TimmVit(ImageNetwork):
    """A vision transformer of timm without its classifier.

    The table of positions keeps the grid of the architecture (37 x 37 tokens in DINOv2, for images of 518 pixels), so
    that published weights are kept as they are; it is resampled to the grid of the images whenever they are encoded.

    Args:
        architecture: Name in timm.
        image_size: Rows and columns of the images.
        overrides: Arguments of timm's model.
        own_positions: True for a table of the images' own grid, for weights that are trained here.

    Raises:
        UnknownNameError: timm has no such architecture.
        ModelError: It is no plain vision transformer, or does not take the arguments.

    Source:
        Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021; Oquab et al., "DINOv2", TMLR 2024.
    """

    def __init__(
        self,
        architecture: str,
        *,
        image_size: tuple[int, int],
        overrides: Mapping[str, Override],
        own_positions: bool = False,
    ) -> None:
        super().__init__()
        settings: dict[str, Any] = dict(overrides)
        if own_positions:
            settings.setdefault("img_size", image_size)
        self.vit = _create(architecture, settings)
        self.grid: tuple[int, int] = tuple(self.vit.patch_embed.grid_size)
        self.stride = tuple(self.vit.patch_embed.patch_size)
        self.width = int(self.vit.embed_dim)
        self.pooled_width = int(self.vit.num_features)
        self.num_layers = len(self.vit.blocks)
        self.mean, self.std = tuple(self.vit.default_cfg["mean"]), tuple(self.vit.default_cfg["std"])
        # DINOv2's training hid patches behind this token. Features never use it; it is kept where the weights are, so
        # that a published file fits whole and the tower has the published number of parameters.
        if "dinov2" in architecture and not own_positions:
            self.vit.mask_token = nn.Parameter(torch.zeros(1, self.width), requires_grad=False)

    def forward(self, pixels: Tensor, layers: tuple[int, ...]) -> ImageFeatures:
        """Encode ``[N, 3, H, W]`` in timm's own order of steps."""
        size = pixels.shape[2] // self.stride[0], pixels.shape[3] // self.stride[1]
        num_prefix = self.vit.num_prefix_tokens
        if layers:
            tokens, maps = self.vit.forward_intermediates(pixels, indices=[layer - 1 for layer in layers])
        else:
            tokens, maps = self.vit.forward_features(pixels), []
        last = map_of(tokens, size, num_prefix)
        return ImageFeatures(last, stacked(maps, last), self.vit.forward_head(tokens, pre_logits=True))

    def project(self, tokens: Tensor) -> Tensor:
        """Nothing is projected: the pooled vector is a token."""
        return tokens

    def translate(self, published: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
        """Names of DINOv2's own files become timm's; classifiers are dropped; positions take the grid of the table."""
        renamed: dict[str, Tensor] = {}
        for key, value in published.items():
            name = re.sub(r"(\.mlp\.)w12\.", r"\1fc1.", re.sub(r"(\.mlp\.)w3\.", r"\1fc2.", key))
            if not name.startswith(("head.", "head_dist.")):
                renamed["reg_token" if name == "register_tokens" else name] = value
        if "register_tokens" in published and self.vit.no_embed_class and {"cls_token", "pos_embed"} <= renamed.keys():
            # The published table has a position for the class token; timm's adds it to the token once and for all.
            renamed["cls_token"] = renamed["cls_token"] + renamed["pos_embed"][:, :1]
            renamed["pos_embed"] = renamed["pos_embed"][:, 1:]
        ours = self.vit.state_dict()
        if "mask_token" not in ours:
            renamed.pop("mask_token", None)
        elif "mask_token" not in renamed:
            renamed["mask_token"] = torch.zeros_like(ours["mask_token"], device="cpu")
        positions = renamed.get("pos_embed")
        if positions is not None and positions.ndim == 3 and positions.shape != ours["pos_embed"].shape:
            num_prefix = 0 if self.vit.no_embed_class else self.vit.num_prefix_tokens
            old = square_grid(positions.shape[1] - num_prefix, where)
            renamed["pos_embed"] = resample_positions(positions[0], old, self.grid, num_prefix=num_prefix)[None]
        return {f"vit.{key}": value for key, value in renamed.items()}

    @property
    def num_without_positions(self) -> int:
        """Parameters apart from the table of positions."""
        positions = 0 if self.vit.pos_embed is None else self.vit.pos_embed.numel()
        return sum(weight.numel() for weight in self.parameters()) - positions


def timm_hub_file(architecture: str) -> HubFile:
    """Where the hub keeps the weights that timm names.

    Raises:
        ModelError: timm names no repository.
    """
    timm = library("timm")
    config = timm.get_pretrained_cfg(architecture)
    if config is None or not config.hf_hub_id:
        raise ModelError(
            f"timm names no repository for the weights of {architecture}; give a file: weights='file', path='FILE'"
        )
    named = (config.hf_hub_filename,) if config.hf_hub_filename else ("model.safetensors", "pytorch_model.bin")
    return HubFile(config.hf_hub_id, named)


def _create(architecture: str, settings: Mapping[str, Any]) -> Any:
    timm = library("timm")
    if not timm.is_model(architecture):
        raise unknown_architecture(architecture, timm.list_models(), "timm")
    if architecture.partition(".")[0] not in timm.list_models(module="vision_transformer"):
        raise ModelError(
            f"{architecture} is none of timm's plain vision transformers; image towers of timm are, such as "
            "vit_small_patch14_dinov2.lvd142m"
        )
    try:
        return timm.create_model(
            architecture, pretrained=False, num_classes=0, **{"dynamic_img_size": True, **settings}
        )
    except (TypeError, ValueError, RuntimeError, AssertionError, AttributeError) as error:
        given = ", ".join(f"{key}={value!r}" for key, value in settings.items()) or "its own settings"
        raise ModelError(f"timm cannot build {architecture} with {given}: {error}") from error
