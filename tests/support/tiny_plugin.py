"""A plugin for tests: the moving squares with a protocol, models that learn in a second, and a murderer.

With ``TINY_KILL=event:N`` the N-th run event of that name ends the process by SIGKILL; with ``TINY_KILL=rename:N`` or
``TINY_KILL=renamed:N`` the N-th atomic rename does, just before or just after it.
"""

import os
import pathlib
import signal
from collections import Counter
from collections.abc import Mapping

import torch
from pydantic import BaseModel, PositiveInt
from torch import Tensor, nn

from gaitbench.explaining import Explainable, Finding, Heatmap, activation_heatmap
from gaitbench.hookspecs import RunEvent, hookimpl
from gaitbench.model import ClosedFormModel, GaitBatch, GaitModel, GaitOutput, InputSpec
from gaitbench.partition import OfficialList, list_digest
from gaitbench.protocol import Protocol, Selection, Submission
from gaitbench.recipe import ClipConfig, OptimizerConfig, Preset, Recipe, ScheduleConfig, Stage
from gaitbench.specs import DatasetSpec, ModelSpec, ProtocolSpec

api_version = 1

PROTOCOL = Protocol(
    name="tiny",
    dataset="tiny",
    title="Half of the squares learn, half are asked",
    source="made up",
    train=Selection(subjects=("000..002",)),
    test_subjects=("003..005",),
    gallery=Selection(conditions=("nm-01",)),
    probes={"BG": Selection(conditions=("bg-01",))},
    averaging="probes",
    headline="BG",
    num_train_subjects=3,
    num_test_subjects=3,
)

PARTITION = {
    "TRAIN_SET": ["005", "001", "003"],
    "TEST_SET": ["000", "002", "004"],
    "PROBE_SET": ["000-bg-01-090", "002-nm-01-000", "004-nm-01-000"],
}
LISTED = Protocol(
    name="tiny-listed",
    dataset="tiny",
    title="Squares by list: listed probes, all other sequences searched",
    source="made up",
    train=Selection(),
    test_subjects=("*",),
    gallery=Selection(),
    probes={"all": Selection()},
    complement="gallery",
    exclude=(),
    averaging="probes",
    absent_probes="skip",
    headline="all",
    num_train_subjects=3,
    num_test_subjects=3,
    lists={
        role: OfficialList(num=3, sha256=list_digest(PARTITION[key]))
        for role, key in (("train", "TRAIN_SET"), ("test", "TEST_SET"), ("probes", "PROBE_SET"))
    },
)
WITHHELD = LISTED.model_copy(
    update={"name": "tiny-withheld", "submission": Submission(header=("videoId", "rank1")), "lists": {}}
)


OTHER = PROTOCOL.model_copy(update={"name": "other", "dataset": "other"})
KIN = OTHER.model_copy(update={"name": "kin", "dataset": "kin"})
OTHERS: dict[str, dict[str, object]] = {"other": {}, "kin": {"population": "tiny"}}
"""Datasets of silhouettes alone: of other people, and of the people of ``tiny`` under the same ids."""


class TinyConfig(BaseModel, frozen=True, extra="forbid"):
    num_classes: PositiveInt = 1
    width: PositiveInt = 8
    modalities: tuple[str, ...] = ("silhouette",)
    fuses: tuple[tuple[str, ...], ...] = ()
    nan_at: int = -1
    constant: bool = False
    plain: bool = False


class TinyModel(GaitModel):
    """Two convolutions, a mean over time, one linear part; its weights are shared by all modalities."""

    padding = "refused"
    config: TinyConfig

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.conv = nn.Conv2d(1, 4, 3, stride=4)
        self.norm = nn.Identity() if config.plain else nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.0 if config.plain else 0.1)
        self.embed = nn.Linear(4 * 16 * 16, config.width)
        self.head = nn.Linear(config.width, config.num_classes)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return tuple(
            InputSpec(modality=name, height_px=64, width_px=64, scale=255.0 if name == "lidar-depth" else 1.0)
            for name in self.config.modalities
        )

    @property
    def fusions(self) -> tuple[tuple[str, ...], ...]:
        return self.config.fuses

    def forward(self, batch: GaitBatch) -> GaitOutput:
        outputs = {name: self._one(x) for name, x in batch.inputs.items()}
        joint = torch.stack([output.embedding for output in outputs.values()]).mean(dim=0)
        logits = torch.stack([output.logits for output in outputs.values()]).mean(dim=0)
        return GaitOutput(embedding=joint * (not self.config.constant), logits=logits, by_modality=outputs)

    def _one(self, x: Tensor) -> GaitOutput:
        n, _, t, _, _ = x.shape
        y = torch.relu(self.norm(self.conv(x.transpose(1, 2).flatten(0, 1))))
        embedding = self.embed(self.drop(y.flatten(1).unflatten(0, (n, t)).mean(dim=1)))
        return GaitOutput(embedding=embedding[..., None], logits=self.head(embedding)[..., None])

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: Stage) -> Mapping[str, Tensor]:
        loss = nn.functional.cross_entropy(output.logits[..., 0], batch.labels)
        if batch.step == self.config.nan_at and stage.name == "second":
            loss = loss * torch.nan
        return {"softmax": loss, "size": output.embedding.square().mean() * 0.01}


class TinyShown(Explainable, TinyModel):
    """The network that says where it looks: at where its first convolution answers."""

    def explain(self, batch: GaitBatch) -> list[Heatmap | Finding]:
        found: list[Heatmap | Finding] = []
        for name, x in batch.inputs.items():
            n, _, t, _, _ = x.shape
            y = self.conv(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (n, t)).transpose(1, 2)
            found.append(activation_heatmap(f"convolution of {name}", name, y))
            found.append(Heatmap(f"mask of {name}", name, x[:, 0], (0.0, 1.0)))
        found.append(Finding("length", tuple(f"{t} frames & <more>" for t in batch.num_frames["silhouette"].tolist())))
        return found


class TinyMeanConfig(BaseModel, frozen=True, extra="forbid"):
    num_components: PositiveInt = 4


class TinyMean(ClosedFormModel):
    """Mean frames on the leading directions of the training ones."""

    padding = "refused"
    config: TinyMeanConfig

    def __init__(self, config: TinyMeanConfig) -> None:
        super().__init__(config)
        self.register_buffer("axes", torch.zeros(16 * 16, config.num_components))

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (InputSpec(modality="silhouette", height_px=64, width_px=64),)

    def features(self, batch: GaitBatch) -> Tensor:
        x = batch.inputs["silhouette"].mean(dim=2)
        return nn.functional.avg_pool2d(x, 4).flatten(1)

    def fit(self, features: Tensor, labels: Tensor) -> None:
        assert len(features) == len(labels)
        _, _, v = torch.linalg.svd(features.double() - features.double().mean(dim=0), full_matrices=False)
        self.axes.copy_(v[: self.config.num_components].T)

    def forward(self, batch: GaitBatch) -> GaitOutput:
        return GaitOutput(embedding=(self.features(batch).float() @ self.axes)[..., None])


_CLIPS = ClipConfig(subjects_per_batch=3, sequences_per_subject=2, num_frames=4)
PUBLISHED_KEYS = {r"Backbone\.(conv|norm|embed)\.(.+)": r"\1.\2", r"Head\.fc\.(.+)": r"head.\1"}
RECIPE = Recipe(
    stages=(
        Stage(
            name="first",
            iterations=5,
            clips=_CLIPS,
            optimizer=OptimizerConfig(name="adam", lr=0.01),
            schedule=ScheduleConfig(name="onecycle", warmup=2),
        ),
        Stage(name="second", iterations=4, clips=_CLIPS, freeze=("conv.*",), optimizer=OptimizerConfig(lr=0.01)),
    ),
    checkpoint_every=2,
)
PRESETS = {
    "quick": Preset(recipe=RECIPE),
    "paper@wide": Preset(config={"width": 12}, recipe=RECIPE),
    "quick@crossmodal": Preset(config={"modalities": ("silhouette", "lidar-depth")}, recipe=RECIPE),
}
SHOWN_PRESETS = {"shown": Preset(recipe=RECIPE, note="for <pictures>"), "shown@crossmodal": PRESETS["quick@crossmodal"]}
MEAN_PRESETS = {"quick": Preset(recipe=Recipe(stages=(Stage(kind="closed-form"),)))}


@hookimpl
def gaitbench_register(registry) -> None:
    registry.add(
        DatasetSpec(
            name="tiny",
            title="Moving squares",
            target="tiny_dataset:TinyBuilder",
            options="tiny_dataset:TinyOptions",
            modalities=("silhouette", "lidar-depth"),
            protocols=("tiny", "tiny-listed", "tiny-withheld"),
            needs_source=False,
        )
    )
    for name, about in OTHERS.items():
        registry.add(
            DatasetSpec(
                name=name,
                title="Moving squares of others",
                target="tiny_dataset:OtherBuilder" if name == "other" else "tiny_dataset:KinBuilder",
                options="tiny_dataset:TinyOptions",
                modalities=("silhouette",),
                protocols=(name,),
                needs_source=False,
                **about,
            )
        )
        registry.add(ProtocolSpec(name=name, title="Tiny", target=f"tiny_plugin:{name.upper()}", dataset=name))
    registry.add(ProtocolSpec(name="tiny", title="Tiny", target="tiny_plugin:PROTOCOL", dataset="tiny"))
    registry.add(ProtocolSpec(name="tiny-listed", title="By list", target="tiny_plugin:LISTED", dataset="tiny"))
    registry.add(ProtocolSpec(name="tiny-withheld", title="No labels", target="tiny_plugin:WITHHELD", dataset="tiny"))
    registry.add(
        ModelSpec(
            name="tiny-net",
            title="A little network",
            target="tiny_plugin:TinyModel",
            config="tiny_plugin:TinyConfig",
            presets="tiny_plugin:PRESETS",
            published_keys="tiny_plugin:PUBLISHED_KEYS",
            inputs=("silhouette", "lidar-depth"),
            tasks=("identity", "crossmodal"),
            fidelity="paper",
        )
    )
    registry.add(
        ModelSpec(
            name="tiny-shown",
            title="A little network that explains",
            target="tiny_plugin:TinyShown",
            config="tiny_plugin:TinyConfig",
            presets="tiny_plugin:SHOWN_PRESETS",
            inputs=("silhouette", "lidar-depth"),
            tasks=("identity", "crossmodal"),
            fidelity="paper",
            explains=True,
        )
    )
    registry.add(
        ModelSpec(
            name="tiny-mean",
            title="Fitted in one go",
            target="tiny_plugin:TinyMean",
            config="tiny_plugin:TinyMeanConfig",
            presets="tiny_plugin:MEAN_PRESETS",
            inputs=("silhouette",),
            tasks=("identity",),
            fidelity="paper",
        )
    )


_count: Counter[str] = Counter()


def _strike(name: str) -> None:
    _count[name] += 1
    if os.environ.get("TINY_KILL") == f"{name}:{_count[name]}":
        os.kill(os.getpid(), signal.SIGKILL)
    if os.environ.get("TINY_INTERRUPT") == f"{name}:{_count[name]}":
        os.kill(os.getpid(), signal.SIGINT)


@hookimpl
def gaitbench_run_event(event: RunEvent) -> None:
    _strike(event.name)


def watch_renames() -> Counter[str]:
    """Count atomic renames, and die at one of them when told to; gives the counter."""
    replace = pathlib.Path.replace

    def watched(self, target):
        _strike("rename")
        result = replace(self, target)
        _strike("renamed")
        return result

    pathlib.Path.replace = watched
    return _count
