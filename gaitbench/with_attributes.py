"""Any identity model, wearing a head that tells attributes.

Axes: N batch, C channels, P parts, L labels of the vector.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from torch import Tensor

from gaitbench.card import Attribute
from gaitbench.errors import ModelError
from gaitbench.layers.attribute_head import AttributeHead
from gaitbench.losses.attributes import attribute_bce, attribute_cross_entropy
from gaitbench.metrics.label_encoding import EncodingKind
from gaitbench.model import ClosedFormModel, Decision, GaitBatch, GaitModel, GaitOutput, InputSpec, attributes_of
from gaitbench.registry import resolve
from gaitbench.towers.config import TowerInfo

if TYPE_CHECKING:
    from gaitbench.frozen import FrozenFeatures
    from gaitbench.recipe import Stage

__all__ = ["HeadConfig", "WithAttributes", "WithAttributesConfig"]

NUM_FRAMES = 4
"""Frames of the made-up sequence that tells how many features a model has."""


class HeadConfig(BaseModel):
    """What can be chosen of the head: ``--set head.loss=softmax``."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    loss: Literal["bce", "softmax"] = "bce"
    """``bce``: a sigmoid and binary cross-entropy per label, decided at 0.5. ``softmax``: cross-entropy per attribute,
    whose most likely class is told."""
    labels: EncodingKind = "onehot"
    """The label vector that is learnt: a logit per class, or one for an attribute of two classes (``bce`` only)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.loss == "softmax" and self.labels == "binary":
            raise ValueError("a softmax is over the classes of an attribute; use labels 'onehot' with it")
        return self


class WithAttributesConfig(HeadConfig):
    """A model by its class and configuration, and the head."""

    target: str
    """The model, a :class:`gaitbench.model.GaitModel`, as ``package.module:attribute``."""
    config_target: str
    """The class of its configuration."""
    config: dict[str, Any] = {}
    """Its configuration."""
    attributes: tuple[Attribute, ...] = ()
    """What is told; the runner sets it. Empty for a model without a head, which can be asked what it reads."""

    @field_validator("config")
    @classmethod
    def _as_stored(cls, config: dict[str, Any]) -> dict[str, Any]:
        """As JSON has it, so that it does not change when it is stored."""
        stored: dict[str, Any] = json.loads(json.dumps(config))
        return stored


class WithAttributes(GaitModel):
    """A model up to its part features, then :class:`gaitbench.layers.AttributeHead`.

    :meth:`gaitbench.model.GaitModel.part_features` of the model gives what enters the head, in training and testing,
    and the modules in its ``beyond_features`` are dropped. Its own losses are not used. The embedding is the part
    features. Losses: ``bce`` or ``cross_entropy``, over known labels.

    Source:
        RA-GAR: Wang et al., AAAI 2025, Table 3 (baselines with the head and the loss replaced).
    """

    config: WithAttributesConfig

    def __init__(self, config: WithAttributesConfig) -> None:
        super().__init__(config)
        cls, config_class = resolve(config.target), resolve(config.config_target)
        assert isinstance(cls, type)
        assert isinstance(config_class, type)
        assert issubclass(config_class, BaseModel)
        backbone = cls(config_class.model_validate(config.config))
        if not isinstance(backbone, GaitModel) or isinstance(backbone, ClosedFormModel):
            raise ModelError(f"{config.target} is no model that learns by gradients, so it cannot wear another head")
        for name in backbone.beyond_features:
            # Which modules there are may depend on the configuration.
            if name in backbone._modules:
                delattr(backbone, name)
        self.backbone = backbone
        self.padding = backbone.padding
        if config.attributes:
            num_classes = [len(attribute.classes) for attribute in config.attributes]
            self.head = AttributeHead(_num_features(backbone), num_classes, config.labels)

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Those of the model."""
        return self.backbone.inputs

    @property
    def towers(self) -> tuple[TowerInfo, ...]:
        """Those of the model."""
        return self.backbone.towers

    @property
    def frozen_features(self) -> "FrozenFeatures | None":
        """Those of the model."""
        return self.backbone.frozen_features

    @property
    def model_inside(self) -> GaitModel:
        """The model."""
        return self.backbone

    @property
    def decides(self) -> Decision:
        """At 0.5 by sigmoids, by the largest logit of a softmax."""
        return "threshold" if self.config.loss == "bce" else "argmax"

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Tell attributes; ``extras["labels"]`` holds the logits of the label vector ``[N, L]``."""
        if not self.config.attributes:
            raise ModelError("this model has no head, as its config names no attributes; the runner fills them in")
        features = self.backbone.part_features(batch)
        labels: Tensor = self.head(features)
        names = [attribute.name for attribute in self.config.attributes]
        return GaitOutput(
            embedding=features,
            attributes=dict(zip(names, self.head.by_attribute(labels), strict=True)),
            extras={"labels": labels},
        )

    def losses(self, output: GaitOutput, batch: GaitBatch, stage: "Stage") -> Mapping[str, Tensor]:  # noqa: ARG002
        """Of the known labels."""
        attributes = attributes_of(batch)
        if self.config.loss == "softmax":
            return {"cross_entropy": attribute_cross_entropy(list(output.attributes.values()), attributes)}
        num_classes = [len(attribute.classes) for attribute in self.config.attributes]
        labels = output.extras["labels"]
        return {"bce": attribute_bce(labels, attributes, num_classes, kind=self.config.labels)}

    def seal(self) -> None:
        """What the model drops."""
        self.backbone.seal()

    def take_form_of(self, weights: Mapping[str, Tensor]) -> None:
        """What the model makes of its part of the weights."""
        prefix = "backbone."
        own = {name.removeprefix(prefix): x for name, x in weights.items() if name.startswith(prefix)}
        self.backbone.take_form_of(own)


def _num_features(model: GaitModel) -> int:
    """C * P, asked of the model with a made-up sequence."""
    from gaitbench.testing.synthetic import synthetic_batch

    inputs = [spec for spec in model.inputs if not spec.is_for_training]
    was_training = model.training
    model.eval()
    # Not in inference mode: what a model keeps of its first call must not refuse to be trained with.
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        features = model.part_features(synthetic_batch(inputs, num_sequences=1, num_frames=NUM_FRAMES))
    model.train(was_training)
    if features.ndim != 3 or len(features) != 1 or not features.numel():
        raise ModelError(
            f"{type(model).__name__}.part_features must give [N, C, P], got {list(features.shape)} for one sequence"
        )
    return features.shape[1] * features.shape[2]
