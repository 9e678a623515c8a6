"""The report of what was prepared: streams of one clock that do not have as many frames."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from gaitbench.prepare import prepare
from gaitbench.report import report, report_text
from gaitbench.sequence import Absent, Frames, SequenceInfo
from tests.support.tiny_dataset import TinyBuilder, TinyOptions


class UnevenBuilder(TinyBuilder):
    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames | Absent]:
        for info, frames in zip(sequences, super().frames(sequences, modality), strict=True):
            if modality == "depth" and info.sequence_id == self.sequences()[2].sequence_id:
                yield np.asarray(frames)[:-1]
            elif modality == "depth" and info.sequence_id == self.sequences()[3].sequence_id:
                yield Absent("nobody was seen", is_defect=False)
            else:
                yield frames


def test_streams_of_different_lengths_are_told(tmp_path: Path) -> None:
    options = TinyOptions(lidar_rate_hz=10.0, min_frames=8, max_frames=8)
    streams = ["silhouette", "depth", "lidar"]
    dataset = prepare(UnevenBuilder, options, None, tmp_path / "d", streams, workers=1, progress=False)
    found = report(dataset)
    # Neither a stream that is absent nor one of another rate is uneven.
    assert found.uneven == {str(dataset.table.sequence_id[2]): "depth 7, silhouette 8"}
    text = report_text(found)
    assert "1 sequences have streams of different lengths" in text
    assert "depth 7, silhouette 8" in text
    assert report(dataset.take([0, 1])).uneven == {}
