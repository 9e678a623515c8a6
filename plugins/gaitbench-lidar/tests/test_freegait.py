"""FreeGait: five pickles per walk in folders or side by side, unknown sizes, and a run with the probe list."""

import json
from pathlib import Path

import numpy as np
import pytest
from gaitbench_lidar.freegait import FreeGait, FreeGaitOptions

from gaitbench.cli import main
from gaitbench.sequence import Absent, PointFrames
from gaitbench.testing import check_dataset

WALKS = (("devid_1", "seq_00_new"), ("devid_3", "seq_01_new"), ("devid0", "seq_04"))
SUBJECTS = ("0001", "0002", "1154", "1252")


def contents(masks, jet_images, number: int, take: int) -> dict[str, object]:
    seen = masks(number, 5, take=take)
    rng = np.random.default_rng([number, take])
    return {
        "image": seen,
        "kp3d": rng.normal(size=(5, 24, 3)),
        "lidar": [rng.normal(size=(10 + t, 3)).astype(np.float32) for t in range(5)],
        "range_pkl": jet_images(seen),
        "smpl": rng.normal(size=(5, 85)),
    }


def write(root: Path, masks, jet_images, save, *, is_nested: bool) -> Path:
    for number, subject in enumerate(SUBJECTS):
        for take, (device, sequence) in enumerate(WALKS):
            for kind, content in contents(masks, jet_images, number, take).items():
                leaf = root / subject / device / sequence
                save((leaf / kind if is_nested else leaf) / f"{kind}.pkl", content)
    return root


@pytest.fixture
def source(tmp_path: Path, masks, jet_images, save) -> Path:
    return write(tmp_path / "FreeGait", masks, jet_images, save, is_nested=False)


def build(source: Path, **options: object) -> FreeGait:
    return FreeGait(FreeGaitOptions(**options), source)  # type: ignore[arg-type]


@pytest.mark.parametrize("is_nested", [False, True])
def test_frames_are_those_of_the_files(tmp_path: Path, masks, jet_images, save, is_nested: bool) -> None:
    builder = build(write(tmp_path, masks, jet_images, save, is_nested=is_nested))
    assert builder.card().options["layout"] == ("folders" if is_nested else "pickles")
    infos = builder.sequences()
    assert len(infos) == 12
    assert not builder.left_out()
    info = next(info for info in infos if info.sequence_id == "1154-devid0-seq_04")
    assert (info.subject_id, info.condition, info.view) == ("1154", "devid0", "seq_04")
    found = {name: next(iter(builder.frames([info], name))) for name in builder.card().streams}
    files = contents(masks, jet_images, 2, 2)
    assert set(found) == {"silhouette", "lidar", "lidar-depth", "skeleton3d", "smpl"}
    np.testing.assert_array_equal(found["silhouette"][:, 0], files["image"])
    np.testing.assert_array_equal(found["lidar-depth"], files["range_pkl"])
    np.testing.assert_array_equal(found["skeleton3d"], files["kp3d"].astype(np.float32))
    np.testing.assert_array_equal(found["smpl"][:, 0], files["smpl"].astype(np.float32))
    assert isinstance(found["lidar"], PointFrames)
    np.testing.assert_array_equal(found["lidar"].points, np.concatenate(files["lidar"]))
    check_dataset(builder)
    check_dataset(build(builder.source, edges="binary", range_colours="other"))


@pytest.mark.parametrize(
    ("range_images", "modality", "shape"),
    [
        pytest.param(np.ones((5, 32, 48), np.uint8), "lidar-depth", (1, 32, 48), id="one-channel-of-bytes"),
        pytest.param(np.ones((5, 1, 32, 48), np.uint8), "lidar-depth", (1, 32, 48), id="with-its-axis"),
        pytest.param(np.ones((5, 64, 64, 3), np.uint8), "lidar-depth", (3, 64, 64), id="colours-behind"),
        pytest.param(np.full((5, 64, 512), 7.5), "lidar-range", (1, 64, 512), id="distances"),
        pytest.param(np.full((5, 64, 512, 5), 7.5, np.float32), "lidar-range", (5, 64, 512), id="five-channels"),
    ],
)
def test_range_images_are_what_the_first_file_has(
    source: Path, save, range_images, modality: str, shape: tuple[int, ...]
) -> None:
    for path in source.glob("*/*/*/range_pkl.pkl"):
        save(path, range_images)
    builder = build(source)
    assert builder.card().streams[modality].frame_shape == shape
    assert builder.card().streams[modality].colour_map == ("jet" if shape[0] == 3 else None)
    check_dataset(builder, modalities=[modality])


def test_sizes_come_from_the_first_file_that_can_be_read(source: Path, masks, save) -> None:
    for path in source.glob("*/*/*/image.pkl"):
        save(path, np.full((5, 128, 128), 255, np.uint8))
    for path in source.glob("*/*/*/smpl.pkl"):
        save(path, np.ones((5, 24, 3)))
    (source / "0001/devid0/seq_04/image.pkl").write_bytes(b"no pickle")
    save(source / "1252/devid0/seq_04/image.pkl", masks(0, 5))
    builder = build(source)
    card, infos = builder.card(), builder.sequences()
    assert card.streams["silhouette"].frame_shape == (1, 128, 128)
    assert card.streams["smpl"].frame_shape == (1, 72)
    frames = dict(zip([info.sequence_id for info in infos], builder.frames(infos, "silhouette"), strict=True))
    broken = {name for name, found in frames.items() if isinstance(found, Absent)}
    assert broken == {"0001-devid0-seq_04", "1252-devid0-seq_04"}
    check_dataset(builder, modalities=["smpl"])


def test_prepare_and_run_with_the_probe_list(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, lists = tmp_path / "out", tmp_path / "FreeGait.json"
    assert main(["prepare", "freegait", "--source", str(source), "--out", str(out), "--workers", "1"]) == 0
    assert "FreeGait.json" in capsys.readouterr().out
    probes = ["1154-devid_1-seq_00_new", "1252-devid_1-seq_00_new"]
    lists.write_text(json.dumps({"TRAIN_SET": SUBJECTS[:2], "TEST_SET": SUBJECTS[2:], "PROBE_SET": probes}))
    runs = ["--partition", str(lists), "--allow-partial", "--out", str(tmp_path / "runs"), "--json"]
    words = [
        "run",
        "--task",
        "crossmodal",
        "--dataset",
        "freegait",
        "--data",
        str(out),
        "--model",
        "nearest-raw",
        *runs,
    ]
    assert main(words) == 0, capsys.readouterr().err
    (record,) = json.loads(capsys.readouterr().out)["records"]
    assert (record["status"], record["data"]["modalities"]) == ("partial", ["silhouette", "lidar-depth"])


def test_layouts_can_be_told_without_files() -> None:
    names = [layout.name for layout in FreeGait(FreeGaitOptions()).layouts()]
    assert names == ["pickles", "folders"]
