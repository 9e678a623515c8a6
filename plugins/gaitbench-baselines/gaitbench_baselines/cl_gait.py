"""CL-Gait: shallow layers of each sensor's own, deep layers that the sensors share.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping
from itertools import combinations

import torch
from pydantic import NonNegativeInt, PositiveFloat
from torch import Tensor, nn

from gaitbench.errors import ModelError
from gaitbench.layers import (
    ResidualBlock2d,
    ResNet9,
    SeparateBNNeck,
    SeparateFC,
    horizontal_pyramid_pool,
    init_parameters,
    set_pool,
    unfold_frames,
)
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.one_space import SensorConfig, cross_entropy_of_all, cross_triplets, joined, outputs_of_all
from gaitbench_baselines.paired_contrastive import paired_contrastive
from gaitbench_baselines.sensor_streams import num_channels, pictures_of, present, stream_specs

__all__ = ["PRESETS", "ClGait", "ClGaitConfig"]

PRETRAINING = "cspp"
"""Name of the stage that pre-trains, and of its loss."""


class ClGaitConfig(SensorConfig, frozen=True):
    """Sizes of CL-Gait; the defaults are those of MMGait's re-implementation."""

    projection_width: NonNegativeInt = 0
    """Width in which pairs are compared by a stage named ``cspp`` (published pre-training: 256 is ours); 0 for a model
    that is not pre-trained."""
    temperature: PositiveFloat = 0.07
    """Of the pre-training's contrastive loss."""


class ClGait(GaitModel):
    """A stem and a stage per sensor, three stages for both, strips and necks per sensor.

    Both sensors' frames pass the shared stages as one batch, so that their batch norms see a mixture in training. A
    stage named ``cspp`` trains with ``cspp`` alone, a contrastive loss of simultaneous clips of two sensors; every
    other with ``cross_triplet`` (both directions) and ``cross_entropy`` (both sensors).

    Source:
        Guo et al., "Camera-LiDAR Cross-modality Gait Recognition", ECCV 2024; layers and recipe as MMGait (CVPR 2026)
        re-implements it. The synthetic pairs of the paper's pre-training were not at hand: ours uses the training
        pairs.

    Example:
        >>> model = ClGait(ClGaitConfig(channels=(4, 4, 8, 8), embedding_width=32, num_classes=5)).eval()
        >>> silhouettes = torch.rand(2, 1, 5, 64, 64).round()
        >>> model(GaitBatch({"silhouette": silhouettes}, {"silhouette": torch.tensor([5, 3])})).embedding.shape
        torch.Size([2, 32, 16])
    """

    padding = "masked"
    config: ClGaitConfig

    def __init__(self, config: ClGaitConfig) -> None:
        super().__init__(config)
        names, num_parts, width = config.modalities, sum(config.bins), config.channels[-1]
        own = {"channels": config.channels[:1], "strides": config.strides[:1], "num_blocks": config.num_blocks[:1]}
        self.entrances = nn.ModuleDict(
            {
                name: ResNet9(num_channels(name, config.encoding), stem_stride=config.stem_stride, **own)
                for name in names
            }
        )
        self.shared = _stages(config)
        self.heads = nn.ModuleDict({name: SeparateFC(num_parts, width, config.embedding_width) for name in names})
        self.necks = nn.ModuleDict(
            {name: SeparateBNNeck(num_parts, config.embedding_width, config.num_classes) for name in names}
        )
        self.projections = nn.ModuleDict()
        if config.projection_width:
            for name in names:
                self.projections[name] = nn.Linear(width, config.projection_width)
            init_parameters(self.projections)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Pictures in [0, 1], range images in false colour unless configured otherwise."""
        return stream_specs(self.config)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed every modality of the batch, ``[N, C, T, H, W]`` each, as ``[N, D, P]``.

        With one modality the output is that modality's; with several, ``by_modality`` holds one each and the embedding
        is their mean. Padding changes nothing outside training.
        """
        config, outputs = self.config, {}
        for name, maps in self._maps(batch).items():
            parts = horizontal_pyramid_pool(maps, config.bins)  # [N, C, P]
            embedding = self.heads[name](parts)
            projected = {}
            if self.training and config.projection_width:
                projected = {PRETRAINING: self.projections[name](parts.mean(dim=2))}
            outputs[name] = GaitOutput(embedding=embedding, logits=self.necks[name](embedding).logits, extras=projected)
        return joined(outputs)

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        """Those of the stage.

        Raises:
            ModelError: The batch lacked a modality, or the stage pre-trains a model without projections.
        """
        config, labels = self.config, labels_of(batch)
        outputs = outputs_of_all(output, config, "cl-gait")
        if stage.name == PRETRAINING:
            if not config.projection_width:
                raise ModelError(f"cl-gait: stage {PRETRAINING!r} needs projection_width above 0, as in quick-cspp")
            projected = [one.extras[PRETRAINING] for one in outputs]
            pairs = [paired_contrastive(a, b, temperature=config.temperature) for a, b in combinations(projected, 2)]
            return {PRETRAINING: torch.stack(pairs).mean()}
        return {
            "cross_triplet": cross_triplets([one.embedding for one in outputs], labels, margin=config.margin),
            "cross_entropy": cross_entropy_of_all(outputs, labels, config),
        }

    def seal(self) -> None:
        """Drop the projections, which nothing but the pre-training reads."""
        self.projections = nn.ModuleDict()

    def take_form_of(self, weights: Mapping[str, Tensor]) -> None:
        """Drop the projections where the weights are those of a sealed model, and bring them back where not."""
        config = self.config
        has_them = any(name.startswith("projections.") for name in weights)
        if not has_them:
            self.seal()
        elif config.projection_width and not len(self.projections):
            for name in config.modalities:
                self.projections[name] = nn.Linear(config.channels[-1], config.projection_width)
            self.projections.to(next(self.shared.parameters()).device)

    def _maps(self, batch: GaitBatch) -> dict[str, Tensor]:
        """Maps ``[N, C, H, W]`` of each modality of the batch, the maximum over its frames."""
        names = present(batch, self.config.modalities)
        read = [pictures_of(batch, name, self.config) for name in names]
        entered = [self.entrances[name](x) for name, (x, _) in zip(names, read, strict=True)]
        # One pass, so that batch norms see both sensors.
        features = self.shared(torch.cat(entered)).split([len(x) for x in entered])
        return {
            name: set_pool(unfold_frames(rows, len(rows) // len(num_frames)), num_frames)
            for name, rows, (_, num_frames) in zip(names, features, read, strict=True)
        }


def _stages(config: ClGaitConfig) -> nn.Sequential:
    """All stages but the first."""
    stages, width = nn.Sequential(), config.channels[0]
    later = zip(config.channels[1:], config.strides[1:], config.num_blocks[1:], strict=True)
    for out_width, stride, count in later:
        blocks = [ResidualBlock2d(width, out_width, stride=stride)]
        blocks += [ResidualBlock2d(out_width, out_width) for _ in range(count - 1)]
        stages.append(nn.Sequential(*blocks))
        width = out_width
    init_parameters(stages)
    return stages


_TRAINED = Stage(
    iterations=60_000,
    clips=ClipConfig(subjects_per_batch=8, sequences_per_subject=8, num_frames=30, order="ordered", skip=4),
    augment=AugmentConfig(perspective=0.2, flip=0.2, rotate=0.2),
    optimizer=OptimizerConfig(name="sgd", lr=0.1),
    schedule=ScheduleConfig(name="multistep", milestones=(20_000, 40_000, 50_000)),
)
_PRETRAINED = Stage(
    name=PRETRAINING,
    iterations=3200,
    clips=ClipConfig(batch_size=256, num_frames=1),
    augment=AugmentConfig(perspective=0.2, flip=0.2, rotate=0.2),
    optimizer=OptimizerConfig(name="adamw", lr=1e-3),
    schedule=ScheduleConfig(name="cosine", warmup=160),
    freeze=("heads.*", "necks.*"),
)
_QUICK = Stage(
    iterations=600,
    clips=ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=4),
    augment=AugmentConfig(flip=0.5, shift=0.3, rescale=0.3),
    optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
    schedule=ScheduleConfig(name="onecycle", warmup=60),
)
_QUICK_PRETRAINED = _PRETRAINED.model_copy(
    update={
        "iterations": 150,
        "clips": ClipConfig(batch_size=96, num_frames=1),
        "augment": _QUICK.augment,
        "optimizer": _QUICK.optimizer,
        "schedule": ScheduleConfig(name="onecycle", warmup=15),
    }
)
_THEN = {"freeze": ("projections.*",)}
_SMALL: dict[str, object] = {
    "width_px": 44,
    "channels": (16, 32, 64, 128),
    "stem_stride": 2,
    "embedding_width": 128,
    "bins": (8, 4, 2, 1),
}
_SMALLER = "quarter width, first convolutions with stride 2, 8 to 1 strips, 44 columns, short training"
_OWN_PAIRS = "pre-trained on the training pairs, without the published synthetic pairs"

PRESETS: dict[str, Preset] = {
    "paper": Preset(
        recipe=Recipe(stages=(_TRAINED,), precision="bf16-mixed"),
        note="recipe of MMGait's re-implementation, without pre-training",
    ),
    "paper-cspp": Preset(
        config={"projection_width": 256},
        recipe=Recipe(stages=(_PRETRAINED, _TRAINED.model_copy(update=_THEN)), precision="bf16-mixed"),
        note=f"recipe of MMGait's re-implementation, {_OWN_PAIRS}",
    ),
    "quick": Preset(
        config=_SMALL,
        recipe=Recipe(stages=(_QUICK,), precision="bf16-mixed"),
        note=f"{_SMALLER}, without pre-training",
    ),
    "quick-cspp": Preset(
        config={**_SMALL, "projection_width": 64},
        recipe=Recipe(stages=(_QUICK_PRETRAINED, _QUICK.model_copy(update=_THEN)), precision="bf16-mixed"),
        note=f"{_SMALLER}, {_OWN_PAIRS}",
    ),
}
"""Presets by name."""
