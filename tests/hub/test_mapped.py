"""Somebody's pictures: which column says what, in which order frames come, and what is said when it cannot be told."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, UsageError
from gaitbench.hub.opening import open_repository, stream_repository
from tests.hub.conftest import bomb

SUBJECTS = ("p1", "p2")
VIEWS = ("000", "090")
NUM_FRAMES = 12


def picture(subject: str, view: str, frame: int) -> "np.ndarray":
    """``[H, W]``: another mask for each, so that any mistake in the order shows."""
    mask = np.zeros((9, 8), bool)
    mask[int(subject[1]), int(view) // 90] = True
    mask.reshape(-1)[20 + frame] = True
    return mask


def encode(array: "np.ndarray", form: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, form)
    return file.getvalue()


def rows(encoded: Callable[["np.ndarray"], bytes] = encode) -> list[dict[str, object]]:
    """A row per frame, in no order."""
    found = [
        {"subject": s, "condition": "nm", "view": v, "sequence": "1", "frame": t, "image": encoded(picture(s, v, t))}
        for s in SUBJECTS
        for v in VIEWS
        for t in range(NUM_FRAMES)
    ]
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


def write(
    folder: Path, records: list[dict[str, object]], *, names: dict[str, str] | None = None, num_files: int = 3
) -> Path:
    """Parquet files with row groups of five rows."""
    (folder / "data").mkdir(parents=True)
    for number in range(num_files):
        part = records[number::num_files]
        columns = {
            (names or {}).get(name, name): [{"bytes": r[name], "path": None} for r in part]
            if name == "image"
            else [r[name] for r in part]
            for name in part[0]
        }
        pq.write_table(pa.table(columns), folder / f"data/{number}.parquet", row_group_size=5)
    return folder


def opened(folder: Path, tmp_path: Path, **options: object) -> GaitDataset:
    return open_repository(f"hf:{folder}", tmp_path / "cache", workers=1, options=options)


def check(data: GaitDataset) -> None:
    """Every sequence is there, with its frames in order."""
    assert data.modalities == ("silhouette",)
    assert len(data) == len(SUBJECTS) * len(VIEWS)
    for walk in data:
        expected = [picture(walk.info.subject_id, walk.info.view, t) for t in range(NUM_FRAMES)]
        np.testing.assert_array_equal(walk.frames["silhouette"][:, 0], np.array(expected, np.uint8))
        assert walk.info.view_deg == float(walk.info.view)


def test_usual_names_need_no_mapping(tmp_path: Path) -> None:
    data = opened(write(tmp_path / "walks", rows()), tmp_path)
    check(data)
    assert data.table.sequence_id.tolist() == ["p1-nm-000-1", "p1-nm-090-1", "p2-nm-000-1", "p2-nm-090-1"]
    assert (data.card.name, data.card.version, data.card.options) == ("walks", "mapped-1", {})
    assert data.table.num_frames.tolist() == [NUM_FRAMES] * 4


def test_other_names_are_listed_and_mapped(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", rows(), names={"subject": "pid", "view": "cam", "frame": "t"})
    with pytest.raises(
        DatasetError, match=r"no column that says the subject; it has pid, .*image.*columns.subject=NAME"
    ):
        opened(folder, tmp_path)
    with pytest.raises(DatasetError, match=r"no column 'id' for subject; it has pid, condition, cam"):
        opened(folder, tmp_path, **{"columns.subject": "id"})
    mapping = {"columns": {"subject": "pid", "view": "cam", "frame": "t"}}
    check(opened(folder, tmp_path, **mapping))
    check(opened(folder, tmp_path, **{"columns.subject": "pid", "columns.view": "cam", "columns.frame": "t"}))


def test_a_missing_column_that_mixes_sequences_is_found(tmp_path: Path) -> None:
    records = [{k: v for k, v in row.items() if k != "view"} for row in rows()]
    with pytest.raises(DatasetError, match=r"frame 0 of p1-nm-1 occurs twice.*columns.view=NAME"):
        opened(write(tmp_path / "f", records), tmp_path)


def test_rows_of_whole_sequences(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    (folder / "data").mkdir(parents=True)
    table = {
        "subject": ["p1", "p2"],
        "view": ["000", "090"],
        "image": [
            [{"bytes": encode(picture(s, v, t)), "path": None} for t in range(NUM_FRAMES)]
            for s, v in (("p1", "000"), ("p2", "090"))
        ],
    }
    pq.write_table(pa.table(table), folder / "data/a.parquet")
    data = opened(folder, tmp_path)
    assert data.table.condition.tolist() == ["unknown", "unknown"]
    assert data.table.num_frames.tolist() == [NUM_FRAMES] * 2
    np.testing.assert_array_equal(data[1].frames["silhouette"][3, 0], picture("p2", "090", 3).astype(np.uint8))


def folders(root: Path, *, prefix: str = "train") -> Path:
    for s in SUBJECTS:
        for v in VIEWS:
            place = root / prefix / s / "nm" / v
            place.mkdir(parents=True)
            for t in range(NUM_FRAMES):
                (place / f"{t}.png").write_bytes(encode(picture(s, v, t)))
    return root


def test_folders_of_pictures(tmp_path: Path) -> None:
    check(opened(folders(tmp_path / "f"), tmp_path))
    check(opened(folders(tmp_path / "g", prefix="mine"), tmp_path, pattern="mine/{subject}/{condition}/{view}/{frame}"))
    with pytest.raises(DatasetError, match=r"lies in 4 folders.*pattern="):
        opened(tmp_path / "g", tmp_path)
    with pytest.raises(DatasetError, match="is not named as the pattern"):
        opened(tmp_path / "g", tmp_path, pattern="{subject}/{frame}")
    with pytest.raises(DatasetError, match=r"must name {subject}"):
        opened(tmp_path / "g", tmp_path, pattern="{person}/{frame}")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_pictures_with_metadata(tmp_path: Path, form: str) -> None:
    root = tmp_path / "f"
    (root / "pictures").mkdir(parents=True)
    lines = []
    for number, row in enumerate(rows()):
        (root / f"pictures/{number}.png").write_bytes(row.pop("image"))  # type: ignore[arg-type]
        lines.append({"file_name": f"pictures/{number}.png", **row})
    if form == "jsonl":
        text = "".join(json.dumps(line) + "\n" for line in lines)
    else:
        text = "\n".join([",".join(lines[0]), *(",".join(map(str, line.values())) for line in lines)])
    (root / f"metadata.{form}").write_text(text)
    check(opened(root, tmp_path))
    (root / f"metadata.{form}").write_text(text.replace("pictures/7.png", "../../7.png"))
    with pytest.raises(DatasetError, match="leads out of the repository"):
        opened(root, tmp_path)
    (root / f"metadata.{form}").write_text(text.replace("pictures/7.png", "pictures/none.png"))
    with pytest.raises(DatasetError, match="which is not there"):
        opened(root, tmp_path)


def test_jpeg_files_are_kept_as_they_are(tmp_path: Path) -> None:
    files = [encode(np.random.default_rng(t).integers(0, 256, (9, 8, 3), np.uint8), "JPEG") for t in range(3)]
    records = [{"subject": "a", "frame": t, "image": file} for t, file in enumerate(files)]
    data = opened(write(tmp_path / "f", records, num_files=1), tmp_path)
    assert data.modalities == ("rgb",)
    assert data.bank("rgb").packed(0).data.tobytes() == b"".join(files)


def test_class_labels_become_their_words(tmp_path: Path) -> None:
    import datasets

    records = rows()
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["p1", "p2"]), "frame": datasets.Value("int64")}
    )
    chosen = [row for row in records if row["view"] == "000"]
    made = datasets.Dataset.from_list(
        [{"image": {"bytes": r["image"], "path": None}, "label": r["subject"], "frame": r["frame"]} for r in chosen],
        features=features,
    )
    (tmp_path / "f").mkdir()
    made.to_parquet(tmp_path / "f/a.parquet")
    data = opened(tmp_path / "f", tmp_path)
    assert data.table.subject_id.tolist() == ["p1", "p2"]


def test_pictures_of_several_sizes_are_scaled_on_request(tmp_path: Path) -> None:
    records = rows()
    records[5]["image"] = encode(np.ones((20, 10), bool))
    folder = write(tmp_path / "f", records)
    with pytest.raises(DatasetError, match=r"has 20 x 10 pixels, the first one 9 x 8.*size_px=\[9,8\]"):
        opened(folder, tmp_path)
    data = opened(folder, tmp_path, size_px=[18, 16])
    assert data.card.streams["silhouette"].frame_shape == (1, 18, 16)


def test_what_pictures_show_is_asked_for(tmp_path: Path) -> None:
    grey = np.arange(72, dtype=np.uint8).reshape(9, 8)
    folder = write(tmp_path / "f", [{"subject": "a", "frame": 0, "image": encode(grey)}], num_files=1)
    with pytest.raises(DatasetError, match=r"grey or has a palette.*modality=silhouette"):
        opened(folder, tmp_path)
    data = opened(folder, tmp_path, modality="silhouette", threshold=40)
    np.testing.assert_array_equal(data[0].frames["silhouette"][0, 0], grey >= 40)
    data = opened(folder, tmp_path, modality="lidar-depth")
    np.testing.assert_array_equal(data[0].frames["lidar-depth"][0, 0], grey)
    with pytest.raises(DatasetError, match="pictures cannot be lidar"):
        opened(folder, tmp_path, modality="lidar")


def test_broken_pictures_are_one_sequence_each(tmp_path: Path) -> None:
    records = rows()
    broken = next(row for row in records if row["subject"] == "p2" and row["view"] == "090")
    broken["image"] = b"no picture"
    folder = write(tmp_path / "f", records)
    with pytest.raises(DatasetError, match=r"(?s)1 sequences cannot be read.*p2-nm-090-1"):
        opened(folder, tmp_path)
    data = open_repository(f"hf:{folder}", tmp_path / "cache", workers=1, skip_broken=True)
    assert list(data.absent("silhouette")) == ["p2-nm-090-1"]
    stream = stream_repository(f"hf:{folder}", tmp_path / "cache")
    assert stream[0].frames["silhouette"].shape == (NUM_FRAMES, 1, 9, 8)
    with pytest.raises(DatasetError, match="p2-nm-090-1"):
        stream[3].frames["silhouette"]


@pytest.mark.filterwarnings("default")
def test_oversized_pictures_are_not_decoded(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", [{"subject": "a", "frame": 0, "image": bomb(30000, 30000)}], num_files=1)
    with pytest.raises(DatasetError, match="too large to be decoded"):
        opened(folder, tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": {}}, "option 'column'.*columns take columns.image=NAME"),
        ({"columns": {"who": "pid"}}, "no column can be who"),
        ({"size_px": [0, 3]}, "option 'size_px.0'"),
        ({"frame_rate_hz": float("inf")}, "option 'frame_rate_hz'"),
        ({"columns": "pid"}, "option 'columns'"),
    ],
)
def test_wrong_options_are_usage_errors(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        opened(tmp_path, tmp_path, **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": pa.array([3] * 2)}, "no pictures"),
        ({"image": pa.array(["a.png"] * 2)}, "no pictures"),
        ({"subject": pa.array([1.5, 2.0])}, "neither text nor whole numbers"),
        ({"subject": pa.array([None, "b"])}, "do not say their subject"),
        ({"subject": pa.array(["a\0", "b"])}, "cannot be a name"),
        ({"subject": pa.array(["a" * 300, "b"])}, "cannot be a name"),
        ({"frame": pa.array([None, 1])}, "do not say their frame"),
    ],
    ids=["numbers", "names", "fractions", "null", "nul", "long", "no-frame"],
)
def test_columns_that_cannot_be_read(tmp_path: Path, change: dict[str, pa.Array], message: str) -> None:
    pictures = pa.array([{"bytes": encode(picture("p1", "000", t)), "path": None} for t in range(2)])
    table = {"image": pictures, "subject": pa.array(["a", "b"]), "frame": pa.array([0, 1]), **change}
    (tmp_path / "f").mkdir()
    pq.write_table(pa.table(table), tmp_path / "f/a.parquet")
    with pytest.raises(DatasetError, match=message):
        opened(tmp_path / "f", tmp_path)


def test_a_changed_folder_is_read_again(tmp_path: Path) -> None:
    folder = folders(tmp_path / "f")
    before = opened(folder, tmp_path)
    for t in range(NUM_FRAMES):
        (folder / "train/p3/nm/000").mkdir(parents=True, exist_ok=True)
        (folder / f"train/p3/nm/000/{t}.png").write_bytes(encode(picture("p3", "000", t)))
    assert len(opened(folder, tmp_path)) == len(before) + 1


def test_configurations_of_the_readme_are_chosen(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", rows(), num_files=1)
    (folder / "other").mkdir()
    (folder / "data/0.parquet").rename(folder / "other/0.parquet")
    pq.write_table(pa.table({"text": ["no pictures"]}), folder / "data/0.parquet")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: words\n  data_files: data/*.parquet\n"
        "- config_name: walks\n  data_files:\n  - split: train\n    path: [other/*.parquet]\n---\n"
    )
    with pytest.raises(DatasetError, match="has no column that says the image or the subject; it has text"):
        opened(folder, tmp_path)
    with pytest.raises(DatasetError, match="no configuration 'none'; it has words, walks"):
        opened(folder, tmp_path, config="none")
    check(opened(folder, tmp_path, config="walks"))
