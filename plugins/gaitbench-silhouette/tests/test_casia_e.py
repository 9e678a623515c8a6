"""CASIA-E: three ways to write a condition, frames scaled whole, short sequences left out."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from gaitbench_silhouette.casia_e import CasiaE

from gaitbench.protocols.casia_e import CASIA_E
from gaitbench.sequence import Absent
from gaitbench.streams.silhouettes import SilhouetteOptions
from gaitbench.table import SequenceTable
from gaitbench.testing import check_dataset

SUBJECTS = ("001", "200", "201", "1014")
CONDITIONS = ("H-scene1-nm-1", "L-scene2-nm-2", "H-scene3_s-bg-1", "L-scene3-cl-2")
VIEWS = ("000", "090", "270")


def build(source: Path, **options: object) -> CasiaE:
    return CasiaE(SilhouetteOptions(**options), source)


def make(root: Path, aligned: Callable, write_pickle: Callable, separator: str = "-") -> Path:
    for subject in SUBJECTS:
        for number, condition in enumerate(CONDITIONS):
            for view in VIEWS:
                leaf = root / subject / condition.replace("-", separator) / view
                write_pickle(leaf / f"{view}.pkl", aligned(int(subject) % 50, number))
    return root


@pytest.mark.parametrize(("separator", "layout"), [("-", "pickles"), ("_", "pickles-underscored")])
def test_conditions_have_hyphens_however_they_were_written(
    tmp_path: Path, aligned: Callable, write_pickle: Callable, separator: str, layout: str
) -> None:
    builder = build(make(tmp_path, aligned, write_pickle, separator))
    assert builder.layout.name == layout
    table = SequenceTable.from_infos(builder.sequences())
    assert set(table.condition.tolist()) == set(CONDITIONS)
    division = CASIA_E.divide(table, allow_partial=True)
    assert set(table.subject_id[division.train].tolist()) == {"001", "200"}
    assert {group: len(rows) for group, rows in division.probes.items()} == {"NM": 4, "BG": 4, "CL": 4}, "270 is out"
    assert not builder.left_out()
    info = next(info for info in builder.sequences() if info.sequence_id == "1014-H-scene3_s-bg-1-270")
    (got,) = builder.frames([info], "silhouette")
    np.testing.assert_array_equal(got[:, 0], aligned(14, 2))
    assert info.view_deg == 270
    check_dataset(builder)


def test_official_frames_are_scaled_whole_and_not_aligned(
    tmp_path: Path, raw: Callable, write_images: Callable
) -> None:
    leaf = tmp_path / "001/H/scene3_s/bg/090/2"
    write_images(leaf, raw(3), "{:03d}.jpg")
    write_images(tmp_path / "001/H/scene3_s/bg/090/10", raw(3, num_frames=5), "{:03d}.jpg")
    builder = build(tmp_path)
    assert builder.layout.name == "official"
    short, long = builder.sequences()
    assert (long.condition, long.view) == ("H-scene3_s-bg-2", "090")
    none, got = builder.frames([short, long], "silhouette")
    assert isinstance(none, Absent)
    assert not none.is_defect
    assert "has 5 frames, and sequences of less than 6 are left out" in none.reason
    first = cv2.imread(str(leaf / "001.jpg"), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(got[0, 0], cv2.resize(first, (64, 64)))
    check_dataset(builder)


def test_other_words_are_left_out_and_said(tmp_path: Path, aligned: Callable, write_pickle: Callable) -> None:
    make(tmp_path, aligned, write_pickle)
    for wrong in ("001/M-scene1-nm-1", "001/H-scene4-nm-1", "001/H-scene1-xx-1", "2014"):
        (tmp_path / wrong / "000").mkdir(parents=True)
    builder = build(tmp_path)
    assert len(builder.sequences()) == 48
    assert sum(item.num for item in builder.left_out()) == 4


def test_from_the_files_to_a_table(
    tmp_path: Path, aligned: Callable, write_pickle: Callable, through_the_command_line: Callable
) -> None:
    said = through_the_command_line("casia-e", make(tmp_path / "s", aligned, write_pickle), "--allow-partial")
    (record,) = said["records"]
    assert record["data"]["num_gallery"] == 4
    assert record["data"]["num_train_subjects"] == 2
