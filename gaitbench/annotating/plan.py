"""What will be asked: the schema, the sequences, the header of the file, and where it goes."""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import gaitbench
from gaitbench.annotating.attributes import AttributesSchema
from gaitbench.annotating.chains import Chain, TextChain, WalkChain
from gaitbench.annotating.dictionary import DictionarySchema
from gaitbench.annotating.directions import DIRECTIONS
from gaitbench.annotating.endpoint import EndpointConfig
from gaitbench.annotating.gdf import GdfSchema
from gaitbench.annotating.motion import MotionPromptsSchema
from gaitbench.annotating.records import AnnotationHeader
from gaitbench.annotating.schema import SchemaName, TextSchema, WalkSchema
from gaitbench.annotating.sheet import SheetConfig, Sheets
from gaitbench.dataset import GaitDataset
from gaitbench.errors import UsageError
from gaitbench.hub.address import is_address
from gaitbench.hub.known import may_pass_on, protocol_of
from gaitbench.patterns import matches
from gaitbench.registry import Registry, nearest
from gaitbench.specs import DatasetSpec, ModalitySpec
from gaitbench.store import is_prepared, open_or_prepare

__all__ = ["Plan", "Selected", "Split", "make_plan"]

Split = Literal["train", "test", "all"]

VISIBLE = ("silhouette", "silhouette-raw", "rgb", "lidar-depth", "depth")
"""Streams for a sheet, the first that a dataset has being the default: as little of a person as will do."""

DICTIONARY = ("silhouette", "lidar-depth")
"""The two sides of cross-modal recognition, which a dictionary is about without further word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """What of a dataset is asked about.

    Attributes:
        dataset: Name, folder of a prepared one, or ``hf:...``.
        source: Folder of the official files, or None.
        options: Of the dataset.
        split: Sequences of the default protocol's training or test, or all.
        views: Patterns of views; in a dictionary, names of directions. Empty takes all.
        modalities: Streams that are shown, or that a dictionary is about; empty for the usual ones.
        num_rounds: Of text schemas; None for the usual number.
    """

    dataset: str
    source: Path | None = None
    options: Mapping[str, object]
    split: Split = "all"
    views: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    num_rounds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be asked."""

    header: AnnotationHeader
    """Of the file."""
    chains: tuple[Chain, ...]
    """All questions."""
    no_frames: Mapping[str, str]
    """Sequences that there is nothing to show of, and why."""
    order: Mapping[str, int]
    """Place of every entry that the file may hold."""
    name: str
    """Of the file in a folder, without a suffix."""
    forbidden: tuple[Path, ...]
    """Folders that nothing is written into."""
    may_pass_on: bool | None
    """Whether the terms let anybody pass on what is shown; True where nothing is."""

    @property
    def entries(self) -> tuple[str, ...]:
        """All that is asked about, in order."""
        asked = [entry for chain in self.chains for entry in chain.entries]
        return tuple(sorted([*asked, *self.no_frames], key=self.order.__getitem__))


def make_plan(
    registry: Registry, schema: SchemaName, chosen: Selected, sheet: SheetConfig, endpoint: EndpointConfig
) -> Plan:
    """Look up what is asked about; frames are prepared where they are shown and not prepared yet.

    Raises:
        UsageError: Something that the dataset does not have, or an option of the other kind of schema.
        DatasetError: The dataset cannot be opened.
    """
    if schema in ("gmtd", "prompts"):
        return _text_plan(registry, schema, chosen, endpoint)
    if chosen.num_rounds is not None:
        raise UsageError(f"--rounds belongs to the schemas gmtd and prompts; {schema} asks once about a sequence.")
    dataset = _open(registry, chosen)
    names = chosen.modalities or _first_visible(dataset)
    sheets = Sheets(dataset, sheet := sheet.model_copy(update={"modalities": names}))
    asks: WalkSchema = GdfSchema() if schema == "gdf" else AttributesSchema(dataset.card.name, dataset.card.attributes)
    ids = dataset.table.sequence_id.tolist()
    question = asks.question(sheet.says())
    chains, no_frames = [], {}
    for row in _rows(registry, dataset, chosen).tolist():
        if reason := sheets.missing(row):
            no_frames[ids[row]] = reason
        else:
            chains.append(WalkChain(asks, question, ids[row], functools.partial(sheets.picture, row)))
    header = AnnotationHeader(
        schema_name=schema,
        schema_version=asks.version,
        prompt_sha256=asks.prompt_sha256(),
        fields=asks.fields,
        dataset=dataset.card.name,
        dataset_version=dataset.card.version,
        sheet=sheet,
        **_about(endpoint),
    )
    forbidden = [dataset.root, *([chosen.source] if chosen.source else [])]
    return Plan(
        header=header,
        chains=tuple(chains),
        no_frames=no_frames,
        order={sequence_id: i for i, sequence_id in enumerate(ids)},
        name=_file_name(header),
        forbidden=tuple(forbidden),
        may_pass_on=may_pass_on(registry, dataset.card),
    )


def _text_plan(registry: Registry, schema: SchemaName, chosen: Selected, endpoint: EndpointConfig) -> Plan:
    if chosen.split != "all":
        raise UsageError(f"--split belongs to schemas that look at sequences; {schema} looks at none.")
    if chosen.options:
        raise UsageError(
            f"--option belongs to schemas that look at sequences; {schema} looks at none (given: "
            f"{', '.join(sorted(chosen.options))})."
        )
    name, available = _known_modalities(registry, chosen.dataset)
    asks: TextSchema
    if schema == "gmtd":
        names = chosen.modalities or tuple(each for each in DICTIONARY if each in available) or available
        titles = {each: _title(registry, name, each, available) for each in names}
        asks = DictionarySchema(titles, 8 if chosen.num_rounds is None else chosen.num_rounds, _directions(chosen))
    else:
        if chosen.views or chosen.modalities:
            raise UsageError("--views and --modalities do not belong to the schema prompts, which is about motion.")
        names = ()
        asks = MotionPromptsSchema(4 if chosen.num_rounds is None else chosen.num_rounds)
    chains = tuple(TextChain(asks, rounds) for rounds in asks.chains())
    header = AnnotationHeader(
        schema_name=schema,
        schema_version=asks.version,
        prompt_sha256=asks.prompt_sha256(),
        fields=(),
        dataset=name,
        dataset_version="",
        modalities=names,
        num_rounds=asks.num_rounds,
        **_about(endpoint),
    )
    entries = [entry for chain in chains for entry in chain.entries]
    folder = Path(chosen.dataset)
    return Plan(
        header=header,
        chains=chains,
        no_frames={},
        order={entry: i for i, entry in enumerate(entries)},
        name=_file_name(header),
        forbidden=tuple(place for place in (folder if is_prepared(folder) else None, chosen.source) if place),
        may_pass_on=True,
    )


def _about(endpoint: EndpointConfig) -> dict[str, object]:
    return {
        "model": endpoint.model,
        "endpoint_host": endpoint.host,
        "answer_format": endpoint.answer_format,
        "settings": dict(endpoint.settings),
        "written_by": gaitbench.__version__,
    }


def _file_name(header: AnnotationHeader) -> str:
    words = "-".join((header.dataset, header.schema_name, header.model))
    return re.sub(r"[^A-Za-z0-9._-]+", "-", words).strip("-.")[:120]


def _open(registry: Registry, chosen: Selected) -> GaitDataset:
    folder = Path(chosen.dataset)
    if is_prepared(folder):
        if chosen.options or chosen.source is not None:
            raise UsageError(f"{folder} is prepared already; leave --option and --data out.")
        return GaitDataset.open(folder)
    names = chosen.modalities
    if not names and not is_address(chosen.dataset):
        spec = registry.get("dataset", chosen.dataset)
        assert isinstance(spec, DatasetSpec)
        names = tuple(each for each in VISIBLE if each in spec.modalities)[:1] or spec.modalities[:1]
    return open_or_prepare(
        registry, chosen.dataset, modalities=names or None, source=chosen.source, options=chosen.options
    )


def _first_visible(dataset: GaitDataset) -> tuple[str, ...]:
    pictures = [name for name in dataset.modalities if dataset.stream(name).kind == "raster"]
    best = [name for name in VISIBLE if name in pictures] or pictures
    if not best:
        raise UsageError(
            f"{dataset.root} has no pictures to show (it has {', '.join(dataset.modalities)}); prepare silhouettes, "
            "or ask for texts with --schema gmtd."
        )
    return (best[0],)


def _rows(registry: Registry, dataset: GaitDataset, chosen: Selected) -> NDArray[np.int64]:
    """Rows of the sequences that are asked about."""
    table = dataset.table
    rows = np.arange(len(table))
    if chosen.split != "all":
        if (protocol := protocol_of(registry, dataset.card, table)) is None:
            raise UsageError(f"{dataset.card.name} has no protocol that divides it; leave --split out.")
        division = protocol.divide(table, allow_partial=True, needs_matches=False)
        rows = np.sort(division.train if chosen.split == "train" else division.test)
    if chosen.views:
        known = sorted(set(table.view.tolist()))
        for pattern in chosen.views:
            if not matches(np.array(known), (pattern,)).any():
                shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
                raise UsageError(f"{dataset.card.name} has no view {pattern!r}; it has {shown}.")
        rows = rows[matches(table.view[rows], chosen.views)]
    if not len(rows):
        raise UsageError(f"no sequence of {dataset.card.name} is left by --split {chosen.split} and --views.")
    return rows


def _known_modalities(registry: Registry, dataset: str) -> tuple[str, tuple[str, ...]]:
    """Name and streams of a dataset; nothing is prepared."""
    if is_prepared(Path(dataset)):
        card = GaitDataset.open(Path(dataset)).card
        return card.name, tuple(card.streams)
    if is_address(dataset):
        raise UsageError(f"texts are written for a dataset that is installed or prepared; {dataset} is neither.")
    spec = registry.get("dataset", dataset)
    assert isinstance(spec, DatasetSpec)
    return spec.name, spec.modalities


def _title(registry: Registry, dataset: str, modality: str, available: Sequence[str]) -> str:
    if modality not in available:
        near = nearest(modality, available)
        guess = f"; did you mean {near!r}?" if near else "."
        raise UsageError(f"dataset {dataset!r} has no modality {modality!r}{guess} It has {', '.join(available)}.")
    spec = registry.get("modality", modality)
    assert isinstance(spec, ModalitySpec)
    return spec.title


def _directions(chosen: Selected) -> tuple[str, ...]:
    for view in chosen.views:
        if view not in DIRECTIONS:
            near = nearest(view, DIRECTIONS)
            guess = f" Did you mean {near!r}?" if near else ""
            raise UsageError(f"there is no direction {view!r}.{guess} There are {', '.join(DIRECTIONS)}.")
    return chosen.views or DIRECTIONS
