"""What can be said of one component: everything in its spec, and what its code tells when it is asked."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gaitbench.errors import GaitbenchError, UnknownNameError
from gaitbench.quarantine import PluginInfo, describe
from gaitbench.registry import KINDS, Registry, nearest
from gaitbench.specs import DatasetSpec, MetricSpec, ModalitySpec, ModelSpec, ProtocolSpec, Spec
from gaitbench.towers.left_out import weights_left_out

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gaitbench.model import GaitModel
    from gaitbench.recipe import Preset

__all__ = ["FLOPS_FRAMES", "ComponentInfo", "Detail", "find", "num_flops", "num_parameters"]

FLOPS_FRAMES = 10
"""Frames of the sequence whose cost is told."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One labelled thing to know."""

    label: str
    """What it is."""
    lines: tuple[str, ...]
    """One or several lines of text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentInfo:
    """A component, as ``gaitbench info`` shows it."""

    kind: str
    """``model``, ``dataset`` ... or ``plugin``."""
    name: str
    """Its name."""
    title: str
    """One line."""
    package: str
    """Distribution and version."""
    details: tuple[Detail, ...]
    """Everything else, in the order to show it."""


def find(registry: Registry, name: str, kind: str | None = None) -> list[ComponentInfo]:
    """Describe everything of this name.

    Args:
        registry: Where to look.
        name: Of a component, ``distribution/name``, or a plugin.
        kind: Look among these only.

    Raises:
        UnknownNameError: Nothing is called so.
        UsageError: There is no such kind.
    """
    if kind == "plugin":
        kinds: list[str] = []
    else:
        kinds = [kind] if kind else list(KINDS)
    found: list[ComponentInfo] = []
    reasons: list[str] = []
    for each in kinds:
        try:
            spec = registry.get(each, name)
        except UnknownNameError as error:
            reasons.append(str(error))
        else:
            found.append(_of_component(registry, spec, describe(registry.owner(each, name))))
    if kind in (None, "plugin"):
        found.extend(_of_plugin(plugin) for plugin in registry.plugins() if name in (plugin.name, plugin.distribution))
    if not found:
        raise UnknownNameError(_why_unknown(registry, name, kind, reasons))
    return found


def num_parameters(registry: Registry, spec: ModelSpec, preset: "Preset") -> int:
    """Build a model as a preset says, and count its parameters, those that stay as they are too.

    Raises:
        GaitbenchError: The model cannot be imported or built.
    """
    from gaitbench.flops import count_parameters

    return count_parameters(_build(registry, spec, preset)[0])


def num_flops(registry: Registry, spec: ModelSpec, preset: "Preset") -> int | None:
    """Floating-point operations for one sequence of :data:`FLOPS_FRAMES` frames, a multiply-add as two.

    Returns:
        None for a model that is fitted and cannot be run before.

    Raises:
        GaitbenchError: The model cannot be imported or built.
    """
    return _num_flops(_build(registry, spec, preset)[0])


def _build(registry: Registry, spec: ModelSpec, preset: "Preset") -> "tuple[GaitModel, BaseModel]":
    config_class = registry.load(spec, "config")
    model = registry.load(spec)
    assert callable(config_class)
    assert callable(model)
    config: BaseModel = config_class(**preset.config)
    # Nobody waits here for weights that are only counted.
    with weights_left_out():
        built: GaitModel = model(config)
    return built, config


def _without(config: "BaseModel") -> str:
    """What is not counted, because it is built when training data are there."""
    waiting = [name for name in ("attributes", "sentences") if getattr(config, name, None) == ()]
    return f" (without what is built of the data's {' and '.join(waiting)})" if waiting else ""


def _num_flops(model: "GaitModel") -> int | None:
    from gaitbench.flops import count_flops
    from gaitbench.model import ClosedFormModel
    from gaitbench.testing.synthetic import synthetic_batch

    if isinstance(model, ClosedFormModel):
        return None
    model.eval()
    with weights_left_out():
        # Sequences are embedded by the model as training leaves it, such as LMGait without its text tower.
        model.seal()
        return count_flops(model, synthetic_batch(model.inputs, num_sequences=1, num_frames=FLOPS_FRAMES))


def _why_unknown(registry: Registry, name: str, kind: str | None, reasons: list[str]) -> str:
    """The message of the one kind asked for, or of the kind that has the best explanation."""
    if kind and kind != "plugin":
        return reasons[0]
    best = nearest(name, [known for each in KINDS for known in registry.names(each)])
    for phrase in ("should provide it but failed", "It comes with", f"Did you mean {best!r}", "Did you mean"):
        for reason in reasons:
            if phrase in reason:
                return reason
    known = [plugin.distribution for plugin in registry.plugins()]
    near = nearest(name, known)
    guess = f" Did you mean {near!r}?" if near else ""
    return f"nothing is called {name!r}.{guess} 'gaitbench list' shows everything that is installed."


def _of_component(registry: Registry, spec: Spec, package: str) -> ComponentInfo:
    if isinstance(spec, ModelSpec):
        details = _of_model(registry, spec)
    elif isinstance(spec, DatasetSpec):
        details = _of_dataset(registry, spec)
    elif isinstance(spec, ProtocolSpec):
        details = _of_protocol(registry, spec)
    elif isinstance(spec, ModalitySpec):
        labels = [field.name for field in dataclasses.fields(spec.modality) if field.name not in ("name", "title")]
        values = [(label.replace("_", " "), str(getattr(spec.modality, label))) for label in labels]
        details = [Detail(label, (value,)) for label, value in values if value]
    elif isinstance(spec, MetricSpec):
        better = "higher is better" if spec.higher_is_better else "lower is better"
        unit = {
            "probe": "one number per probe",
            "pairs": "one number over all pairs",
            "labels": "one number over what is told of all sequences",
        }[spec.unit]
        details = [Detail("tasks", (", ".join(spec.tasks),)), Detail("direction", (better,)), Detail("unit", (unit,))]
    else:
        details = _users_of_task(registry, spec)
    if spec.source:
        details.append(Detail("source", (spec.source,)))
    return ComponentInfo(kind=spec.kind, name=spec.name, title=spec.title, package=package, details=tuple(details))


def _of_model(registry: Registry, spec: ModelSpec) -> list[Detail]:
    details = [
        Detail("inputs", (", ".join(spec.inputs),)),
        Detail("tasks", (", ".join(spec.tasks),)),
        Detail("fidelity", (f"{spec.fidelity}: {_FIDELITY[spec.fidelity]}",)),
    ]
    if spec.open_points:
        details.append(Detail("open points", spec.open_points))
    if spec.is_trivial:
        details.append(Detail("role", ("trivial baseline",)))
    if spec.explains:
        details.append(Detail("explains", ("yes: 'gaitbench explain' draws what it looks at",)))
    towers: list[str] = []
    try:
        presets = registry.load(spec, "presets")
        assert isinstance(presets, dict)
        lines = []
        for name, preset in presets.items():
            line, borrowed = _preset_line(registry, spec, name, preset)
            lines.append(line)
            towers += [f"{name}: {tower}" for tower in borrowed]
    except GaitbenchError as error:
        lines = [f"cannot be read: {error}"]
    details.append(Detail("presets", tuple(lines)))
    if towers:
        details.append(Detail("towers", tuple(towers)))
    return details


_FIDELITY = {
    "parity": "agrees with the published code's numbers",
    "paper": "built from the paper, which fixes everything",
    "proposed": "the source leaves parts open; our choices are listed",
}


def _preset_line(registry: Registry, spec: ModelSpec, name: str, preset: "Preset") -> tuple[str, list[str]]:
    """What a preset gives, and the encoders of others that it borrows."""
    from gaitbench.flops import count_parameters

    steps = sum(stage.iterations for stage in preset.recipe.stages if stage.kind == "gradient")
    trained = f"{steps} steps" if steps else "fitted in one go"
    towers: list[str] = []
    try:
        built, config = _build(registry, spec, preset)
        size = f"{count_parameters(built):,} parameters{_without(config)}"
        with weights_left_out():
            towers = [tower.says for tower in built.towers]
        # Running a model takes longer than building it: only for the two that every model has.
        if name in ("paper", "quick") and (flops := _num_flops(built)):
            size += f", {flops / 1e9:.3g} GFLOPs for {FLOPS_FRAMES} frames"
    except Exception as error:  # a plugin's constructor may do anything, and the rest is still worth showing
        size = f"cannot be built ({type(error).__name__}: {error})"
    return f"{name}: {size}, {trained}" + (f"; {preset.note}" if preset.note else ""), towers


def _of_dataset(registry: Registry, spec: DatasetSpec) -> list[Detail]:
    from gaitbench.tree import TreeBuilder

    details = [
        Detail("modalities", (", ".join(spec.modalities),)),
        Detail("protocols", (", ".join(spec.protocols) or "none",)),
        Detail("files", ("official files needed" if spec.needs_source else "generated on this machine",)),
        Detail("licence", (spec.licence or "not stated",)),
        Detail("access", (spec.access or "not stated",)),
        Detail("citation", (spec.citation or "not stated",)),
    ]
    if spec.population is not None:
        details.append(Detail("people", (spec.population or "not known",)))
    if spec.renumbers:
        details.append(Detail("people of", (f"{', '.join(spec.renumbers)}, under other ids",)))
    try:
        options = registry.load(spec, "options")
        fields = getattr(options, "model_fields", {})
        lines = [f"{key} = {field.default!r}: {field.description or ''}".rstrip(": ") for key, field in fields.items()]
        builder = registry.load(spec)
        if isinstance(builder, type) and issubclass(builder, TreeBuilder):
            layouts = builder(options(), None).layouts()  # type: ignore[operator]
            details.append(Detail("layouts", tuple(f"{layout.name}: {layout.title}" for layout in layouts)))
        if not spec.needs_source:
            assert callable(builder)
            assert callable(options)
            card = builder(options(), None).card()
            details.append(Detail("version", (card.version,)))
            labelled = [f"{a.name}: {', '.join(a.classes)}" for a in card.attributes]
            details.append(Detail("attributes", tuple(labelled) or ("none",)))
    except GaitbenchError as error:
        lines = [f"cannot be read: {error}"]
    details.append(Detail("options", tuple(lines) or ("none",)))
    return details


def _of_protocol(registry: Registry, spec: ProtocolSpec) -> list[Detail]:
    from gaitbench.protocol import Protocol, protocol_text

    is_here = spec.dataset in registry.names("dataset")
    hint = "" if is_here else " (no plugin prepares it here; embeddings of it can be scored all the same)"
    details = [Detail("dataset", (f"{spec.dataset}{hint}",))]
    try:
        protocol = registry.load(spec)
    except GaitbenchError as error:
        return [*details, Detail("rules", (f"cannot be read: {error}",))]
    assert isinstance(protocol, Protocol)
    return [*details, Detail("rules", tuple(protocol_text(protocol).splitlines()))]


def _users_of_task(registry: Registry, spec: Spec) -> list[Detail]:
    models = [
        model.name for model in registry.specs("model") if isinstance(model, ModelSpec) and spec.name in model.tasks
    ]
    metrics = [
        metric.name
        for metric in registry.specs("metric")
        if isinstance(metric, MetricSpec) and spec.name in metric.tasks
    ]
    return [Detail("models", (", ".join(models) or "none",)), Detail("metrics", (", ".join(metrics) or "none",))]


def _of_plugin(plugin: PluginInfo) -> ComponentInfo:
    details = [
        Detail("status", (plugin.status,)),
        Detail("module", (plugin.target,)),
        Detail("plugin API", (str(plugin.api_version) if plugin.api_version is not None else "not stated",)),
        Detail("provides", tuple(f"{kind} {name}" for kind, name in plugin.components) or ("nothing",)),
    ]
    if plugin.error:
        details += [Detail(f"failed ({plugin.stage})", (plugin.error,)), Detail("next step", (plugin.hint,))]
    title = "core" if plugin.distribution == "gaitbench" else f"plugin {plugin.name}"
    return ComponentInfo(kind="plugin", name=plugin.name, title=title, package=describe(plugin), details=tuple(details))
