"""Towers small enough for tests, and published files of them, made here from the packages' own networks."""

from pathlib import Path
from typing import Any

import open_clip
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from gaitbench.towers.config import TowerConfig

VIT = "vit_small_patch14_dinov2.lvd142m"
VIT_SIZES: dict[str, Any] = {"embed_dim": 32, "depth": 4, "num_heads": 2, "img_size": 56}
TEXT_SIZES: dict[str, Any] = {"width": 32, "heads": 2, "layers": 3, "embed_dim": 24}
CLIP_VIT_SIZES: dict[str, Any] = {
    "width": 32,
    "layers": 3,
    "head_width": 16,
    "patch_size": 16,
    "image_size": 64,
    "embed_dim": 24,
}
RESNET_SIZES: dict[str, Any] = {"width": 8, "layers": (1, 1, 1, 1), "image_size": 64, "embed_dim": 24}


def timm_vit(seed: int = 0, **sizes: Any) -> Any:
    """A vision transformer of timm with weights unlike the initial ones, so that every layer does something."""
    torch.manual_seed(seed)
    vit = timm.create_model(VIT, num_classes=0, **{**VIT_SIZES, **sizes}).eval()
    return perturbed(vit)


def clip(seed: int = 0, *, is_quick: bool = False, vision: dict[str, Any] | None = None) -> Any:
    """A whole CLIP of open_clip."""
    vision = dict(CLIP_VIT_SIZES if vision is None else vision)
    text = dict(TEXT_SIZES)
    text.pop("embed_dim")
    torch.manual_seed(seed)
    model = open_clip.model.CLIP(
        embed_dim=vision.pop("embed_dim"), vision_cfg=vision, text_cfg=text, quick_gelu=is_quick
    )
    return perturbed(model.eval())


def perturbed(network: Any) -> Any:
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return network


def saved(path: Path, state: dict[str, Any]) -> Path:
    """Write a state as safetensors or with ``torch.save``, by the name's ending."""
    if path.suffix == ".safetensors":
        save_file({key: value.clone().contiguous() for key, value in state.items()}, path)
    else:
        torch.save(state, path)
    return path


def of_file(architecture: str, path: Path, overrides: dict[str, Any]) -> TowerConfig:
    return TowerConfig(architecture=architecture, weights="file", path=path, overrides=overrides)


def normalised(pixels: Tensor, network: Any) -> Tensor:
    mean, std = (torch.tensor(network.default_cfg[key]).reshape(1, 3, 1, 1) for key in ("mean", "std"))
    return (pixels - mean) / std


def clip_normalised(pixels: Tensor) -> Tensor:
    mean, std = (
        torch.tensor(values).reshape(1, 3, 1, 1)
        for values in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    )
    return (pixels - mean) / std
