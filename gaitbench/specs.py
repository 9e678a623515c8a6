"""What a plugin registers: cheap records that name their implementation by a string target.

A target reads ``package.module:attribute`` and is imported once, on use, so that listing what is
installed imports no model code. This module imports nothing heavy for the same reason.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from gaitbench.modality import Modality

__all__ = [
    "API_VERSION",
    "DatasetSpec",
    "Fidelity",
    "MetricSpec",
    "ModalitySpec",
    "ModelSpec",
    "ProtocolSpec",
    "Spec",
    "TaskSpec",
]

API_VERSION = 1
"""Version of the plugin interface. A plugin module states the one it was written for as ``api_version``."""

Fidelity = Literal["parity", "paper", "proposed"]
"""How near a model is to what was published.

``parity``: agrees with the published code's numbers. ``paper``: built from the paper, which fixes everything.
``proposed``: the source leaves parts open; :attr:`ModelSpec.open_points` lists our choices.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What every component says of itself."""

    kind: ClassVar[str]
    name: str
    """Lower case, digits and hyphens; unique among the components of its kind."""
    title: str
    """One line for listings."""
    source: str = ""
    """Where it was published: paper, section, equation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModalitySpec(Spec):
    """A kind of stream."""

    kind: ClassVar[str] = "modality"
    modality: Modality


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec(Spec):
    """A dataset that can be prepared.

    Attributes:
        target: A :class:`gaitbench.dataset.DatasetBuilder`.
        options: The pydantic class of the builder's options.
        modalities: What it can supply.
        protocols: Names of its protocols; the first one is the default.
        needs_source: False when it is generated on the user's machine.
        licence: Licence or terms in one line.
        access: How to get the data.
        citation: What its terms or its authors ask to be cited.
        redistribution: Whether the terms let anybody pass the data on; None where they do not say, which counts as no.
        preview: A function ``(path)`` that draws a contact sheet as PNG; empty when there is none.
        population: The people it shows: datasets with the same word show the same people under the same subject ids.
            None for the dataset's own name, empty where nobody knows. Options in braces are filled in.
        renumbers: Populations whose people it shows under other ids, so that nobody can tell who is who.
    """

    kind: ClassVar[str] = "dataset"
    target: str
    options: str
    modalities: tuple[str, ...]
    protocols: tuple[str, ...]
    needs_source: bool = True
    licence: str = ""
    access: str = ""
    citation: str = ""
    redistribution: bool | None = None
    preview: str = ""
    population: str | None = None
    renumbers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolSpec(Spec):
    """Who is train, probe and gallery; ``target`` is a :class:`gaitbench.protocol.Protocol`."""

    kind: ClassVar[str] = "protocol"
    target: str
    dataset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec(Spec):
    """A method.

    Attributes:
        target: A :class:`gaitbench.model.GaitModel`.
        config: The pydantic class of its configuration.
        presets: A ``dict[str, Preset]``: ``quick``, ``paper``, and ``quick@DATASET`` where a dataset needs its own.
        inputs: Modalities it reads.
        tasks: Tasks it can be asked.
        fidelity: How near it is to what was published.
        open_points: What the source leaves open and what we chose, a line each; empty unless ``proposed``.
        is_trivial: True for the trivial baseline that every task ships.
        published_keys: A ``Mapping[str, str]`` from published state keys to ours, for
            :func:`gaitbench.layers.rename_published`; empty when there are no published checkpoints.
        explains: True when the model is :class:`gaitbench.explaining.Explainable`: it can show what it looks at.
    """

    kind: ClassVar[str] = "model"
    target: str
    config: str
    presets: str
    inputs: tuple[str, ...]
    tasks: tuple[str, ...]
    fidelity: Fidelity
    open_points: tuple[str, ...] = ()
    is_trivial: bool = False
    published_keys: str = ""
    explains: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec(Spec):
    """What is asked of a model; ``target`` is a :class:`gaitbench.tasks.Task`."""

    kind: ClassVar[str] = "task"
    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec(Spec):
    """A number from distances.

    Attributes:
        target: A function ``(distance [Q, G], match [Q, G], valid [Q, G]) -> [Q]`` that gives NaN for an absent
            probe, like :func:`gaitbench.metrics.rank_k`.
        unit: What it looks at: every probe, all pairs at once, as in verification, or labels, as of attributes. Pairs
            and labels are core's only; the target is ``(genuine [n], impostor [m]) -> float`` of pairs, and takes what
            is true and what is told of labels.
        tasks: Tasks that report it.
        higher_is_better: The direction of "good".
        percent: True when tables multiply by 100.
    """

    kind: ClassVar[str] = "metric"
    target: str
    tasks: tuple[str, ...] = ("identity", "crossmodal")
    unit: Literal["probe", "pairs", "labels"] = "probe"
    higher_is_better: bool = True
    percent: bool = True
