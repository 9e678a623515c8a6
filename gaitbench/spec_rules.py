"""What a spec must look like before it is registered: names, targets, fields that belong together."""

import re
from typing import get_args

from gaitbench.errors import PluginError
from gaitbench.modality import CODECS, Codec, FrameKind, Modality
from gaitbench.specs import (
    DatasetSpec,
    Fidelity,
    MetricSpec,
    ModalitySpec,
    ModelSpec,
    ProtocolSpec,
    Spec,
    TaskSpec,
)

__all__ = ["KINDS", "TARGET", "check_spec"]

KINDS: dict[str, type[Spec]] = {
    spec.kind: spec for spec in (ModalitySpec, DatasetSpec, ProtocolSpec, ModelSpec, TaskSpec, MetricSpec)
}
"""Kind of component to the class of its spec."""

TARGET = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
"""``package.module:attribute``."""

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*(?:\+\+)?")
_METRIC_NAME = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")


def check_spec(spec: object, owner: str) -> None:
    """Raise on the first thing that makes a spec unusable.

    Args:
        spec: What a plugin wants to add.
        owner: The plugin's distribution and version, for the message.

    Raises:
        PluginError: It is no spec, or one of its fields is malformed; the message names both and what to write.
    """
    if not isinstance(spec, Spec) or type(spec) not in KINDS.values():
        expected = ", ".join(sorted(cls.__name__ for cls in KINDS.values()))
        raise PluginError(f"{owner} adds {spec!r}, which is no spec; add one of {expected}.")
    label = f"{spec.kind} {spec.name!r} of {owner}"
    pattern = _METRIC_NAME if isinstance(spec, MetricSpec) else _NAME
    if not isinstance(spec.name, str) or not pattern.fullmatch(spec.name):
        raise PluginError(
            f"{label}: a name is lower case letters, digits and single hyphens, such as 'my-model' or 'my-model++'."
        )
    if not isinstance(spec.title, str) or not spec.title.strip() or "\n" in spec.title:
        raise PluginError(f"{label}: title must be one line of text, got {spec.title!r}.")
    for field in ("target", "options", "config", "presets"):
        if hasattr(spec, field) and not (isinstance(target := getattr(spec, field), str) and TARGET.fullmatch(target)):
            raise PluginError(f"{label}: {field} must read 'package.module:attribute', got {target!r}.")
    for field in ("preview", "published_keys"):
        if (target := getattr(spec, field, "")) and not (isinstance(target, str) and TARGET.fullmatch(target)):
            raise PluginError(f"{label}: {field} must read 'package.module:attribute', got {target!r}.")
    for field in ("inputs", "tasks", "modalities", "protocols", "open_points", "renumbers"):
        if hasattr(spec, field):
            _check_words(label, field, getattr(spec, field), is_needed=field in ("inputs", "tasks", "modalities"))
    if isinstance(spec, DatasetSpec) and not (spec.population is None or isinstance(spec.population, str)):
        raise PluginError(
            f"{label}: population must be a word, or None for the dataset's name, got {spec.population!r}."
        )
    if isinstance(spec, ModelSpec):
        if not isinstance(spec.explains, bool):
            raise PluginError(f"{label}: explains must be True or False, got {spec.explains!r}.")
        _check_fidelity(label, spec)
    if isinstance(spec, ModalitySpec):
        _check_modality(label, spec)


def _check_words(label: str, field: str, value: object, *, is_needed: bool) -> None:
    if not isinstance(value, tuple) or not all(isinstance(item, str) and item for item in value):
        raise PluginError(f"{label}: {field} must be a tuple of strings, got {value!r}.")
    if is_needed and not value:
        raise PluginError(f"{label}: {field} must not be empty.")
    if len(set(value)) != len(value):
        raise PluginError(f"{label}: {field} names something twice: {', '.join(value)}.")


def _check_fidelity(label: str, spec: ModelSpec) -> None:
    if spec.fidelity not in get_args(Fidelity):
        raise PluginError(f"{label}: fidelity must be one of {', '.join(get_args(Fidelity))}, got {spec.fidelity!r}.")
    if (spec.fidelity == "proposed") != bool(spec.open_points):
        raise PluginError(
            f"{label}: fidelity is {spec.fidelity!r} with {len(spec.open_points)} open points. A 'proposed' model "
            "lists what its source leaves open in open_points; any other has none."
        )


def _check_modality(label: str, spec: ModalitySpec) -> None:
    modality = spec.modality
    if not isinstance(modality, Modality):
        raise PluginError(f"{label}: modality must be a gaitbench.modality.Modality, got {modality!r}.")
    if modality.name != spec.name:
        raise PluginError(
            f"{label}: the spec and its modality have different names, {spec.name!r} and {modality.name!r}."
        )
    if modality.kind not in get_args(FrameKind) or modality.codec not in get_args(Codec):
        raise PluginError(
            f"{label}: kind must be one of {', '.join(get_args(FrameKind))} and codec one of "
            f"{', '.join(get_args(Codec))}, got {modality.kind!r} and {modality.codec!r}."
        )
    if modality.codec not in CODECS[modality.kind]:
        codecs = " or ".join(CODECS[modality.kind])
        raise PluginError(f"{label}: {modality.kind} frames are stored as {codecs}, not {modality.codec!r}.")
    if modality.dtype not in ("uint8", "uint16", "float32") or modality.channels < 1:
        raise PluginError(
            f"{label}: dtype must be uint8, uint16 or float32 and channels at least 1, "
            f"got {modality.dtype!r} and {modality.channels!r}."
        )
    low, high = modality.value_range
    if not low < high:
        raise PluginError(f"{label}: value_range must rise, got {modality.value_range!r}.")
