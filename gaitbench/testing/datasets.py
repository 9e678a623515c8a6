"""The contract of a dataset's builder."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gaitbench.card import DatasetCard
from gaitbench.dataset import DatasetBuilder, verify
from gaitbench.errors import DatasetError
from gaitbench.prepare import prepare
from gaitbench.sequence import Absent, Frames, PointFrames, SequenceInfo
from gaitbench.storage.codec import Packed, unpack

__all__ = ["check_dataset"]


def check_dataset(builder: DatasetBuilder, *, modalities: Sequence[str] | None = None, num_sequences: int = 4) -> None:
    """Try a builder against its contract; give it options that make the dataset small.

    Checked: a card and a list of sequences that are the same every time, unique ids, labels inside the schema; frames
    that agree with the card and do not depend on which other sequences are asked for; and a prepared folder that
    passes verification and gives the same frames, or the same reasons for having none, back.

    Args:
        builder: On its source, or generating.
        modalities: Streams to try; None for all of the card.
        num_sequences: Sequences whose frames are compared.

    Raises:
        DatasetError: What is wrong, and what the contract asks for.
    """
    name = type(builder).__name__
    card, infos = builder.card(), list(builder.sequences())
    again = type(builder)(builder.options, builder.source)
    if again.card() != card:
        raise DatasetError(
            f"{name}.card() differs from one builder to the next; it must depend on the arguments alone."
        )
    # NaN is not equal to itself, so that infos are compared as text.
    if repr(list(again.sequences())) != repr(infos):
        raise DatasetError(f"{name}.sequences() differs from one builder to the next; sort what comes from a folder.")
    _check_infos(name, card, infos)
    chosen = tuple(modalities or card.streams)
    if unknown := [modality for modality in chosen if modality not in card.streams]:
        raise DatasetError(f"{name}: the card has no stream {', '.join(unknown)}; it has {', '.join(card.streams)}.")
    # The first, the last and some between, so that a folder's ends are among them.
    picked = [infos[i] for i in sorted({int(i) for i in np.linspace(0, len(infos) - 1, num_sequences)})]
    expected = {modality: _check_frames(builder, again, picked, modality, name) for modality in chosen}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "prepared")
        dataset = prepare(type(builder), builder.options, builder.source, root, chosen, workers=1, progress=False)
        verify(root).raise_problems()
        row_of = {sequence: row for row, sequence in enumerate(dataset.table.sequence_id.tolist())}
        if len(row_of) != len(infos):
            raise DatasetError(f"{name}: {len(infos)} sequences went in, {len(row_of)} are in the prepared dataset.")
        for modality, frames in expected.items():
            bank, absent = dataset.bank(modality), dataset.absent(modality)
            for info, original in zip(picked, frames, strict=True):
                if isinstance(original, Absent):
                    if absent.get(info.sequence_id) != original:
                        raise DatasetError(
                            f"{name}: {modality} of {info.sequence_id} is {original}, the prepared folder says "
                            f"{absent.get(info.sequence_id)}; does the builder say the same every time?"
                        )
                    continue
                if isinstance(original, Packed):
                    original = unpack(original, bank.modality, card.streams[modality])
                stored = bank.frames(row_of[info.sequence_id])
                is_kept = bank.modality.codec in ("bits", "raw")
                if _num_frames(stored) != _num_frames(original) or (is_kept and not _is_same(stored, original)):
                    raise DatasetError(
                        f"{name}: {modality} of {info.sequence_id} comes back from the prepared folder with other "
                        f"frames ({_num_frames(original)} went in, {_num_frames(stored)} came out); does the builder "
                        "give the same frames every time?"
                    )


def _check_infos(name: str, card: DatasetCard, infos: Sequence[SequenceInfo]) -> None:
    if not infos:
        raise DatasetError(f"{name}.sequences() is empty; a source without sequences must raise in card().")
    ids = [info.sequence_id for info in infos]
    if len(set(ids)) < len(ids):
        twice = next(sequence for sequence in ids if ids.count(sequence) > 1)
        raise DatasetError(f"{name}: sequence_id must be unique, {twice!r} comes {ids.count(twice)} times.")
    for info in infos:
        if not info.subject_id:
            raise DatasetError(f"{name}: sequence {info.sequence_id!r} has no subject_id.")
        if card.attributes and len(info.attributes) != len(card.attributes):
            raise DatasetError(
                f"{name}: sequence {info.sequence_id!r} has {len(info.attributes)} attributes, "
                f"the card's schema {len(card.attributes)}."
            )
        for value, attribute in zip(info.attributes, card.attributes, strict=False):
            if not -1 <= value < len(attribute.classes):
                raise DatasetError(
                    f"{name}: sequence {info.sequence_id!r} has {attribute.name} = {value}; it must be -1 (unknown) "
                    f"or an index into {', '.join(attribute.classes)}."
                )


def _check_frames(
    builder: DatasetBuilder, again: DatasetBuilder, picked: Sequence[SequenceInfo], modality: str, name: str
) -> list[Frames | Packed | Absent]:
    together = list(builder.frames(picked, modality))
    if len(together) != len(picked):
        raise DatasetError(f"{name}.frames() gave {len(together)} items of {modality} for {len(picked)} sequences.")
    for info, frames in reversed(list(zip(picked, together, strict=True))):
        alone = list(again.frames([info], modality))
        if len(alone) != 1 or not _is_same(alone[0], frames):
            raise DatasetError(
                f"{name}: {modality} of {info.sequence_id} differs when it is asked for alone; seed random numbers by "
                "sequence, never by order."
            )
    return together


def _is_same(a: Frames | Packed | Absent, b: Frames | Packed | Absent) -> bool:
    if isinstance(a, Absent) or isinstance(b, Absent):
        return isinstance(a, Absent) and isinstance(b, Absent) and a == b
    if isinstance(a, Packed) or isinstance(b, Packed):
        return isinstance(a, Packed) and isinstance(b, Packed) and a.sha256() == b.sha256()
    if isinstance(a, PointFrames) and isinstance(b, PointFrames):
        return np.array_equal(a.points, b.points) and np.array_equal(a.offsets, b.offsets)
    if isinstance(a, PointFrames) or isinstance(b, PointFrames):
        return False
    return a.dtype == b.dtype and np.array_equal(a, b)


def _num_frames(frames: Frames) -> int:
    return len(frames.offsets) - 1 if isinstance(frames, PointFrames) else len(frames)
