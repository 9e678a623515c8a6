"""The record of one run: what was measured, on what, by which code. Fractions at full precision.

A record is JSON with a versioned schema (``record.json``). Beside it lie the tables of evidence (Parquet), from which
every number can be recomputed: ``gaitbench.tasks.audit`` does.
"""

import hashlib
import json
from pathlib import Path
from typing import Literal, Self

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gaitbench.atomic import write_bytes, write_text
from gaitbench.dated import Dated
from gaitbench.errors import RecordError
from gaitbench.towers.config import TowerInfo

__all__ = [
    "RECORD_FILE",
    "SCHEMA_VERSION",
    "AppendedAttributes",
    "DataProvenance",
    "Environment",
    "ModelProvenance",
    "RunRecord",
    "Score",
    "TrainedOn",
    "TrainingSummary",
    "read_record",
    "read_tables",
    "record_text",
    "same_result",
    "table_bytes",
    "write_record",
]

RECORD_FILE = "record.json"
"""Name of a record in its folder."""

SCHEMA_VERSION = 1
"""Version of the record's schema."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="strings")


class Score(Dated, _Part):
    """One number with its denominators.

    In the attribute task, sequences are what is asked, and unknown labels what is left out.
    """

    later_fields = frozenset({"majority", "num_labels", "num_labels_empty"})

    metric: str
    """``rank_1``, ``mean_ap`` ..."""
    group: str
    """Probe group of the protocol (``NM``), ``mean`` over groups, or a breakdown such as ``NM/gap=45``."""
    direction: str = ""
    """``lidar->silhouette``, probe first; empty within one modality."""
    value: float
    """Fraction in [0, 1], or NaN when nothing could be counted."""
    ci_low: float | None = None
    """Lower end of the 95 % confidence interval from a bootstrap over subjects."""
    ci_high: float | None = None
    """Upper end."""
    chance: float | None = None
    """What a random ranking, or a guess, scores in expectation."""
    num_probes: int
    """Probe units asked, times gallery views where the protocol counts cells."""
    num_counted: int
    """Of these, in the denominator."""
    num_absent: int
    """Of these, without a valid match in their gallery."""
    num_excluded: int = 0
    """Probe-gallery pairs left out by the protocol."""
    majority: float | None = None
    """What the commonest class of the training data scores, told of everybody; None where there is no such thing."""
    num_labels: int | None = None
    """Labels, or attributes, that the number is a mean over."""
    num_labels_empty: int | None = None
    """Of the others: left out, as the test set has no sequence with one, or none without."""


class TrainedOn(Dated, _Part):
    """Which data were trained on, where the test is that of others."""

    later_fields = frozenset({"training_only", "test_fingerprint"})

    name: str
    version: str
    fingerprint: str
    """As in :class:`DataProvenance`."""
    modalities: tuple[str, ...]
    options: dict[str, object] = Field(default_factory=dict)
    """Options of the builder."""
    protocol: str
    """Whose training part it is."""
    protocol_version: int
    train: dict[str, object]
    """The protocol's selection of training sequences, with the lists that were handed in."""
    num_subjects: int
    num_sequences: int
    people: Literal["others", "divided", "unknown"]
    """``others``: people of other data than those of the test. ``divided``: the two data show the same people, of whom
    none is in both training and test. ``unknown``: nobody says whose walks one of them holds."""
    repository: str = ""
    """As in :class:`DataProvenance`."""
    training_only: tuple[str, ...] = ()
    """As in :class:`DataProvenance`."""
    test_fingerprint: str = ""
    """As in :class:`DataProvenance`."""


class DataProvenance(Dated, _Part):
    """Which data were tested on, and trained on unless :attr:`trained_on` names others."""

    later_fields = frozenset({"repository", "trained_on", "training_only", "test_fingerprint"})

    name: str
    version: str
    fingerprint: str
    """Hash over the manifest of the modalities used; see the dataset card for what it covers."""
    modalities: tuple[str, ...]
    options: dict[str, object] = Field(default_factory=dict)
    """Options of the builder, such as the walkers' seed and spread."""
    protocol: dict[str, object]
    """The whole protocol."""
    num_train_subjects: int
    """Of these data; 0 where others were trained on."""
    num_train_sequences: int
    num_test_subjects: int
    num_probes: int
    num_gallery: int
    repository: str = ""
    """Hugging Face repository and commit that it was read from, ``ORG/NAME@COMMIT``; empty where it was not."""
    trained_on: TrainedOn | None = None
    """Other data that were trained on: a cross-dataset result."""
    training_only: tuple[str, ...] = ()
    """Those of :attr:`modalities` that were read in training alone."""
    test_fingerprint: str = ""
    """As :attr:`fingerprint`, of the modalities that were read in the test; empty where they are all the same."""

    @model_validator(mode="after")
    def _check_training(self) -> Self:
        if self.trained_on is not None and (self.num_train_subjects or self.num_train_sequences):
            raise ValueError(
                f"{self.name} is not what was trained on, {self.trained_on.name} is; it has no training part"
            )
        return self


class AppendedAttributes(_Part):
    """Attributes that were appended to the embeddings before they were compared."""

    source: Literal["true", "predicted"]
    """``true``: the labels of the test sequences, which nobody has where a method is used. ``predicted``: what a model
    told of them."""
    encoding: str
    """The label vector, such as ``onehot45``."""
    weight: float
    """What a positive label stands as in the vector; others are 0."""
    predictor: str = ""
    """The model that told them."""
    run_id: str = ""
    """Its run."""

    @property
    def says(self) -> str:
        """For tables, such as ``true attributes``."""
        return f"{self.source} attributes" + (f" by {self.predictor}" if self.predictor else "")


class ModelProvenance(Dated, _Part):
    """Which model."""

    later_fields = frozenset({"towers", "decides", "appended", "changes"})

    name: str
    preset: str
    fidelity: str
    open_points: tuple[str, ...] = ()
    is_trivial: bool = False
    """True for the trivial baseline that every task ships."""
    note: str = ""
    """What a reader of a table must know, such as a reduced width."""
    plugin: str
    plugin_version: str
    config: dict[str, object]
    num_parameters: int
    flops_per_sequence: int | None = None
    """Multiply-adds times two of embedding one test sequence of the dataset's median length; None if not counted."""
    towers: tuple[TowerInfo, ...] = ()
    """Encoders of others that the model borrowed, each with its weights."""
    decides: str = ""
    """How its attribute logits became labels; empty where none were asked for."""
    appended: AppendedAttributes | None = None
    """What was appended to its embeddings; None for nothing."""
    changes: tuple[str, ...] = ()
    """What was set otherwise than in the preset, such as ``has_text=false``."""

    @property
    def configured(self) -> str:
        """The preset and what was changed in it, for tables."""
        return ", ".join((self.preset, *self.changes))

    @property
    def says(self) -> str:
        """The note, for tables; it is the preset's, and what was changed may have made parts of it untrue."""
        if not self.note or not self.changes:
            return self.note
        return f"before {', '.join(self.changes)} the preset was: {self.note}"


class TrainingSummary(_Part):
    """How it was trained."""

    recipe: dict[str, object]
    seed: int
    precision: str
    num_steps: int
    final_losses: dict[str, float] = Field(default_factory=dict)
    """Mean over the last 50 steps of each loss."""


class Environment(Dated, _Part):
    """Where and when; the only part of a record that may differ between two equal runs."""

    later_fields = frozenset({"feature_cache"})

    started_utc: str
    finished_utc: str
    train_seconds: float
    embed_seconds: float
    score_seconds: float
    hardware: str
    device: str
    num_threads: int
    python: str
    packages: dict[str, str]
    git_revision: str = ""
    git_dirty: bool | None = None
    feature_cache: bool = False
    """True when features of a frozen tower were read from disk in training or embedding; their seconds lack it."""


class RunRecord(_Part):
    """Everything that a table shows of a run, and everything needed to repeat it."""

    schema_version: int = SCHEMA_VERSION
    run_id: str
    """Hash of everything that determines the result."""
    status: Literal["complete", "partial"] = "complete"
    """``partial``: subjects or sequences of the protocol were missing; kept off the ranking."""
    task: str
    task_version: int
    data: DataProvenance
    model: ModelProvenance
    training: TrainingSummary
    scores: tuple[Score, ...]
    evidence: dict[str, str] = Field(default_factory=dict)
    """Name of a table beside the record to its sha256."""
    environment: Environment

    @property
    def uses_labels(self) -> bool:
        """True when labels of the test sequences went into the answers; such a result is never ranked with others."""
        return self.model.appended is not None and self.model.appended.source == "true"


def write_record(folder: Path, record: RunRecord, tables: dict[str, pa.Table]) -> RunRecord:
    """Write a record and its evidence; the record comes last, so a folder that has one is whole.

    Args:
        folder: Created when needed.
        record: Its ``evidence`` is filled here.
        tables: Name to table, written as ``NAME.parquet``.

    Returns:
        The record as written, with the sha256 of every table.

    Raises:
        OutputError: The folder cannot be written.
    """
    contents = {name: table_bytes(table) for name, table in tables.items()}
    evidence = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    record = record.model_copy(update={"evidence": evidence})
    for name, content in contents.items():
        write_bytes(folder / f"{name}.parquet", content)
    write_text(folder / RECORD_FILE, record_text(record))
    return record


def read_record(folder: Path) -> RunRecord:
    """Read and validate a record; its evidence is not looked at.

    Args:
        folder: With ``record.json``.

    Returns:
        The record.

    Raises:
        RecordError: There is no record, it is of another schema version, or it does not fit the schema.
    """
    path = folder / RECORD_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordError(
            f"{folder} has no {RECORD_FILE}: the run is not finished, or this is not its folder"
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RecordError(f"{path} cannot be read ({error}); run it again") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise RecordError(
            f"{path} has schema version {version!r}, this gaitbench reads {SCHEMA_VERSION}; "
            "install the gaitbench that wrote it, or run it again"
        )
    try:
        return RunRecord.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RecordError(f"{path} does not fit the schema at {place}: {first['msg']}; run it again") from error


def read_tables(folder: Path, record: RunRecord) -> dict[str, pa.Table]:
    """Read the evidence of a record and check that not one byte of it has changed.

    Args:
        folder: With the tables.
        record: Read from the same folder.

    Returns:
        Name to table.

    Raises:
        RecordError: A table is missing, altered, or cannot be read.
    """
    tables = {}
    for name, expected in record.evidence.items():
        path = folder / f"{name}.parquet"
        if Path(name).name != name:
            raise RecordError(f"{folder / RECORD_FILE} names a table {name!r} outside its folder")
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RecordError(f"{path}, the evidence of run {record.run_id}, cannot be read: {error}") from error
        found = hashlib.sha256(content).hexdigest()
        if found != expected:
            raise RecordError(
                f"{path} was changed after the run: its sha256 is {found[:12]}..., the record says {expected[:12]}...; "
                "restore the file or run it again"
            )
        try:
            # Arrow's reader threads can outlive the interpreter beside torch's; a few small tables need none.
            with pq.ParquetFile(pa.BufferReader(content), pre_buffer=False) as file:
                tables[name] = file.read(use_threads=False)
        except pa.ArrowException as error:
            raise RecordError(f"{path} is no Parquet table: {error}; run it again") from error
    return tables


def record_text(record: RunRecord) -> str:
    """The text of a record's file: JSON, one score per line.

    Args:
        record: Any record.

    Returns:
        JSON text with a line break at its end.
    """
    content = record.model_dump(mode="json")
    scores = [json.dumps(score, ensure_ascii=False) for score in content.pop("scores")]
    head = json.dumps(content, indent=1, ensure_ascii=False)
    lines = ",\n".join(f"  {score}" for score in scores)
    return f'{head[:-2]},\n "scores": [\n{lines}\n ]\n}}\n'


def table_bytes(table: pa.Table) -> bytes:
    """Encode a table as small Parquet; the same table gives the same bytes.

    Args:
        table: Any table.

    Returns:
        Content of a file.
    """
    rising = [name for name in table.column_names if name == "impostors_below"]
    sink = pa.BufferOutputStream()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in table.column_names if name not in rising],
        column_encoding=dict.fromkeys(rising, "DELTA_BINARY_PACKED"),
        write_statistics=False,
        row_group_size=max(1, table.num_rows),
    )
    return bytes(sink.getvalue())


def same_result(a: RunRecord, b: RunRecord) -> bool:
    """Tell whether two records say the same but for when and where they were made.

    Args:
        a: A record.
        b: Another one.

    Returns:
        True when everything but :class:`Environment` is equal; NaN equals NaN.
    """
    left, right = (record.model_dump_json(exclude={"environment"}) for record in (a, b))
    return left == right
