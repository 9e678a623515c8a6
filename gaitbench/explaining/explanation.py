"""What was drawn of a run, as data: ``findings.json`` beside the pictures."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from gaitbench.explaining.gap import ModalityGap

__all__ = ["FINDINGS_FILE", "DrawnHeatmap", "DrawnSpace", "ExplainedSequence", "Explanation", "Told"]

FINDINGS_FILE = "findings.json"
"""Name of the file; a folder that has it was written by gaitbench."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DrawnHeatmap(_Part):
    """A row of a picture."""

    title: str
    modality: str
    """Whose frames it lies over."""
    rows: int
    """Of the map, before it was enlarged."""
    columns: int
    low: float
    """Value of the darkest colour."""
    high: float
    """Value of the brightest colour."""
    lowest: float
    """Smallest value over the whole sequence."""
    highest: float
    """Largest value over the whole sequence."""


class Told(_Part):
    """What the model says of a sequence in words."""

    title: str
    text: str


class ExplainedSequence(_Part):
    """One sequence."""

    sequence_id: str
    subject: str
    condition: str
    view: str
    num_frames: int
    """Frames that the model was given."""
    frames: tuple[int, ...]
    """Those that were drawn, from 0."""
    file: str = ""
    """Name of the picture; empty where the model only talks."""
    heatmaps: tuple[DrawnHeatmap, ...] = ()
    findings: tuple[Told, ...] = ()


class DrawnSpace(_Part):
    """The space that the modalities of a cross-modal run share."""

    file: str
    """Name of the picture."""
    num_drawn: int
    """Test sequences that are drawn, each once per modality."""
    shares: tuple[float, float]
    """Of the variance of all embeddings together, along the two axes."""
    gap: ModalityGap
    """How far the modalities lie from each other."""


class Explanation(_Part):
    """Everything that was drawn."""

    kind: Literal["gaitbench explanation"] = "gaitbench explanation"
    version: Literal[1] = 1
    is_complete: bool = True
    """False while pictures are being drawn, and after a stop."""
    run_id: str
    model: str
    preset: str
    changes: tuple[str, ...] = ()
    """What was set otherwise than in it."""
    fidelity: str
    notes: tuple[str, ...] = ()
    """What a reader must know of the model: the preset's own words, towers that are not the published ones, and what
    tells training and test data of one name apart."""
    task: str
    dataset: str
    """The data that the sequences are of."""
    dataset_version: str
    trained_on: str
    """The data that were trained on."""
    protocol: str
    split: Literal["test", "train"]
    """Which part of the protocol the sequences are of."""
    seed: int
    files: tuple[str, ...] = ()
    """Every file of the folder but this one."""
    space: DrawnSpace | None = None
    """Of a run of several modalities."""
    sequences: tuple[ExplainedSequence, ...] = ()
    """None of a model that cannot show what it looks at."""
