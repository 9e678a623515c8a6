"""UniCrossGait: a teacher that sees both sensors, and a student of each sensor that learns to answer like it.

Axes: N batch, C channels, T frames, H rows, W columns, D embedding width, P parts.
"""

from collections.abc import Mapping
from typing import Self

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from gaitbench.errors import ModelError
from gaitbench.layers import (
    ResNet9,
    SeparateBNNeck,
    SeparateFC,
    horizontal_pyramid_pool,
    init_parameters,
    set_pool,
    unfold_frames,
)
from gaitbench.losses import batch_all_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of
from gaitbench.recipe import AugmentConfig, ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_baselines.distillation import (
    balance,
    feature_distance,
    part_affinity_distance,
    sample_affinity_distance,
    warm_up,
)
from gaitbench_baselines.one_space import SensorConfig, cross_entropy_of_all, cross_triplets, joined, outputs_of_all
from gaitbench_baselines.sensor_streams import num_channels, pictures_of, present, stream_specs

__all__ = ["LOSS_WEIGHTS", "PRESETS", "Teacher", "UniCrossGait", "UniCrossGaitConfig"]


class UniCrossGaitConfig(SensorConfig, frozen=True):
    """Sizes of teacher and students, and how much is distilled; the defaults are those of the published log."""

    modalities: tuple[str, ...] = Field(default=("silhouette", "lidar-depth"), min_length=2, max_length=2)
    """The two streams."""
    has_max_pool: bool = False
    """A max-pool of stride 2 behind the stems: not in the log, but in the reference settings."""
    heads: PositiveInt = 8
    """Of the teacher's attention; they divide the width of the last stage."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Of the teacher's attention and fusion."""
    temperature: PositiveFloat = 4.0
    """Of the probabilities that balance the students; the logits carry ``logit_scale``."""
    distil_start: NonNegativeFloat = 0.1
    """Factor on everything distilled at the start of a stage."""
    distil_end: NonNegativeFloat = 1.5
    """Factor at the end of the warm-up, and from there on."""
    distil_steps: PositiveInt = 40_000
    """Steps of the warm-up."""

    @property
    def reductions(self) -> tuple[int, ...]:
        """Strides on the way from a picture to its last map, that of the max-pool among them."""
        return self.stem_stride, *((2,) if self.has_max_pool else ()), *self.strides

    @model_validator(mode="after")
    def _check_heads(self) -> Self:
        """Refuse heads that do not divide the width."""
        if self.channels[-1] % self.heads:
            raise ValueError(f"heads {self.heads} must divide the width of the last stage, {self.channels[-1]}")
        return self


class Teacher(nn.Module):
    """Two encoders whose maps look at each other, then one map of both, in strips."""

    def __init__(self, config: UniCrossGaitConfig) -> None:
        super().__init__()
        self.config = config
        width, num_parts = config.channels[-1], sum(config.bins)
        self.encoders = _encoders(config)
        self.attentions = nn.ModuleDict(
            {
                name: nn.MultiheadAttention(width, config.heads, dropout=config.dropout, batch_first=True)
                for name in config.modalities
            }
        )
        self.fusion = nn.Sequential(
            nn.Conv2d(2 * width, width, 1),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.02),
            nn.Dropout(config.dropout),
            nn.Conv2d(width, width, 1),
        )
        init_parameters(self.fusion)
        self.head = SeparateFC(num_parts, width, config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed pairs of clips as ``[N, D, P]``."""
        config = self.config
        maps = [_maps_of(self.encoders[name], batch, name, config) for name in config.modalities]
        tokens = [x.flatten(2).mT for x in maps]  # [N, H*W, C]
        seen = []
        for name, own, other in zip(config.modalities, tokens, reversed(tokens), strict=True):
            looked, _ = self.attentions[name](own, other, other, need_weights=False)
            seen.append(looked.mT.reshape_as(maps[0]))
        fused = self.fusion(torch.cat(seen, dim=1))
        embedding = self.head(horizontal_pyramid_pool(fused, config.bins))
        return GaitOutput(embedding=embedding, logits=self.neck(embedding).logits)


class UniCrossGait(GaitModel):
    """A ResNet9 per sensor with common strips and neck, taught by a network that sees both sensors.

    Which part learns is said by what a stage freezes: with the students frozen the teacher learns (``teacher_triplet``,
    ``teacher_cross_entropy``); with ``teacher.*`` frozen, and so in evaluation mode, the students do
    (``cross_triplet``, ``cross_entropy``, and the distilled ``features``, ``samples`` and ``parts``, each times its
    warm-up and balance); with neither, both. The teacher never learns from the students, is not run in a test, and is
    not saved.

    Source:
        UniCrossGait (IEEE TMM 2026): settings of the public log and reference code (O-VIGIA/UniCrossGait).

    Example:
        >>> config = UniCrossGaitConfig(channels=(4, 4, 8, 8), embedding_width=32, num_classes=5)
        >>> model = UniCrossGait(config).eval()
        >>> silhouettes = torch.rand(2, 1, 5, 64, 64).round()
        >>> model(GaitBatch({"silhouette": silhouettes}, {"silhouette": torch.tensor([5, 3])})).embedding.shape
        torch.Size([2, 32, 16])
    """

    padding = "masked"
    config: UniCrossGaitConfig

    def __init__(self, config: UniCrossGaitConfig) -> None:
        super().__init__(config)
        num_parts = sum(config.bins)
        self.teacher: Teacher | None = Teacher(config)
        self.students = _encoders(config)
        self.head = SeparateFC(num_parts, config.channels[-1], config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Pictures in [0, 1], range images in false colour unless configured otherwise."""
        return stream_specs(self.config)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed every modality of the batch, ``[N, C, T, H, W]`` each, as ``[N, D, P]``, by its student.

        With one modality the output is that modality's; with both, ``by_modality`` holds one each and the embedding is
        their mean. Padding changes nothing outside training.
        """
        names = present(batch, self.config.modalities)
        taught = None
        if self.training and self.teacher is not None and len(names) == 2:
            with torch.set_grad_enabled(torch.is_grad_enabled() and _learns(self.teacher)):
                taught = self.teacher(batch)
        if taught is not None and not _learns(self.students):
            # Nobody asks the students while the teacher alone learns.
            output = GaitOutput(embedding=taught.embedding, by_modality=dict.fromkeys(names, _silent(taught)))
        else:
            output = joined(self._embed(batch, names))
        if taught is not None:
            assert taught.logits is not None
            output.extras = {"teacher": taught.embedding, "teacher_logits": taught.logits}
        return output

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Those of the part that learns.

        Raises:
            ModelError: The batch lacked a modality, or the teacher was not asked.
        """
        config, labels = self.config, labels_of(batch)
        students = outputs_of_all(output, config, "unicrossgait")
        if "teacher" not in output.extras:
            raise ModelError(
                "unicrossgait learns from its teacher, which evaluation leaves out and a finished model lacks"
            )
        losses: dict[str, Tensor] = {}
        teacher = output.extras["teacher"]
        if teacher.requires_grad:
            losses |= {
                "teacher_triplet": batch_all_triplet(teacher, labels, margin=config.margin),
                "teacher_cross_entropy": part_cross_entropy(
                    output.extras["teacher_logits"],
                    labels,
                    scale=config.logit_scale,
                    label_smoothing=config.label_smoothing,
                ),
            }
        if students[0].embedding.requires_grad:
            losses |= {
                "cross_triplet": cross_triplets([one.embedding for one in students], labels, margin=config.margin),
                "cross_entropy": cross_entropy_of_all(students, labels, config),
                **self._distilled(teacher.detach(), students, labels, batch.step),
            }
        return losses

    def seal(self) -> None:
        """Drop the teacher: students embed without it."""
        self.teacher = None

    def take_form_of(self, weights: Mapping[str, Tensor]) -> None:
        """Drop the teacher where the weights have none, and bring it back where they do."""
        if not any(name.startswith("teacher.") for name in weights):
            self.teacher = None
        elif self.teacher is None:
            self.teacher = Teacher(self.config).to(self.head.weight.device)

    def _embed(self, batch: GaitBatch, names: list[str]) -> dict[str, GaitOutput]:
        """What the students say."""
        config = self.config
        embeddings = [
            self.head(horizontal_pyramid_pool(_maps_of(self.students[name], batch, name, config), config.bins))
            for name in names
        ]
        # One pass, so that the shared neck normalises both modalities by the same statistics.
        logits = self.neck(torch.cat(embeddings)).logits.chunk(len(names))
        return {
            name: GaitOutput(embedding=embedding, logits=rows)
            for name, embedding, rows in zip(names, embeddings, logits, strict=True)
        }

    def _distilled(self, teacher: Tensor, students: list[GaitOutput], labels: Tensor, step: int) -> dict[str, Tensor]:
        config = self.config
        logits = [one.logits * config.logit_scale for one in students if one.logits is not None]
        shares = balance(logits[0], logits[1], labels, temperature=config.temperature)
        factor = warm_up(step, start=config.distil_start, end=config.distil_end, num_steps=config.distil_steps)
        terms = {
            "features": feature_distance,
            "samples": sample_affinity_distance,
            "parts": part_affinity_distance,
        }
        return {
            name: factor
            * sum(share * term(teacher, one.embedding) for share, one in zip(shares, students, strict=True))
            for name, term in terms.items()
        }


def _encoders(config: UniCrossGaitConfig) -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            name: ResNet9(
                num_channels(name, config.encoding),
                channels=config.channels,
                strides=config.strides,
                num_blocks=config.num_blocks,
                stem_stride=config.stem_stride,
            )
            for name in config.modalities
        }
    )


def _maps_of(encoder: nn.Module, batch: GaitBatch, modality: str, config: UniCrossGaitConfig) -> Tensor:
    """Maps ``[N, C, H, W]``, the maximum over frames."""
    x, num_frames = pictures_of(batch, modality, config)
    features = _pooled_stem(encoder, x) if config.has_max_pool else encoder(x)
    return set_pool(unfold_frames(features, len(x) // len(num_frames)), num_frames)


def _pooled_stem(encoder: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(encoder, ResNet9)
    stem = nn.functional.relu(encoder.stem(x), inplace=True)
    maps: Tensor = encoder.stages(nn.functional.max_pool2d(stem, 3, stride=2, padding=1))
    return maps


def _silent(output: GaitOutput) -> GaitOutput:
    return GaitOutput(embedding=output.embedding.detach())


def _learns(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


LOSS_WEIGHTS = {"cross_triplet": 0.5, "cross_entropy": 1.0, "features": 1.0, "samples": 0.5, "parts": 0.5}
"""Of the students; those of the teacher count with 1."""
_STUDENTS = ("students.*", "head.*", "neck.*")


def _two_stages(stage: Stage, teacher_steps: int | None = None) -> tuple[Stage, Stage]:
    first: dict[str, object] = {"name": "teacher", "freeze": _STUDENTS}
    if teacher_steps is not None:
        first["iterations"] = teacher_steps
    second = {"name": "students", "freeze": ("teacher.*",), "loss_weights": LOSS_WEIGHTS}
    return stage.model_copy(update=first), stage.model_copy(update=second)


_LOG = Stage(
    iterations=50_000,
    clips=ClipConfig(subjects_per_batch=16, sequences_per_subject=8, num_frames=10),
    optimizer=OptimizerConfig(name="adam", lr=3e-3, weight_decay=5e-5),
    schedule=ScheduleConfig(name="multistep", milestones=(20_000, 30_000, 40_000)),
)
_REFERENCE = Stage(
    iterations=40_000,
    clips=ClipConfig(subjects_per_batch=16, sequences_per_subject=8, num_frames=10),
    optimizer=OptimizerConfig(name="adam", lr=1e-3, weight_decay=5e-4),
    schedule=ScheduleConfig(name="multistep", milestones=(20_000, 30_000)),
)
_QUICK = Stage(
    iterations=350,
    clips=ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=4),
    augment=AugmentConfig(flip=0.5, shift=0.3, rescale=0.3),
    optimizer=OptimizerConfig(name="adamw", lr=2e-3, weight_decay=5e-3),
    schedule=ScheduleConfig(name="onecycle", warmup=35),
)
_LOGGED = Preset(
    recipe=Recipe(stages=_two_stages(_LOG), precision="bf16-mixed"),
    note="settings of the published log; those of the teacher's stage are not logged, and the same",
)

PRESETS: dict[str, Preset] = {
    "paper": _LOGGED,
    "reference": Preset(
        config={"num_blocks": (1, 2, 2, 1), "has_max_pool": True},
        recipe=Recipe(stages=_two_stages(_REFERENCE), precision="bf16-mixed"),
        note="settings of the reference code, which are not those of the published log",
    ),
    "quick": Preset(
        config={
            "width_px": 44,
            "channels": (16, 32, 64, 128),
            "stem_stride": 2,
            "embedding_width": 128,
            "bins": (8, 4, 2, 1),
            "heads": 4,
            "distil_steps": 350,
        },
        recipe=Recipe(stages=_two_stages(_QUICK, 220), precision="bf16-mixed"),
        note="quarter width, first convolutions with stride 2, 8 to 1 strips, 44 columns, short training: 220 steps of "
        "the teacher, 350 of the students",
    ),
}
"""Presets by name."""
