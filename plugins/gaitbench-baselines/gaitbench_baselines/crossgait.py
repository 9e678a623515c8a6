"""CrossGait: what two sensors share, read off common prototypes, beside what adapters bring into one space.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts, K prototypes.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.layers import ResNet9, SeparateBNNeck, SeparateFC, init_parameters
from gaitbench.losses import supervised_contrastive
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.one_space import (
    SensorConfig,
    cross_entropy_of_all,
    cross_triplets,
    joined,
    outputs_of_all,
    parts_of,
    triplets_within,
)
from gaitbench_baselines.sensor_streams import num_channels, pictures_of, present, stream_specs

__all__ = ["PRESETS", "CrossGait", "CrossGaitConfig", "FeatureAdapter", "PrototypeAttention"]


class CrossGaitConfig(SensorConfig, frozen=True):
    """Sizes of CrossGait. The abstract names the modules and no size, so that all of them are ours."""

    num_prototypes: PositiveInt = 64
    """K, the same for all sensors and parts."""
    attention_temperature: PositiveFloat = 0.1
    """Of the softmax over prototypes: cosines alone would give every prototype nearly the same weight."""
    adapter_width: PositiveInt = 256
    """Hidden width of the adapters."""
    contrast_temperature: PositiveFloat = 0.1
    """Of the supervised contrastive loss."""
    retrieves: Literal["both", "shared", "adapted", "specific"] = "both"
    """What probes and gallery are compared by: shared beside adapted features; one of them; or each sensor's own, which
    the paper keeps for recognition within one sensor and which no loss brings together."""


class PrototypeAttention(nn.Module):
    """Describe each part by prototypes that all sensors have in common (PMAM).

    Args:
        width: D.
        num_prototypes: K.
        temperature: Of the softmax over cosines.

    Source:
        CrossGait, IJCB 2024, its abstract: a module of learnable prototypes that learns what the sensors share. The
        form of the attention is ours.

    Example:
        >>> PrototypeAttention(8, 4)(torch.randn(2, 8, 16)).shape
        torch.Size([2, 8, 16])
    """

    def __init__(self, width: int, num_prototypes: int, *, temperature: float = 0.1) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.randn(num_prototypes, width))
        self.temperature = temperature
        self.out = nn.Linear(width, width)
        init_parameters(self.out)

    def weights(self, x: Tensor) -> Tensor:
        """``[N, P, K]``, positive and adding up to 1, how much each part ``[N, D, P]`` is like each prototype."""
        cosine = functional.normalize(x, dim=1).mT @ functional.normalize(self.prototypes, dim=1).T
        return (cosine / self.temperature).softmax(dim=2)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, D, P]`` to ``[N, D, P]``."""
        mixed: Tensor = self.out(self.weights(x) @ self.prototypes)
        return mixed.mT


class FeatureAdapter(nn.Module):
    """Move one sensor's features into the common space (CMFA): two layers, added to what came in.

    Args:
        width: D.
        hidden_width: Of the layer between.

    Source:
        CrossGait, IJCB 2024, its abstract. The layers are ours.

    Example:
        >>> FeatureAdapter(8, 4)(torch.randn(2, 8, 16)).shape
        torch.Size([2, 8, 16])
    """

    def __init__(self, width: int, hidden_width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden_width), nn.ReLU(), nn.Linear(hidden_width, width)
        )
        init_parameters(self.layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, D, P]`` to ``[N, D, P]``."""
        moved: Tensor = self.layers(x.mT)
        return x + moved.mT


class CrossGait(GaitModel):
    """An encoder, strips and a neck per sensor; shared features by prototypes and adapted ones by adapters.

    Losses: ``triplet`` and ``cross_entropy`` within each sensor, of its own features (all sensors added); across
    sensors ``cross_triplet`` (both directions) and ``contrast``, each of the shared and of the adapted features
    (added).

    Source:
        CrossGait, IJCB 2024 (arXiv 2404.04120), its abstract; the registered open points list what is ours.

    Example:
        >>> model = CrossGait(CrossGaitConfig(channels=(4, 4, 8, 8), embedding_width=32, num_classes=5)).eval()
        >>> silhouettes = torch.rand(2, 1, 5, 64, 64).round()
        >>> model(GaitBatch({"silhouette": silhouettes}, {"silhouette": torch.tensor([5, 3])})).embedding.shape
        torch.Size([2, 64, 16])
    """

    padding = "masked"
    config: CrossGaitConfig

    def __init__(self, config: CrossGaitConfig) -> None:
        super().__init__(config)
        names, num_parts, width = config.modalities, sum(config.bins), config.embedding_width
        sizes = {"channels": config.channels, "strides": config.strides, "num_blocks": config.num_blocks}
        self.encoders = nn.ModuleDict(
            {
                name: ResNet9(num_channels(name, config.encoding), stem_stride=config.stem_stride, **sizes)
                for name in names
            }
        )
        self.heads = nn.ModuleDict({name: SeparateFC(num_parts, config.channels[-1], width) for name in names})
        self.necks = nn.ModuleDict({name: SeparateBNNeck(num_parts, width, config.num_classes) for name in names})
        self.prototypes = PrototypeAttention(width, config.num_prototypes, temperature=config.attention_temperature)
        self.adapters = nn.ModuleDict({name: FeatureAdapter(width, config.adapter_width) for name in names})

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Pictures in [0, 1], range images in false colour unless configured otherwise."""
        return stream_specs(self.config)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed every modality of the batch, ``[N, C, T, H, W]`` each, as ``[N, 2 D, P]`` or, by ``retrieves``, D.

        With one modality the output is that modality's; with several, ``by_modality`` holds one each and the embedding
        is their mean. Padding changes nothing outside training.
        """
        names = present(batch, self.config.modalities)
        return joined({name: self._embed(batch, name) for name in names})

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Within the sensors, and across them.

        Raises:
            ModelError: The batch lacked a modality.
        """
        config, labels = self.config, labels_of(batch)
        outputs = outputs_of_all(output, config, "crossgait")
        shared, adapted, own = ([one.extras[name] for one in outputs] for name in ("shared", "adapted", "specific"))
        again = labels.repeat(len(outputs))
        return {
            "triplet": triplets_within(own, labels, margin=config.margin),
            "cross_entropy": cross_entropy_of_all(outputs, labels, config),
            "cross_triplet": cross_triplets(shared, labels, margin=config.margin)
            + cross_triplets(adapted, labels, margin=config.margin),
            "contrast": supervised_contrastive(torch.cat(shared), again, temperature=config.contrast_temperature)
            + supervised_contrastive(torch.cat(adapted), again, temperature=config.contrast_temperature),
        }

    def _embed(self, batch: GaitBatch, modality: str) -> GaitOutput:
        config = self.config
        x, num_frames = pictures_of(batch, modality, config)
        specific = parts_of(self.encoders[modality](x), num_frames, self.heads[modality], config.bins)
        # In the format of the head: these are numbers that retrieval compares.
        with torch.autocast(specific.device.type, enabled=False):
            kinds = {
                "specific": specific,
                "shared": self.prototypes(specific),
                "adapted": self.adapters[modality](specific),
            }
        both = config.retrieves == "both"
        embedding = torch.cat([kinds["shared"], kinds["adapted"]], dim=1) if both else kinds[config.retrieves]
        return GaitOutput(embedding=embedding, logits=self.necks[modality](specific).logits, extras=kinds)


PRESETS: dict[str, Preset] = {
    "paper": Preset(
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=40_000,
                    clips=ClipConfig(subjects_per_batch=8, sequences_per_subject=8, num_frames=10),
                    optimizer=OptimizerConfig(name="sgd", lr=0.1),
                    schedule=ScheduleConfig(name="multistep", milestones=(20_000, 30_000)),
                ),
            ),
            precision="bf16-mixed",
        ),
        note="recipe of LidarGait on SUSTech1K: the paper's was not at hand",
    ),
    "quick": Preset(
        config={
            "width_px": 44,
            "channels": (16, 32, 64, 128),
            "stem_stride": 2,
            "embedding_width": 128,
            "bins": (8, 4, 2, 1),
            "adapter_width": 128,
        },
        recipe=Recipe(
            stages=(
                Stage(
                    iterations=600,
                    clips=ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=4),
                    augment=AugmentConfig(flip=0.5, shift=0.3, rescale=0.3),
                    optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
                    schedule=ScheduleConfig(name="onecycle", warmup=60),
                ),
            ),
            precision="bf16-mixed",
        ),
        note="quarter width, first convolutions with stride 2, 8 to 1 strips, 44 columns, short training",
    ),
}
"""Presets by name."""
