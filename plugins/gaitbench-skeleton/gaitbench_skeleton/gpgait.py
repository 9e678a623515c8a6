"""GPGait and GPGait++: graphs that look at the body whole, in halves and in thirds.

Axes: N batch, C channels, T frames, V joints, D embedding width, P parts.
"""

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Self

import torch
from pydantic import BaseModel, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from gaitbench.errors import ModelError, ShapeError
from gaitbench.layers import SeparateBNNeck, SeparateFC, init_parameters
from gaitbench.layers.padding_mask import padding_mask
from gaitbench.losses import batch_all_triplet, batch_hard_triplet, part_cross_entropy
from gaitbench.model import GaitBatch, GaitModel, GaitOutput, InputSpec, labels_of
from gaitbench.recipe import ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench_skeleton.graph import NUM_JOINTS
from gaitbench_skeleton.human_oriented import human_oriented_descriptors, human_oriented_transform
from gaitbench_skeleton.joint_augment import (
    JointAugmentConfig,
    augment_joints,
    step_generator,
    without_mirroring,
)
from gaitbench_skeleton.joint_input import JOINTS, joint_input
from gaitbench_skeleton.part_aware import (
    Masking,
    PartAwareBlock,
    PartAwareTemporalBlock,
    Partition,
    part_mask,
    subgraph,
)

__all__ = [
    "GPGAITPP_KEYS",
    "GPGAITPP_PRESETS",
    "PRESETS",
    "PUBLISHED_KEYS",
    "GPGait",
    "GPGaitConfig",
    "GPGaitPPConfig",
]

_BLOCK_KEYS = {
    r"asg\.PA": "graph.learned",
    r"asg\.conv_a\.(?P<rest>.+)": r"graph.queries.\g<rest>",
    r"asg\.conv_b\.(?P<rest>.+)": r"graph.keys.\g<rest>",
    r"asg\.conv_d\.(?P<rest>.+)": r"graph.convs.\g<rest>",
    r"asg\.bn\.(?P<rest>.+)": r"norm.\g<rest>",
}


def _network_keys(block: Mapping[str, str]) -> Mapping[str, str]:
    """Published key to ours for networks of such blocks."""
    keys = {
        r"head\.fc_bin": "head.weight",
        r"BNNecks\.fc_bin": "neck.weight",
        r"BNNecks\.bn1d\.(.+)": r"neck.norm.\1",
    }
    for branch, stream in enumerate(("pose", "bone", "angle")):
        views = ("part_2", "part_2_2", "part_3_1", "backbone") if stream != "angle" else ("part_2", "backbone")
        places = {"layer_share": "shared", **{name: f"views.{view}" for view, name in enumerate(views)}}
        keys[rf"{stream}\.data_bn\.(.+)"] = rf"branches.{branch}.norm.\1"
        for theirs, ours in places.items():
            for layer, name in block.items():
                keys[rf"{stream}\.{theirs}\.(\d+)\.{layer}"] = rf"branches.{branch}.{ours}.\1.{name}"
    return MappingProxyType(keys)


PUBLISHED_KEYS = _network_keys({**_BLOCK_KEYS, r"residual_s\.(?P<rest>.+)": r"residual.\g<rest>"})
"""Published key of GPGait to ours, for :func:`gaitbench.layers.rename_published`; views in their published order."""

GPGAITPP_KEYS = _network_keys(
    {
        **_BLOCK_KEYS,
        r"residual\.(?P<rest>.+)": r"joint.\g<rest>",
        r"tcn\.conv\.(?P<rest>.+)": r"temporal.\g<rest>",
        r"tcn\.bn\.(?P<rest>.+)": r"temporal_norm.\g<rest>",
        r"residual_s\.(?P<rest>.+)": r"still.\g<rest>",
        r"down\.conv\.(?P<rest>.+)": r"skip.\g<rest>",
        r"down\.bn\.(?P<rest>.+)": r"skip_norm.\g<rest>",
    }
)
"""Published key of GPGait++ to ours."""

WHOLE: Partition = (tuple(range(17)),)
LIMBS: Partition = ((0, 1, 2, 3, 4), (5, 7, 9), (6, 8, 10), (11, 13, 15), (12, 14, 16))
HALVES: Partition = (tuple(range(11)), tuple(range(11, 17)))
ARMS: Partition = ((5, 6, 7, 8, 9, 10), (0, 1, 2, 3, 4, 11, 12, 13, 14, 15, 16))
THIRDS: Partition = ((5, 6, 7, 8, 9, 10), (11, 12, 13, 14, 15, 16), (0, 1, 2, 3, 4))

BODY_JOINTS = tuple(range(5, NUM_JOINTS))
"""Joints without the head, which the angles' branch looks at."""


class GPGaitConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """Sizes of GPGait; the defaults are those published for CASIA-B, CCPG and SUSTech1K."""

    block: Literal["gpgait", "gpgait++"] = "gpgait"
    """``gpgait``: graph convolutions only, one attention per sequence. ``gpgait++``: convolutions over time too, and
    an attention per frame."""
    channels: tuple[PositiveInt, ...] = (64, 64, 128, 256)
    """Width after each block; (64, 64, 128, 128, 256) for Gait3D."""
    num_shared: PositiveInt = 3
    """First blocks of a branch, which all its views share; the others exist once per view."""
    height: PositiveFloat = 225.0
    """What the poses' height is scaled to."""
    is_upright: bool = False
    """Whether the spine is turned upright before."""
    shared_parts: tuple[tuple[NonNegativeInt, ...], ...] = LIMBS
    """Parts within which the shared blocks look: head and limbs. The angles' branch goes without the head."""
    views: tuple[tuple[tuple[NonNegativeInt, ...], ...], ...] = (HALVES, ARMS, THIRDS, WHOLE)
    """Partitions of the last blocks of the joints' and bones' branches, in the order of the parts' embeddings: above
    and below the hips; arms and all else; arms, legs, head; whole."""
    angle_views: tuple[tuple[tuple[NonNegativeInt, ...], ...], ...] = (HALVES, WHOLE)
    """Partitions of the last blocks of the angles' branch."""
    masking: Masking = "product"
    """How attention is kept within parts: ``product`` weighs all joints and drops those of other parts, as published;
    ``softmax`` shares it out within the parts; ``none`` lets blocks look at the whole body, as published for GPGait++
    on Gait3D. Pooling is by parts all the same."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of values that a convolution over time does not see in training; GPGait has none."""
    embedding_width: PositiveInt = 256
    """D."""
    test_embedding: Literal["neck", "head"] = "neck"
    """What is compared at test time: the normalised vectors behind the neck, as published, or those before it."""
    augment: JointAugmentConfig = JointAugmentConfig(swap_sides=0.1, joint_noise=0.3)
    """What is done to training clips, after poses are brought to one height and place: lengths are shares of
    ``height``."""
    num_classes: PositiveInt = 74
    """Training subjects; the runner sets it."""
    triplets: Literal["batch-all", "batch-hard"] = "batch-hard"
    """The hardest triplet of each anchor; or all of a batch, mean over the active ones, as published for Gait3D and
    GREW."""
    margin: NonNegativeFloat = 0.3
    """Margin of the triplet loss."""
    logit_scale: PositiveFloat = 16.0
    """Factor on the cosines in the cross-entropy."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of the target spread over all classes."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.num_shared < len(self.channels):
            raise ValueError(
                f"num_shared {self.num_shared} leaves none of the {len(self.channels)} blocks to the views; "
                "give more channels or share fewer"
            )
        if self.block == "gpgait++" and min(self.channels) < 3:
            raise ValueError(f"the blocks of gpgait++ are cut into three, channels must be 3 or more: {self.channels}")
        for partition in (self.shared_parts, *self.views, *self.angle_views):
            joints = {joint for part in partition for joint in part}
            if joints != set(range(NUM_JOINTS)) or not all(partition):
                raise ValueError(f"parts must be not empty and cover the joints 0 to 16, got {partition}")
        return self


class GPGaitPPConfig(GPGaitConfig, frozen=True):
    """Sizes of GPGait++ with the published defaults for CASIA-B."""

    block: Literal["gpgait", "gpgait++"] = "gpgait++"
    """Convolutions over time, and an attention per frame."""


class GPGait(GaitModel):
    """Poses brought to one scale and place; joints, bones and angles each pass a graph network that parts the body.

    GPGait is exactly invariant to the order of frames, to moving and to scaling each frame's pose; GPGait++ sees the
    order. Losses: ``triplet`` (before the neck), ``cross_entropy``.

    Source:
        Fu et al., "GPGait: Generalized Pose-based Gait Recognition", ICCV 2023, sections "Human-Oriented
        Transformation", "Human-Oriented Descriptors" and "Part-Aware Graph Convolutional Network"; Meng et al.,
        "GPGait++", TPAMI 2025.

    Example:
        >>> model = GPGait(GPGaitConfig(channels=(4, 8), num_shared=1, embedding_width=32)).eval()
        >>> output = model(GaitBatch({"skeleton2d": torch.rand(2, 3, 6, 17)}, {"skeleton2d": torch.tensor([6, 3])}))
        >>> output.embedding.shape, output.logits.shape
        (torch.Size([2, 32, 19]), torch.Size([2, 74, 19]))
    """

    padding = "masked"
    beyond_features = ("head", "neck")
    config: GPGaitConfig

    def __init__(self, config: GPGaitConfig) -> None:
        super().__init__(config)
        everyone = tuple(range(NUM_JOINTS))
        self.branches = nn.ModuleList(
            [
                _Branch(2, everyone, config.views, config),
                _Branch(2, everyone, config.views, config),
                _Branch(1, BODY_JOINTS, config.angle_views, config),
            ]
        )
        num_parts = sum(len(view) for view in (*config.views, *config.views, *config.angle_views))
        self.head = SeparateFC(num_parts, config.channels[-1], config.embedding_width)
        self.neck = SeparateBNNeck(num_parts, config.embedding_width, config.num_classes)
        init_parameters(self)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Joints in pixels."""
        return (JOINTS,)

    @classmethod
    def without_mirroring(cls, config: BaseModel) -> BaseModel:
        """Without joints that trade sides and without mirrored clips."""
        return without_mirroring(config)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed joints ``[N, 3, T, V]`` as ``[N, D, P]``; padding changes nothing outside training."""
        return self._recognise(self.part_features(batch))

    def part_features(self, batch: GaitBatch) -> Tensor:
        """The pooled parts of all branches and views ``[N, C, P]`` before the head."""
        joints, num_frames = joint_input(batch)
        with torch.autocast(joints.device.type, enabled=False):
            config = self.config
            pose = human_oriented_transform(joints[:, :2].float(), height=config.height, is_upright=config.is_upright)
            if self.training:
                pose = augment_joints(pose, config.augment, step_generator(batch))
            descriptors = human_oriented_descriptors(pose)
        return self._parts(descriptors, padding_mask(num_frames, joints.shape[2]))

    def embed_raw(self, descriptors: Tensor) -> Tensor:
        """Embed the published network's own input, every frame of it.

        Args:
            descriptors: ``[N, T, 5, V]``: x, y, bone x and y, angle, as
                :func:`gaitbench_skeleton.human_oriented.human_oriented_descriptors` gives them with T and C exchanged;
                or ``[N, T, 5, V, 1]``, one person.

        Returns:
            ``[N, D, P]``.

        Raises:
            ShapeError: The axes are others.
        """
        if descriptors.dim() == 5 and descriptors.shape[4] == 1:
            descriptors = descriptors[..., 0]
        if descriptors.dim() != 4 or descriptors.shape[2:] != (5, NUM_JOINTS):
            raise ShapeError(f"GPGait's own input is [N, T, 5, {NUM_JOINTS}], got {list(descriptors.shape)}")
        return self._recognise(self._parts(descriptors.transpose(1, 2), None)).embedding

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:  # noqa: ARG002
        """Triplet loss on the embeddings before the neck, cross-entropy on its cosines."""
        config, labels = self.config, labels_of(batch)
        if output.logits is None or "head" not in output.extras:
            raise ModelError("GPGait's losses need the logits and the vectors before the neck that its forward gives")
        triplet = batch_hard_triplet if config.triplets == "batch-hard" else batch_all_triplet
        return {
            "triplet": triplet(output.extras["head"], labels, margin=config.margin),
            "cross_entropy": part_cross_entropy(
                output.logits, labels, scale=config.logit_scale, label_smoothing=config.label_smoothing
            ),
        }

    def _parts(self, descriptors: Tensor, is_padding: Tensor | None) -> Tensor:
        """Descriptors ``[N, 5, T, V]`` to parts ``[N, C, P]``; frames of ``is_padding`` ``[N, T]`` do not count."""
        streams = (descriptors[:, :2], descriptors[:, 2:4], descriptors[:, 4:, :, BODY_JOINTS[0] :])
        parts = [branch(stream, is_padding) for branch, stream in zip(self.branches, streams, strict=True)]
        return torch.cat(parts, dim=2)

    def _recognise(self, parts: Tensor) -> GaitOutput:
        """Parts ``[N, C, P]`` to the output."""
        head = self.head(parts)
        feature, logits = self.neck(head)
        embedding = feature if self.config.test_embedding == "neck" else head
        return GaitOutput(embedding=embedding, logits=logits, extras={"head": head})


class _Branch(nn.Module):
    """One kind of descriptor: blocks within limbs, then blocks within each view's parts, pooled part by part."""

    def __init__(
        self, in_channels: int, joints: tuple[int, ...], views: tuple[Partition, ...], config: GPGaitConfig
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(in_channels * len(joints))
        widths = (in_channels, *config.channels)
        steps = list(itertools.pairwise(widths))
        adjacency = subgraph(joints)

        def chain(sizes: list[tuple[int, int]], partition: Partition) -> nn.ModuleList:
            mask = part_mask(partition, joints)
            if config.block == "gpgait":
                return nn.ModuleList([PartAwareBlock(a, b, adjacency, mask, config.masking) for a, b in sizes])
            return nn.ModuleList(
                [PartAwareTemporalBlock(a, b, adjacency, mask, config.masking, config.dropout) for a, b in sizes]
            )

        self.shared = chain(steps[: config.num_shared], config.shared_parts)
        self.views = nn.ModuleList([chain(steps[config.num_shared :], view) for view in views])
        place = {joint: index for index, joint in enumerate(joints)}
        self.pooled = [[[place[joint] for joint in part if joint in place] for part in view] for view in views]

    def forward(self, x: Tensor, is_padding: Tensor | None) -> Tensor:
        """Map ``[N, C, T, V]`` to ``[N, C', P]``: the parts of all views in order."""
        num_clips, channels, clip_frames, num_joints = x.shape
        by_frame = x.permute(0, 3, 1, 2).reshape(num_clips, num_joints * channels, clip_frames)
        x = self.norm(by_frame).view(num_clips, num_joints, channels, clip_frames).permute(0, 2, 3, 1)
        for block in self.shared:
            x = block(x, is_padding)
        pooled = []
        for blocks, parts in zip(self.views, self.pooled, strict=True):
            y = x
            for block in blocks:
                y = block(y, is_padding)
            if is_padding is not None:
                y = y.masked_fill(is_padding[:, None, :, None], -torch.inf)
            y = y.amax(dim=2)  # [N, C', V]
            pooled += [y[:, :, part].mean(dim=2) + y[:, :, part].amax(dim=2) for part in parts]
        return torch.stack(pooled, dim=2)


def _paper(
    iterations: int, clips: ClipConfig, *, lr: float = 1e-3, rise: float = 0.475, cross_entropy: float = 1.0
) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=clips,
        optimizer=OptimizerConfig(name="adam", lr=lr, weight_decay=2e-5),
        schedule=ScheduleConfig(
            name="cosine-cycle", rise=rise, has_three_phases=True, start_divisor=100, momentum_range=(0.85, 0.95)
        ),
        loss_weights={"triplet": 1.0, "cross_entropy": cross_entropy},
    )
    return Recipe(stages=(stage,))


def _quick(iterations: int, order: Literal["unordered", "ordered"]) -> Recipe:
    stage = Stage(
        iterations=iterations,
        clips=ClipConfig(subjects_per_batch=12, sequences_per_subject=4, num_frames=10, order=order),
        optimizer=OptimizerConfig(name="adam", lr=3e-3, weight_decay=2e-5),
        schedule=ScheduleConfig(name="onecycle", warmup=round(0.1 * iterations)),
    )
    return Recipe(stages=(stage,))


def _clips(subjects: int, sequences: int, num_frames: int = 60) -> ClipConfig:
    return ClipConfig(subjects_per_batch=subjects, sequences_per_subject=sequences, num_frames=num_frames)


def _ordered(subjects: int, sequences: int) -> ClipConfig:
    return _clips(subjects, sequences, 30).model_copy(update={"order": "ordered"})


_PLAIN: dict[str, object] = {"triplets": "batch-all", "label_smoothing": 0.1}
_WILD: dict[str, object] = {"is_upright": True, "augment": {"swap_sides": 0.01}}
_GAIT3D: dict[str, object] = {"channels": (64, 64, 128, 128, 256), "num_classes": 3000}
_QUICK: dict[str, object] = {
    "channels": (16, 32, 64),
    "num_shared": 2,
    "embedding_width": 64,
    "augment": {"mirror": 0.5},
}
_CASIA_B = Preset(recipe=_paper(40_000, _clips(4, 32), rise=0.5), note="sizes and recipe as published for CASIA-B")
_PP_CASIA_B = Preset(recipe=_paper(40_000, _ordered(4, 32)), note="sizes and recipe as published for CASIA-B")

PRESETS: dict[str, Preset] = {
    "paper": _CASIA_B,
    "paper@casia-b": _CASIA_B,
    "paper@ccpg": Preset(
        config={"is_upright": True, "augment": {}, "num_classes": 100},
        recipe=_paper(40_000, _clips(4, 32), lr=2e-3, rise=0.5),
    ),
    "paper@sustech1k": Preset(
        config={"augment": {}, "num_classes": 250}, recipe=_paper(40_000, _clips(8, 8), rise=0.5)
    ),
    "paper@gait3d": Preset(
        config={**_GAIT3D, **_WILD, **_PLAIN}, recipe=_paper(60_000, _clips(32, 4), cross_entropy=0.01)
    ),
    "paper@grew": Preset(
        config={
            **_PLAIN,
            "channels": (64, 128, 128, 128, 256, 256),
            "is_upright": True,
            "augment": {"swap_sides": 0.01, "joint_noise": 0.3},
            "num_classes": 20_000,
        },
        recipe=_paper(200_000, _clips(32, 8), cross_entropy=0.1),
    ),
    "paper@ou-mvlp": Preset(
        config={
            "channels": (64, 128, 128, 128, 128, 256, 256),
            "num_shared": 4,
            "augment": {"swap_sides": 0.01, "joint_noise": 0.3},
            "num_classes": 5153,
        },
        recipe=_paper(150_000, _clips(32, 16, 30), cross_entropy=0.5),
    ),
    "quick": Preset(
        config=_QUICK,
        recipe=_quick(420, "unordered"),
        note="a quarter of the width, one block less, mirrored poses, short training",
    ),
}
"""Presets of GPGait; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""

GPGAITPP_PRESETS: dict[str, Preset] = {
    "paper": _PP_CASIA_B,
    "paper@casia-b": _PP_CASIA_B,
    "paper@gait3d": Preset(
        config={**_GAIT3D, **_PLAIN, "is_upright": True, "augment": {}, "masking": "none"},
        recipe=_paper(60_000, _ordered(32, 4).model_copy(update={"skip": 2})),
    ),
    "quick": Preset(
        config=_QUICK,
        recipe=_quick(270, "ordered"),
        note="a quarter of the width, one block less, mirrored poses, short training",
    ),
}
"""Presets of GPGait++."""
