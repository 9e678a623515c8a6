"""What an export looks like to others, and what of it comes back."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import gaitbench.hub.export as export_module
from gaitbench.card import DatasetCard, PreparedCard, StreamInfo
from gaitbench.dataset import BuilderOptions, DatasetBuilder, GaitDataset
from gaitbench.errors import DatasetError, OutputError
from gaitbench.hub.export import export
from gaitbench.hub.opening import open_repository
from gaitbench.hub.rows import ROWS_AT_ONCE
from gaitbench.prepare import prepare
from gaitbench.sequence import Absent, PointFrames, SequenceInfo
from tests.hub.conftest import TINY_PROTOCOL, files_of, without_gaitbench
from tests.support.tiny_dataset import ALL_MODALITIES, prepare_tiny

_OPEN = """
import json, sys
import numpy as np
sys.modules["gaitbench"] = None
import datasets
found = datasets.load_dataset(sys.argv[1], cache_dir=sys.argv[2])
streamed = next(iter(datasets.load_dataset(sys.argv[1], split="test", streaming=True)))
row = found["train"][0]
arrays = {name: np.stack([np.asarray(picture) for picture in row[name]])
          for name in ("silhouette", "rgb", "depth", "parsing", "lidar-depth")}
arrays |= {name: np.asarray(row[name], np.float32) for name in ("skeleton2d", "skeleton3d")}
arrays["points"] = np.asarray(row["lidar"]["points"], np.float32) + np.asarray(row["lidar"]["origin"], np.float32)
arrays["offsets"] = np.asarray(row["lidar"]["offsets"])
np.savez(sys.argv[3], **arrays)
print(json.dumps({
    "splits": {name: split["sequence_id"][:] for name, split in found.items()},
    "kinds": {name: str(feature) for name, feature in found["train"].features.items()},
    "labels": found["train"].features["attributes"]["speed"].names,
    "speed": [row["attributes"]["speed"] for row in found["train"].remove_columns(["rgb"])],
    "picture": type(row["silhouette"][0]).__module__,
    "streamed": streamed["sequence_id"],
}))
"""


def open_exactly(folder: Path, tmp_path: Path, **options: object) -> GaitDataset:
    return open_repository(f"hf:{folder}", tmp_path / "cache", workers=1, **options)  # type: ignore[arg-type]


def test_opens_without_gaitbench(tiny: GaitDataset, repository: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _OPEN, str(repository), str(tmp_path / "hf"), str(tmp_path / "row.npz")],
        env=without_gaitbench(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    ids = tiny.table.sequence_id.tolist()
    assert seen["splits"] == {"train": ids[:8], "test": ids[8:]}
    assert seen["streamed"] == ids[8]
    assert seen["labels"] == ["slow", "middle", "fast"]
    expected = [None if label < 0 else label for label in tiny.table.attributes[:8, 1].tolist()]
    assert seen["speed"] == expected
    assert seen["picture"].startswith("PIL.")
    assert all("Image" in seen["kinds"][name] for name in ("silhouette", "rgb", "depth", "parsing", "lidar-depth"))

    row, frames = np.load(tmp_path / "row.npz"), tiny[0].frames
    np.testing.assert_array_equal(row["silhouette"], frames["silhouette"][:, 0] == 1)
    np.testing.assert_array_equal(row["rgb"], frames["rgb"].transpose(0, 2, 3, 1))
    for name in ("depth", "parsing", "lidar-depth"):
        np.testing.assert_array_equal(row[name], frames[name][:, 0], strict=True)
    for name in ("skeleton2d", "skeleton3d"):
        np.testing.assert_array_equal(row[name], frames[name])
    points = frames["lidar"]
    assert isinstance(points, PointFrames)
    np.testing.assert_array_equal(row["points"], points.points)
    np.testing.assert_array_equal(row["offsets"], points.offsets)


@pytest.mark.parametrize("name", ALL_MODALITIES)
def test_one_modality_comes_back_exactly(name: str, tiny: GaitDataset, tmp_path: Path) -> None:
    done = export(tiny, tmp_path / "out", modalities=[name], protocol=TINY_PROTOCOL)
    back = open_exactly(tmp_path / "out", tmp_path)
    assert back.modalities == (name,)
    assert back.card == tiny.card
    assert back.fingerprint([name]) == tiny.fingerprint([name]) == done.fingerprint
    assert PreparedCard.read(back.root).prepared[name] == PreparedCard.read(tiny.root).prepared[name]


def test_everything_comes_back_exactly(tiny: GaitDataset, repository: Path, tmp_path: Path) -> None:
    back = open_exactly(repository, tmp_path)
    # Tables, manifest and every shard have the same hashes: they are the same bytes.
    assert PreparedCard.read(back.root) == PreparedCard.read(tiny.root)


def test_streams_are_added_later(tiny: GaitDataset, repository: Path, tmp_path: Path) -> None:
    assert open_exactly(repository, tmp_path, modalities=["silhouette"]).modalities == ("silhouette",)
    assert open_exactly(repository, tmp_path, modalities=["lidar"]).modalities == ("lidar", "silhouette")
    with pytest.raises(DatasetError, match="has no lidr; it has depth, lidar"):
        open_exactly(repository, tmp_path, modalities=["lidr"])


def test_unknown_lengths_and_chosen_rows_come_back(tmp_path: Path) -> None:
    data = prepare_tiny(tmp_path / "x", ["silhouette"], hide_frames=True, height_px=16, width_px=16).take([9, 3, 4])
    export(data, tmp_path / "out")
    back = open_exactly(tmp_path / "out", tmp_path)
    assert back.table.sequence_id.tolist() == data.table.sequence_id.tolist()
    assert back.table.num_frames.tolist() == data.table.num_frames.tolist()
    assert back.stored_table.num_frames.tolist() == [0, 0, 0]
    assert back.fingerprint(["silhouette"]) == data.fingerprint(["silhouette"])


class GappyBuilder(DatasetBuilder):
    """Two views without angles; one sequence was not seen, one file is broken."""

    def card(self) -> DatasetCard:
        stream = StreamInfo(frame_shape=(1, 5, 7), frame_rate_hz=10, codec="raw", value_range=(0, 255))
        cloud = StreamInfo(frame_shape=(3,), frame_rate_hz=10)
        return DatasetCard(
            name="gappy", version="2", title="Gaps: 100 % | true", streams={"silhouette": stream, "lidar": cloud}
        )

    def sequences(self) -> list[SequenceInfo]:
        return [SequenceInfo(sequence_id=f"s-{i}", subject_id="s", condition="é", view="cam") for i in range(4)]

    def frames(self, sequences: "list[SequenceInfo]", modality: str) -> "object":  # type: ignore[override]
        for info in sequences:
            if info.sequence_id == "s-1":
                yield Absent("nobody was seen", is_defect=False)
            elif info.sequence_id == "s-2":
                yield Absent("b.png is broken")
            elif modality == "lidar":
                yield PointFrames(np.empty((0, 3), np.float32), np.zeros(4, np.int64))
            else:
                yield np.full((3, 1, 5, 7), 200, np.uint8)


def test_absent_frames_grey_masks_and_missing_angles_come_back(tmp_path: Path) -> None:
    names = ["silhouette", "lidar"]
    data = prepare(GappyBuilder, BuilderOptions(), None, tmp_path / "x", names, workers=1, skip_broken=True)
    assert data.stream("silhouette").codec == "raw"
    export(data, tmp_path / "out")
    back = open_exactly(tmp_path / "out", tmp_path)
    assert PreparedCard.read(back.root) == PreparedCard.read(data.root)
    assert np.isnan(back.table.view_deg).all()
    assert back.absent("lidar") == {"s-1": Absent("nobody was seen", False), "s-2": Absent("b.png is broken", True)}
    cells = pq.read_table(tmp_path / "out/data/train-00000.parquet", use_threads=False)
    assert cells["silhouette"].is_null().to_pylist() == [False, True, True, False]
    assert cells["view_deg"].null_count == 4


def test_files_and_row_groups_are_bounded(tmp_path: Path) -> None:
    data = prepare_tiny(tmp_path / "x", ["silhouette"], num_subjects=4, num_sequences=40, height_px=8, width_px=8)
    whole = export(data, tmp_path / "whole")
    assert whole.num_files == 1
    groups = pq.ParquetFile(tmp_path / "whole/data/train-00000.parquet").metadata
    assert [groups.row_group(i).num_rows for i in range(groups.num_row_groups)] == [ROWS_AT_ONCE, 160 - ROWS_AT_ONCE]
    cut = export(data, tmp_path / "cut", file_bytes=1)
    assert cut.num_files == 2
    back = open_exactly(tmp_path / "cut", tmp_path)
    assert back.fingerprint(["silhouette"]) == data.fingerprint(["silhouette"])


@pytest.mark.parametrize("num_files", [0, 1, 2])
def test_resumed_export_equals_one_made_in_one_go(
    num_files: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = prepare_tiny(tmp_path / "x", ["silhouette"], num_subjects=4, num_sequences=80, height_px=8, width_px=8)
    export(data, tmp_path / "whole", protocol=TINY_PROTOCOL, file_bytes=1)
    expected = files_of(tmp_path / "whole")
    write, written = export_module._write_file, []

    def write_some(path: Path, *rest: object) -> int:
        if len(written) == num_files:
            raise KeyboardInterrupt
        written.append(path)
        return write(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(export_module, "_write_file", write_some)
    with pytest.raises(KeyboardInterrupt):
        export(data, tmp_path / "out", protocol=TINY_PROTOCOL, file_bytes=1)
    monkeypatch.setattr(export_module, "_write_file", write)
    (tmp_path / "out/data/.train-00001.parquet.1-ab.tmp").write_bytes(b"left by a killed process")
    kept = {path: path.stat().st_mtime_ns for path in written}
    export(data, tmp_path / "out", protocol=TINY_PROTOCOL, file_bytes=1)
    assert files_of(tmp_path / "out") == expected
    assert {path: path.stat().st_mtime_ns for path in written} == kept


def test_finished_export_is_found_and_others_are_refused(tiny: GaitDataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = export(tiny, out, modalities=["silhouette"])
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert export(tiny, out, modalities=["silhouette"]) == done
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with pytest.raises(OutputError, match="holds another export"):
        export(tiny, out, modalities=["silhouette", "lidar"])
    (out / "data/train-00000.parquet").write_bytes(b"x")
    with pytest.raises(OutputError, match="damaged one"):
        export(tiny, out, modalities=["silhouette"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").touch()
    with pytest.raises(OutputError, match=r"holds something else \(thesis.tex\)"):
        export(tiny, tmp_path / "mine")
    with pytest.raises(DatasetError, match="no sequence to export"):
        export(tiny.take([]), tmp_path / "none")
    with pytest.raises(DatasetError, match="no stream radar"):
        export(tiny, tmp_path / "none", modalities=["radar"])


def test_readme_states_licence_splits_and_features(repository: Path) -> None:
    import yaml

    _, header, page = (repository / "README.md").read_text().split("---\n", 2)
    found = yaml.safe_load(header)
    assert found["license"] == "other"
    assert found["pretty_name"] == "Moving squares"
    assert [split["num_examples"] for split in found["dataset_info"]["splits"]] == [8, 8]
    paths = [item["path"] for item in found["configs"][0]["data_files"]]
    assert paths == ["data/train-*.parquet", "data/test-*.parquet"]
    assert {"name": "silhouette", "list": "image"} in found["dataset_info"]["features"]
    assert "keep this repository private" in page


def test_contents_hold_the_hash_of_every_file(repository: Path) -> None:
    contents = json.loads((repository / "gaitbench.json").read_text())
    listed = {entry["path"]: entry["sha256"] for entry in [contents["index"], *contents["files"]]}
    found = files_of(repository)
    assert found.keys() == listed.keys() | {"README.md", "gaitbench.json"}
    assert {path: hashlib.sha256(found[path]).hexdigest() for path in listed} == listed


def test_the_same_dataset_gives_the_same_bytes(tiny: GaitDataset, repository: Path, tmp_path: Path) -> None:
    export(tiny, tmp_path / "again", protocol=TINY_PROTOCOL)
    assert files_of(tmp_path / "again") == files_of(repository)


def test_unwritable_folder_is_an_error(tiny: GaitDataset, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a file stands where a folder is needed"):
        export(tiny, tmp_path / "file")
    if os.geteuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(OutputError, match="no permission"):
            export(tiny, tmp_path / "locked" / "out")
