from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from gaitbench.card import Attribute, DatasetCard, StreamInfo
from gaitbench.dataset import BuilderOptions, DatasetBuilder
from gaitbench.errors import DatasetError
from gaitbench.sequence import Absent, Frames, SequenceInfo
from gaitbench.testing import check_dataset


class Good(DatasetBuilder):
    def card(self) -> DatasetCard:
        stream = StreamInfo(frame_shape=(1, 16, 12), frame_rate_hz=10)
        return DatasetCard(name="made-up", version="1", title="Made up", streams={"silhouette": stream})

    def sequences(self) -> Sequence[SequenceInfo]:
        return [
            SequenceInfo(sequence_id=f"{i}", subject_id=f"{i // 2}", condition="nm-01", view="000") for i in range(6)
        ]

    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames]:
        for info in sequences:
            yield np.random.default_rng(int(info.sequence_id)).integers(0, 2, (4, 1, 16, 12), dtype=np.uint8)


class OrderDependent(Good):
    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames]:
        rng = np.random.default_rng(0)
        for _ in sequences:
            yield rng.integers(0, 2, (4, 1, 16, 12), dtype=np.uint8)


class TooFew(Good):
    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames]:
        return super().frames(sequences[1:], modality)


class Unstable(Good):
    count = 0

    def sequences(self) -> Sequence[SequenceInfo]:
        Unstable.count += 1
        infos = list(super().sequences())
        return infos if Unstable.count % 2 else infos[::-1]


class IdTwice(Good):
    def sequences(self) -> Sequence[SequenceInfo]:
        return [*super().sequences(), super().sequences()[0]]


class Empty(Good):
    def sequences(self) -> Sequence[SequenceInfo]:
        return []


class LabelTooLarge(Good):
    def card(self) -> DatasetCard:
        sex = Attribute(name="sex", title="Sex", classes=("female", "male"))
        return super().card().model_copy(update={"attributes": (sex,)})

    def sequences(self) -> Sequence[SequenceInfo]:
        return [SequenceInfo(sequence_id="0", subject_id="0", condition="nm", view="0", attributes=(2,))]


class NoSubject(Good):
    def sequences(self) -> Sequence[SequenceInfo]:
        return [SequenceInfo(sequence_id="0", subject_id="", condition="nm", view="0")]


class WrongShape(Good):
    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames]:
        for _ in sequences:
            yield np.zeros((4, 1, 16, 13), dtype=np.uint8)


def test_a_good_builder_passes() -> None:
    check_dataset(Good(BuilderOptions()))


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (OrderDependent, "differs when it is asked for alone"),
        (TooFew, "for 4 sequences"),
        (Unstable, "differs from one builder to the next"),
        (IdTwice, "'0' comes 2 times"),
        (Empty, "is empty"),
        (LabelTooLarge, "sex = 2"),
        (NoSubject, "no subject_id"),
        (WrongShape, "shape"),
    ],
)
def test_a_broken_builder_is_told_what_is_wrong(cls: type[DatasetBuilder], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        check_dataset(cls(BuilderOptions()))


class Gap(Good):
    """Nobody was seen in the first walk."""

    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames | Absent]:
        for info, frames in zip(sequences, super().frames(sequences, modality), strict=True):
            yield Absent("nobody was seen", is_defect=False) if info.sequence_id == "0" else frames


class ChangingGap(Gap):
    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames | Absent]:
        for frames in super().frames(sequences, modality):
            yield Absent(f"one of {len(sequences)}") if isinstance(frames, Absent) else frames


def test_a_sequence_may_lack_a_modality() -> None:
    check_dataset(Gap(BuilderOptions()))
    with pytest.raises(DatasetError, match="differs when it is asked for alone"):
        check_dataset(ChangingGap(BuilderOptions()))


def test_unknown_stream() -> None:
    with pytest.raises(DatasetError, match="no stream rgb"):
        check_dataset(Good(BuilderOptions()), modalities=("rgb",))
