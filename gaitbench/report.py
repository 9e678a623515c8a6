"""What became of the official files: people, sequences, frames, and everything that is not there, with the reason."""

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, NonNegativeInt

from gaitbench.card import LeftOut
from gaitbench.dataset import GaitDataset

__all__ = ["PreparationReport", "StreamReport", "report", "report_text"]

_MOST_SHOWN = 10


class StreamReport(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """One modality of a prepared dataset."""

    modality: str
    """Its name."""
    num_sequences: NonNegativeInt
    """Sequences that have frames in it."""
    num_frames: NonNegativeInt
    """Their frames together."""
    num_bytes: NonNegativeInt
    """Size of its files."""
    absent: dict[str, str]
    """Sequence id to the reason why it has no frames."""
    num_defects: NonNegativeInt
    """How many of these reasons are broken or missing files; the others are walks in which nothing was seen."""


class PreparationReport(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """A prepared dataset in numbers."""

    num_subjects: NonNegativeInt
    """People."""
    num_sequences: NonNegativeInt
    """Rows of the table, with and without frames."""
    streams: tuple[StreamReport, ...]
    """In alphabetical order."""
    left_out: tuple[LeftOut, ...]
    """Files and folders of the source that are no sequence."""
    uneven: dict[str, str] = {}
    """Sequence id to the numbers of frames of its streams, where those of one clock and rate differ."""


def report(dataset: GaitDataset) -> PreparationReport:
    """Count what a prepared dataset holds and what it lacks.

    Raises:
        DatasetError: A file of the dataset is missing, truncated or altered.
    """
    streams = []
    for name in dataset.modalities:
        absent = dataset.absent(name)
        counts = _num_frames(dataset, name)
        streams.append(
            StreamReport(
                modality=name,
                num_sequences=int((counts > 0).sum()),
                num_frames=int(counts.sum()),
                num_bytes=dataset.num_bytes(name),
                absent={sequence: why.reason for sequence, why in absent.items()},
                num_defects=sum(why.is_defect for why in absent.values()),
            )
        )
    return PreparationReport(
        num_subjects=len(np.unique(dataset.table.subject_id)),
        num_sequences=len(dataset),
        streams=tuple(streams),
        left_out=dataset.left_out,
        uneven=_uneven(dataset),
    )


def report_text(found: PreparationReport) -> str:
    """The report for a terminal, a few lines.

    Args:
        found: What :func:`report` gave.
    """
    lines = [f"  {found.num_subjects} subjects, {found.num_sequences} sequences"]
    for stream in found.streams:
        size = f"{stream.num_sequences} sequences, {stream.num_frames} frames, {stream.num_bytes / 1e6:.1f} MB"
        lines.append(f"  {stream.modality}: {size}")
        if stream.absent:
            broken = f", {stream.num_defects} of them for broken or missing files" if stream.num_defects else ""
            lines.append(f"    {len(stream.absent)} sequences without frames{broken}:")
            lines += _shortened([f"      {sequence}: {reason}" for sequence, reason in stream.absent.items()])
    if found.uneven:
        lines.append(
            f"  {len(found.uneven)} sequences have streams of different lengths; together only the shorter is read:"
        )
        lines += _shortened([f"    {sequence}: {counts}" for sequence, counts in found.uneven.items()])
    for item in found.left_out:
        shown = ", ".join(item.examples[:3]) + (", ..." if item.num > min(3, len(item.examples)) else "")
        lines.append(f"  left out: {item.num} times {item.reason} ({shown})")
    return "\n".join(lines)


def _num_frames(dataset: GaitDataset, modality: str) -> NDArray[np.int64]:
    """``[N]`` from the manifest: nothing of the frames is read."""
    counts: NDArray[np.int64] = dataset.manifest(modality)["num_frames"].to_numpy()
    return counts


def _uneven(dataset: GaitDataset) -> dict[str, str]:
    """Sequences whose streams should show the same moments and do not have as many frames."""
    beats: dict[tuple[str | None, float], list[str]] = {}
    for name in dataset.modalities:
        info = dataset.card.streams[name]
        beats.setdefault((info.clock, info.frame_rate_hz), []).append(name)
    found: dict[str, str] = {}
    for names in beats.values():
        counts = np.stack([_num_frames(dataset, name) for name in names])  # [streams, N]
        longest = counts.max(axis=0)
        for row in np.flatnonzero(((counts > 0) & (counts < longest)).any(axis=0)).tolist():
            sequence = str(dataset.table.sequence_id[row])
            told = ", ".join(f"{name} {count}" for name, count in zip(names, counts[:, row].tolist(), strict=True))
            found[sequence] = "; ".join(filter(None, (found.get(sequence), told)))
    return found


def _shortened(lines: list[str]) -> list[str]:
    rest = len(lines) - _MOST_SHOWN
    return lines if rest <= 0 else [*lines[:_MOST_SHOWN], f"      and {rest} more; --json lists all"]
