"""The record of one run: what was measured, on what, by which code. Fractions at full precision.

A record is JSON with a versioned schema. Beside it lies the per-probe table (Parquet), from which every
headline number can be recomputed.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "SCHEMA_VERSION",
    "DataProvenance",
    "Environment",
    "ModelProvenance",
    "RunRecord",
    "Score",
    "TrainingSummary",
]

SCHEMA_VERSION = 1
"""Version of the record's schema."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="strings")


class Score(_Part):
    """One number with its denominators."""

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
    """What a random ranking scores in expectation."""
    num_probes: int
    """Probe units asked, times gallery views where the protocol counts cells."""
    num_counted: int
    """Of these, in the denominator."""
    num_absent: int
    """Of these, without a valid match in their gallery."""
    num_excluded: int = 0
    """Probe-gallery pairs left out by the protocol."""


class DataProvenance(_Part):
    """Which data."""

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
    num_train_sequences: int
    num_test_subjects: int
    num_probes: int
    num_gallery: int


class ModelProvenance(_Part):
    """Which model."""

    name: str
    preset: str
    fidelity: str
    open_points: tuple[str, ...] = ()
    note: str = ""
    """What a reader of a table must know, such as a reduced width."""
    plugin: str
    plugin_version: str
    config: dict[str, object]
    num_parameters: int
    flops_per_sequence: int | None = None
    """Multiply-adds times two of embedding one test sequence of the dataset's median length; None if not counted."""


class TrainingSummary(_Part):
    """How it was trained."""

    recipe: dict[str, object]
    seed: int
    precision: str
    num_steps: int
    final_losses: dict[str, float] = Field(default_factory=dict)
    """Mean over the last 50 steps of each loss."""


class Environment(_Part):
    """Where and when; the only part of a record that may differ between two equal runs."""

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
