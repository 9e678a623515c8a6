"""CLIP's two kinds of image encoders as towers: the vision transformer and the modified ResNet.

Axes: N images, D width, h rows and w columns of tokens.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gaitbench.errors import ModelError
from gaitbench.towers.clip import OPENAI_KEYS, ClipSettings, has_quick_gelu, image_weights, set_quick_gelu
from gaitbench.towers.image_network import ImageFeatures, ImageNetwork, map_of, stacked
from gaitbench.towers.libraries import library
from gaitbench.towers.weights import resample_positions, square_grid

__all__ = ["ClipResNet", "ClipVit", "clip_image_network"]


class _ClipImageNetwork(ImageNetwork):
    """Positions are kept with the grid of the architecture and resampled whenever images are encoded."""

    def __init__(self, settings: ClipSettings) -> None:
        super().__init__()
        self.network = _create(settings)
        self.pooled_width = settings.embed_dim
        self.mean, self.std = settings.mean, settings.std
        self.grid: tuple[int, int] = (0, 0)
        self.positions_name = ""

    def translate(self, published: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
        """Take the image part; positions take the grid of the table."""
        weights = image_weights(published)
        ours = self.network.state_dict()
        positions = weights.get(self.positions_name)
        if positions is not None and positions.ndim == 2 and positions.shape != ours[self.positions_name].shape:
            old = square_grid(len(positions) - 1, where)
            weights[self.positions_name] = resample_positions(positions, old, self.grid, num_prefix=1)
        # OpenAI's export leaves out the counters of batch norms, which nothing reads in evaluation.
        for key in ours:
            if key.endswith("num_batches_tracked"):
                weights.setdefault(key, torch.zeros((), dtype=torch.int64))
        return {f"network.{key}": value for key, value in weights.items()}

    @property
    def num_without_positions(self) -> int:
        """Parameters apart from the table of positions."""
        positions: int = self.network.get_parameter(self.positions_name).numel()
        return sum(weight.numel() for weight in self.parameters()) - positions


class ClipVit(_ClipImageNetwork):
    """CLIP's vision transformer.

    The pooled vector is the projected class token; the map holds the patches after the final norm, before projection.

    Args:
        settings: Of the architecture.

    Source:
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021.
    """

    def __init__(self, settings: ClipSettings) -> None:
        super().__init__(settings)
        if self.network.attn_pool is not None or self.network.pool_type != "tok" or self.network.final_ln_after_pool:
            raise ModelError(
                "image towers of open_clip are those that read the class token, such as open_clip:ViT-B-16"
            )
        self.grid = tuple(self.network.grid_size)
        self.stride = tuple(self.network.patch_size)
        self.positions_name = "positional_embedding"
        self.width = self.network.conv1.out_channels
        self.num_layers = len(self.network.transformer.resblocks)

    def forward(self, pixels: Tensor, layers: tuple[int, ...]) -> ImageFeatures:
        """Encode ``[N, 3, H, W]``."""
        net = self.network
        patches = net.conv1(pixels)  # [N, D, h, w]
        size = patches.shape[2], patches.shape[3]
        positions = resample_positions(net.positional_embedding, self.grid, size, num_prefix=1)
        first = net.class_embedding.to(patches.dtype).expand(len(patches), 1, -1)
        tokens = torch.cat([first, patches.flatten(2).transpose(1, 2)], dim=1)  # [N, 1 + h*w, D]
        tokens = net.ln_pre(tokens + positions.to(tokens.dtype))
        maps = []
        for number, block in enumerate(net.transformer.resblocks, start=1):
            tokens = block(tokens)
            if number in layers:
                maps.append(map_of(tokens, size, 1))
        tokens = net.ln_post(tokens)
        last = map_of(tokens, size, 1)
        return ImageFeatures(last, stacked(maps, last), tokens[:, 0] @ net.proj)

    def get_extra_state(self) -> Tensor:
        """Whether the activation is OpenAI's: it belongs to the weights and is not told by their shapes."""
        return torch.tensor(has_quick_gelu(self.network), device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Take the activation that the weights were trained with."""
        set_quick_gelu(self.network, is_quick=bool(state))

    def translate(self, published: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
        """Take the image part; OpenAI's export has its own activation."""
        is_quick = torch.tensor(True) if OPENAI_KEYS & published.keys() else self.get_extra_state()
        return super().translate(published, where) | {"_extra_state": is_quick}

    def project(self, tokens: Tensor) -> Tensor:
        """Apply CLIP's projection to every token."""
        projected: Tensor = tokens @ self.network.proj
        return projected


class ClipResNet(_ClipImageNetwork):
    """CLIP's ResNet with attention pooling; the map is its last feature map, and there are no layers of equal size.

    Args:
        settings: Of the architecture.

    Source:
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021.
    """

    def __init__(self, settings: ClipSettings) -> None:
        super().__init__(settings)
        pool = self.network.attnpool
        self.positions_name = "attnpool.positional_embedding"
        self.grid = square_grid(len(pool.positional_embedding) - 1, "open_clip's architecture")
        self.stride = (32, 32)
        self.width = pool.q_proj.in_features
        self.num_layers = 0

    def forward(self, pixels: Tensor, layers: tuple[int, ...]) -> ImageFeatures:  # noqa: ARG002
        """Encode ``[N, 3, H, W]``."""
        net = self.network
        last = net.layer4(net.layer3(net.layer2(net.layer1(net.stem(pixels)))))  # [N, D, h, w]
        positions = resample_positions(
            net.attnpool.positional_embedding, self.grid, (last.shape[2], last.shape[3]), num_prefix=1
        )
        pooled = torch.func.functional_call(net.attnpool, {"positional_embedding": positions}, (last,))
        return ImageFeatures(last, last[:, :0], pooled)

    def project(self, tokens: Tensor) -> Tensor:
        """Take every token through the value and output maps of the pooling, as if it were pooled alone."""
        pool = self.network.attnpool
        projected: Tensor = pool.c_proj(pool.v_proj(tokens))
        return projected


def clip_image_network(settings: ClipSettings) -> ImageNetwork:
    """Build the image network of an architecture of open_clip."""
    return ClipResNet(settings) if isinstance(settings.vision.get("layers"), list | tuple) else ClipVit(settings)


def _create(settings: ClipSettings) -> Any:
    open_clip = library("open_clip")
    if settings.vision.get("timm_model_name"):
        raise ModelError(
            f"the image tower of this architecture is timm's {settings.vision['timm_model_name']}; name it without "
            "'open_clip:', or take CLIP's own (open_clip:ViT-B-16, open_clip:RN50)"
        )
    try:
        network = open_clip.model._build_vision_tower(settings.embed_dim, settings.vision, settings.is_quick)
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ModelError(f"open_clip cannot build an image tower with {settings.vision}: {error}") from error
    assert isinstance(network, nn.Module)
    return network
