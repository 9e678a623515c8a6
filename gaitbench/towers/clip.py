"""open_clip's architectures: their settings, where the hub keeps their weights, and which belong to which tower."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from gaitbench.errors import ModelError
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.libraries import library, unknown_architecture
from gaitbench.towers.weights import HubFile

__all__ = [
    "OPENAI_KEYS",
    "ClipSettings",
    "clip_hub_file",
    "clip_settings",
    "has_quick_gelu",
    "image_weights",
    "set_quick_gelu",
    "text_weights",
]

PREFIX = "open_clip:"
"""Of the names of image towers."""

OPENAI_KEYS = frozenset({"input_resolution", "context_length", "vocab_size"})
"""Sizes that OpenAI's exported models keep among their weights."""

_SHARED = frozenset({"logit_scale", "logit_bias"})


class ClipSettings(NamedTuple):
    """An architecture of open_clip."""

    embed_dim: int
    """Width of the space that images and texts share."""
    vision: dict[str, Any]
    """Fields of open_clip's ``vision_cfg``."""
    text: dict[str, Any]
    """Fields of its ``text_cfg``."""
    is_quick: bool
    """True where the activation is OpenAI's approximation of GELU."""
    mean: tuple[float, ...]
    """Of images."""
    std: tuple[float, ...]
    """Of images."""


def clip_settings(config: TowerConfig, part: str) -> ClipSettings:
    """Look an architecture up and apply the overrides.

    Args:
        config: The tower.
        part: ``vision`` or ``text``, whose fields the overrides name; ``embed_dim`` belongs to both.

    Raises:
        UnknownNameError: open_clip has no such architecture.
        ModelError: An override names no field, or the tag is unknown.
    """
    open_clip = library("open_clip")
    name = config.architecture.removeprefix(PREFIX)
    if name not in open_clip.list_models():
        raise unknown_architecture(name, open_clip.list_models(), "open_clip")
    settings = open_clip.get_model_config(name)
    pretrained = _pretrained(config) if config.weights == "pretrained" else {}
    overrides = dict(config.overrides)
    embed_dim = overrides.pop("embed_dim", settings["embed_dim"])
    fields = open_clip.CLIPVisionCfg if part == "vision" else open_clip.CLIPTextCfg
    if unknown := sorted(overrides.keys() - fields.__dataclass_fields__.keys()):
        raise ModelError(
            f"{config.architecture} has no setting {', '.join(unknown)}; its {part} settings are embed_dim, "
            f"{', '.join(fields.__dataclass_fields__)}"
        )
    settings[f"{part}_cfg"].update(overrides)
    return ClipSettings(
        embed_dim=int(embed_dim),
        vision=settings["vision_cfg"],
        text=settings["text_cfg"],
        is_quick=bool(settings.get("quick_gelu") or pretrained.get("quick_gelu")),
        mean=tuple(pretrained.get("mean", open_clip.OPENAI_DATASET_MEAN)),
        std=tuple(pretrained.get("std", open_clip.OPENAI_DATASET_STD)),
    )


def clip_hub_file(config: TowerConfig) -> HubFile:
    """Where the hub keeps the weights that open_clip names.

    Raises:
        ModelError: open_clip does not know the tag, or names no repository for it.
    """
    address = str(_pretrained(config).get("hf_hub", ""))
    repository, _, name = address.rpartition("/")
    if not repository:
        raise ModelError(
            f"open_clip names no repository of the hub for {config.architecture} with tag {config.tag!r}; download the "
            "file that it names, and give it: weights='file', path='FILE'"
        )
    names = (name,) if name else ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    return HubFile(repository, names)


def has_quick_gelu(network: Any) -> bool:
    """Tell whether a transformer of open_clip has OpenAI's approximation of GELU."""
    return any(type(block.mlp.gelu).__name__ == "QuickGELU" for block in network.transformer.resblocks)


def set_quick_gelu(network: Any, *, is_quick: bool) -> None:
    """Give a transformer of open_clip the activation that its weights were trained with."""
    if has_quick_gelu(network) != is_quick:
        for block in network.transformer.resblocks:
            block.mlp.gelu = library("open_clip").transformer.QuickGELU() if is_quick else nn.GELU()


def text_weights(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The text tower's part of a published state, under the names of open_clip's text transformer."""
    kept = {
        key: value
        for key, value in published.items()
        if not key.startswith("visual.") and key not in _SHARED | OPENAI_KEYS and not key.endswith("attn_mask")
    }
    # Models that keep the text tower as a part of its own put this before its names.
    return {key.removeprefix("text."): value for key, value in kept.items()}


def image_weights(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The image tower's part of a published state, under the names of open_clip's image networks."""
    return {key.removeprefix("visual."): value for key, value in published.items() if key.startswith("visual.")}


def _pretrained(config: TowerConfig) -> dict[str, Any]:
    open_clip = library("open_clip")
    name = config.architecture.removeprefix(PREFIX)
    found: dict[str, Any] = open_clip.get_pretrained_cfg(name, config.tag)
    if not found:
        tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
        raise ModelError(f"open_clip knows no weights {config.tag!r} of {name}; give one of these as tag: {tags}")
    return found
