"""Sequences without frames: said why, kept in the table, left out of what needs them; broken files stop by default."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from gaitbench.clips import ClipSampler, test_batches
from gaitbench.dataset import DatasetBuilder, DatasetCard, GaitDataset, StreamInfo, verify
from gaitbench.errors import DatasetError
from gaitbench.model import InputSpec
from gaitbench.prepare import prepare
from gaitbench.recipe import AugmentConfig, ClipConfig
from gaitbench.report import report, report_text
from gaitbench.sequence import Absent, Frames, SequenceInfo
from tests.support.tiny_dataset import ALL_MODALITIES, TinyBuilder, TinyOptions

MISSING = Absent("nobody is seen in d/090.png", is_defect=False)


class GappyOptions(TinyOptions):
    """Which sequences lack frames."""

    gaps: dict[str, list[int]] = {}  # noqa: RUF012
    """Modality to rows without frames that nothing can be done about."""
    broken: dict[str, list[int]] = {}  # noqa: RUF012
    """Modality to rows whose files are broken."""
    is_grey: bool = False
    """Store silhouettes as grey values."""


class GappyBuilder(TinyBuilder):
    options: GappyOptions

    def card(self) -> DatasetCard:
        card = super().card()
        if not self.options.is_grey:
            return card
        grey = StreamInfo(
            frame_shape=(1, 64, 64), frame_rate_hz=25, scale_to_unit=1 / 255, codec="raw", value_range=(0, 255)
        )
        return card.model_copy(update={"streams": {**card.streams, "silhouette": grey}})

    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames | Absent]:
        rows = {info.sequence_id: row for row, info in enumerate(self.sequences())}
        for info, frames in zip(sequences, super().frames(sequences, modality), strict=True):
            row = rows[info.sequence_id]
            if row in self.options.gaps.get(modality, ()):
                yield MISSING
            elif row in self.options.broken.get(modality, ()):
                yield Absent(f"{info.sequence_id}.pkl is cut short")
            elif self.options.is_grey and modality == "silhouette":
                yield np.asarray(frames) * np.uint8(255)
            else:
                yield frames


def make(
    out: Path, modalities: Sequence[str] = ("silhouette",), *, skip_broken: bool = False, **options: object
) -> GaitDataset:
    return prepare(
        GappyBuilder, GappyOptions(**options), None, out, modalities, workers=1, progress=False, skip_broken=skip_broken
    )


@pytest.mark.parametrize("hide_frames", [False, True])
def test_every_codec_keeps_rows_without_frames(tmp_path: Path, hide_frames: bool) -> None:
    gaps = {modality: [0, 7, 23] for modality in ALL_MODALITIES}
    dataset = make(tmp_path / "d", ALL_MODALITIES, gaps=gaps, hide_frames=hide_frames)
    assert len(dataset) == 24
    assert verify(tmp_path / "d").is_sound
    ids = dataset.table.sequence_id
    for modality in ALL_MODALITIES:
        assert dataset.absent(modality) == dict.fromkeys(ids[[0, 7, 23]].tolist(), MISSING)
        frames = dataset.bank(modality).frames(7)
        assert len(frames[0] if modality == "lidar" else frames) == 0
        whole = TinyBuilder(TinyOptions()).frames(dataset_infos(), modality)
        expected = list(whole)[8]
        got = dataset.bank(modality).frames(8)
        assert len(got[1] if modality == "lidar" else got) == len(expected[1] if modality == "lidar" else expected)
    assert dataset.table.num_frames[7] == (0 if hide_frames else dataset_infos()[7].num_frames)


def dataset_infos() -> Sequence[SequenceInfo]:
    return TinyBuilder(TinyOptions()).sequences()


def test_present_is_what_has_all_streams(tmp_path: Path) -> None:
    dataset = make(tmp_path / "d", ("silhouette", "depth"), gaps={"silhouette": [1], "depth": [1, 2, 5]})
    assert len(dataset.present(["silhouette"])) == 23
    assert len(dataset.present(["silhouette", "depth"])) == 21
    both = dataset.present(["silhouette", "depth"])
    assert not set(dataset.table.sequence_id[[1, 2, 5]]) & set(both.table.sequence_id)
    assert both.present(["depth"]) is both
    assert both.fingerprint(["silhouette"]) != dataset.present(["silhouette"]).fingerprint(["silhouette"])
    taken = dataset.take([5, 6, 2])
    assert taken.present(["depth"]).table.sequence_id.tolist() == [dataset.table.sequence_id[6]]
    assert set(taken.absent("depth")) == set(dataset.table.sequence_id[[5, 2]])
    _, batch = next(iter(test_batches(both, SILHOUETTE, max_frames=None, frames_per_batch=64, padding="masked")))
    assert int(batch.num_frames["silhouette"].min()) > 0


def test_broken_files_stop_at_the_end_and_are_read_again(tmp_path: Path) -> None:
    out = tmp_path / "d"
    with pytest.raises(DatasetError, match=r"silhouette of 2 sequences cannot be read:\n  000-.*cut short") as caught:
        make(out, broken={"silhouette": [3, 20]})
    assert "--skip-broken" in str(caught.value)
    assert not (out / "dataset.json").exists()
    with pytest.raises(DatasetError, match="is not a prepared dataset"):
        GaitDataset.open(out)
    kept = make(out, skip_broken=True, broken={"silhouette": [3, 20]})
    assert len(kept) == 24
    assert [why.is_defect for why in kept.absent("silhouette").values()] == [True, True]
    assert len(kept.present(["silhouette"])) == 22


def test_shards_with_broken_rows_are_not_taken_over(tmp_path: Path) -> None:
    builder, mended = (GappyOptions(broken={"silhouette": rows}) for rows in ([3], []))
    out = tmp_path / "d"

    class Mended(GappyBuilder):
        """Files that were copied again: the same options, other content."""

        def card(self) -> DatasetCard:
            return GappyBuilder(builder).card()

    with pytest.raises(DatasetError, match="cannot be read"):
        prepare(GappyBuilder, builder, None, out, ["silhouette"], workers=1, progress=False)
    again = prepare(Mended, mended, None, out, ["silhouette"], workers=1, progress=False)
    assert again.absent("silhouette") == {}


def test_what_was_read_and_is_wrong_is_one_broken_sequence(tmp_path: Path) -> None:
    class Wrong(TinyBuilder):
        def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames | Absent]:
            for number, frames in enumerate(super().frames(sequences, modality)):
                yield np.zeros((5, 1, 3, 3), np.uint8) if number == 2 else frames

    with pytest.raises(DatasetError, match=r"frames have shape \[5, 1, 3, 3\]"):
        prepare(Wrong, TinyOptions(), None, tmp_path / "made", ["silhouette"], workers=1, progress=False)
    read = prepare(
        Wrong, TinyOptions(), tmp_path, tmp_path / "read", ["silhouette"], workers=1, progress=False, skip_broken=True
    )
    (why,) = read.absent("silhouette").values()
    assert "frames have shape [5, 1, 3, 3]" in why.reason
    assert why.is_defect


def test_report_counts_and_says_why(tmp_path: Path) -> None:
    dataset = make(
        tmp_path / "d", ("silhouette", "depth"), skip_broken=True, gaps={"depth": [1]}, broken={"depth": [2, 3]}
    )
    found = report(dataset)
    depth, silhouette = found.streams
    assert (found.num_subjects, found.num_sequences) == (6, 24)
    assert (depth.num_sequences, len(depth.absent), depth.num_defects) == (21, 3, 2)
    assert (silhouette.num_sequences, silhouette.absent) == (24, {})
    assert depth.num_frames == sum(len(dataset.bank("depth").frames(i)) for i in range(24))
    text = report_text(found)
    assert "3 sequences without frames, 2 of them for broken or missing files" in text
    assert "nobody is seen in d/090.png" in text


SILHOUETTE = [InputSpec(modality="silhouette", height_px=64, width_px=44)]


def test_grey_silhouettes_reach_a_model_between_0_and_1(tmp_path: Path) -> None:
    grey, mask = make(tmp_path / "g", is_grey=True), make(tmp_path / "m")
    assert grey.bank("silhouette").modality.codec == "raw"
    assert grey.bank("silhouette").frames(0).max() == 255
    batches = [
        ClipSampler(
            dataset,
            torch.arange(24) // 4,
            ClipConfig(subjects_per_batch=3, sequences_per_subject=2, num_frames=4),
            SILHOUETTE,
            AugmentConfig(rotate=1.0, flip=0.5),
            seed=1,
        ).batch(0)
        for dataset in (grey, mask)
    ]
    first, second = (batch.inputs["silhouette"] for batch in batches)
    assert 0.9 < first.max() < 1 + 1e-5
    torch.testing.assert_close(first, second, rtol=0, atol=1e-5)


def test_card_refuses_a_codec_that_cannot_store_the_kind(tmp_path: Path) -> None:
    class Odd(DatasetBuilder):
        def card(self) -> DatasetCard:
            stream = StreamInfo(frame_shape=(17, 3), frame_rate_hz=25, codec="jpeg")
            return DatasetCard(name="odd", version="1", title="Odd", streams={"skeleton2d": stream})

        def sequences(self) -> Sequence[SequenceInfo]:
            return dataset_infos()

        def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames]:
            raise AssertionError

    with pytest.raises(DatasetError, match="stores skeleton2d as jpeg, but joints are stored as raw"):
        prepare(Odd, TinyOptions(), None, tmp_path / "d", ["skeleton2d"], workers=1, progress=False)


def test_a_run_on_skipped_files_is_partial(tmp_path: Path) -> None:
    from gaitbench.cells.open_cell import _broken
    from gaitbench.errors import IncompleteDataError

    dataset = make(tmp_path / "d", skip_broken=True, broken={"silhouette": [3]}, gaps={"silhouette": [4]})
    with pytest.raises(IncompleteDataError, match=r"silhouette of 1 sequences was broken.*--allow-partial"):
        _broken(dataset, ["silhouette"], allow_partial=False)
    (line,) = _broken(dataset, ["silhouette"], allow_partial=True)
    assert str(dataset.table.sequence_id[3]) in line
    assert _broken(make(tmp_path / "e", gaps={"silhouette": [4]}), ["silhouette"], allow_partial=False) == []
