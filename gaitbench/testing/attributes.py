"""The contract of a model that tells attributes: logits of every class of its schema, of each sequence by itself.

Axes: N batch.
"""

from typing import get_args

import torch
from torch import Tensor

from gaitbench.card import Attribute
from gaitbench.errors import ModelError
from gaitbench.model import Decision, GaitBatch, GaitModel
from gaitbench.testing.batch_parts import rows, with_lengths

__all__ = ["attribute_classes", "check_attributes", "schema_of"]

TOLERANCE = 1e-4
"""Largest difference between the logits of one sequence alone and in a batch, relative to the largest logit."""


def schema_of(model: GaitModel) -> tuple[Attribute, ...]:
    """The attributes that a model's config names; none for a model that tells none."""
    schema = getattr(model.config, "attributes", ())
    is_schema = isinstance(schema, tuple) and all(isinstance(each, Attribute) for each in schema)
    return schema if is_schema else ()


def attribute_classes(model: GaitModel) -> tuple[int, ...] | None:
    """Numbers of classes for :func:`gaitbench.testing.synthetic_batch`; None where the model names no attributes."""
    return tuple(len(attribute.classes) for attribute in schema_of(model)) or None


def check_attributes(model: GaitModel, batch: GaitBatch, label: str) -> None:
    """Try a model that names attributes: what it tells must be there, finite, and each sequence's own.

    Args:
        model: In evaluation mode.
        batch: Clips of equal length, of the modalities that it is shown together.
        label: What is tried, for messages.

    Raises:
        ModelError: What is wrong.
    """
    schema = schema_of(model)
    if not schema:
        return
    if model.decides not in get_args(Decision):
        raise ModelError(f"{label}: decides must be one of {', '.join(get_args(Decision))}, got {model.decides!r}.")
    together = _told(model, batch, schema, label)
    for row in range(len(together)):
        alone = _told(model, rows(batch, [row]), schema, label)
        if (error := _difference(alone[0], together[row])) > TOLERANCE:
            raise ModelError(
                f"{label}: the attributes of sequence {row} are told differently alone and in a batch (relative "
                f"difference {error:.1e}); nothing may be averaged or normalised over the batch in evaluation."
            )
    if model.padding == "masked":
        longer = int(next(iter(batch.num_frames.values()))[0]) + 3
        padded = _told(model, with_lengths(batch, model.inputs, [longer] * len(together)), schema, label)
        if (error := _difference(padded, together)) > TOLERANCE:
            raise ModelError(
                f"{label}: padded frames change the attributes that are told (relative difference {error:.1e}). Mask "
                "frames from num_frames on, or set padding = 'refused'."
            )


def _told(model: GaitModel, batch: GaitBatch, schema: tuple[Attribute, ...], label: str) -> Tensor:
    """``[N, classes of all attributes]``."""
    model.eval()
    with torch.inference_mode():
        output = model(batch)
    number = len(output.embedding)
    for attribute in schema:
        logits = output.attributes.get(attribute.name)
        if logits is None or logits.shape != (number, len(attribute.classes)):
            found = "nothing" if logits is None else str(list(logits.shape))
            raise ModelError(
                f"{label}: GaitOutput.attributes[{attribute.name!r}] must be [{number}, {len(attribute.classes)}], a "
                f"logit for each class that config.attributes names; got {found}."
            )
        if not bool(torch.isfinite(logits).all()):
            raise ModelError(f"{label}: GaitOutput.attributes[{attribute.name!r}] holds NaN or infinity.")
    return torch.cat([output.attributes[attribute.name] for attribute in schema], dim=1).clone()


def _difference(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-12))
