"""MMGait: thirteen streams, walks that lack some of them, and runs that differ by what they read."""

import json
from pathlib import Path

import numpy as np
import pytest
from gaitbench_lidar.mmgait import MMGait, MMGaitOptions

from gaitbench.cli import main
from gaitbench.sequence import Absent, PointFrames
from gaitbench.testing import check_dataset

SUBJECTS = ("0001", "0002", "0003", "0004")
CONDITIONS = ("NM-01", "NM-02", "BG-01", "CL-01")
VIEWS = ("000", "045")


def contents(masks, jet_images, number: int, take: int) -> dict[str, object]:
    seen = masks(number, 4, take=take)
    rng = np.random.default_rng([number, take])
    colours = np.stack([seen, seen // 2, seen // 3], axis=1)
    return {
        "depth": colours,
        "event": 255 - colours,
        "heatmap": colours[:, :2],
        "ir": colours[:, ::-1],
        "ir_sils": np.roll(seen, 1, axis=2),
        "lidar_depth": list(jet_images(seen)),
        "lidar_points": [rng.normal(size=(9 + t, 3)) for t in range(4)],
        "pose2d": rng.uniform(0, 64, (4, 17, 3)),
        "pose3d": rng.normal(size=(4, 17, 3)),
        "radar4d": [rng.normal(size=(2 + t, 3)) for t in range(4)],
        "radar_depth": list(jet_images(np.roll(seen, 2, axis=2))),
        "rgb": colours // 2,
        "rgb_sils": seen,
    }


@pytest.fixture
def source(tmp_path: Path, masks, jet_images, save) -> Path:
    root = tmp_path / "MMGait"
    for number, subject in enumerate(SUBJECTS):
        for take, condition in enumerate(CONDITIONS):
            for view in VIEWS:
                for name, content in contents(masks, jet_images, number, take).items():
                    save(root / subject / condition / view / f"{name}.pkl", content)
    return root


def build(source: Path, **options: object) -> MMGait:
    return MMGait(MMGaitOptions(**options), source)  # type: ignore[arg-type]


def test_all_thirteen_streams(source: Path, masks, jet_images) -> None:
    builder = build(source)
    infos = builder.sequences()
    assert len(infos) == 4 * 4 * 2
    assert not builder.left_out()
    info = next(info for info in infos if info.sequence_id == "0003-BG-01-045")
    found = {name: next(iter(builder.frames([info], name))) for name in builder.card().streams}
    files = contents(masks, jet_images, 2, 2)
    assert len(found) == len(files) == 13
    for modality, name in (
        ("silhouette", "rgb_sils"),
        ("infrared-silhouette", "ir_sils"),
        ("rgb", "rgb"),
        ("infrared", "ir"),
        ("event", "event"),
        ("depth-colour", "depth"),
        ("skeleton-map", "heatmap"),
        ("lidar-depth", "lidar_depth"),
        ("radar-depth", "radar_depth"),
        ("skeleton2d", "pose2d"),
        ("skeleton3d", "pose3d"),
    ):
        expected = np.asarray(files[name])
        np.testing.assert_array_equal(
            found[modality], expected.reshape(found[modality].shape).astype(found[modality].dtype)
        )
    for modality, name in (("lidar", "lidar_points"), ("radar", "radar4d")):
        assert isinstance(found[modality], PointFrames)
        np.testing.assert_array_equal(found[modality].points, np.concatenate(files[name]).astype(np.float32))
    check_dataset(builder)
    check_dataset(build(source, edges="binary", rgb="jpeg", range_colours="other"))


def test_a_walk_without_a_stream_is_no_defect(source: Path) -> None:
    (source / "0003/NM-02/000/lidar_depth.pkl").unlink()
    (source / "0003/NM-02/045/lidar_depth.pkl").write_bytes(b"0123456789")
    (source / "0004/NM-02/045/lidar_depth.pkl").write_bytes(b"0123456789a")
    builder = build(source)
    infos = {info.sequence_id: info for info in builder.sequences()}
    names = ("0003-NM-02-000", "0003-NM-02-045", "0004-NM-02-045")
    missing, empty, broken = builder.frames([infos[name] for name in names], "lidar-depth")
    assert isinstance(missing, Absent)
    assert isinstance(empty, Absent)
    assert isinstance(broken, Absent)
    assert (missing.is_defect, empty.is_defect, broken.is_defect) == (False, False, True)
    assert "10 bytes" in empty.reason


def test_who_is_tested_depends_on_what_is_read(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for view in VIEWS:
        (source / f"0003/BG-01/{view}/lidar_depth.pkl").write_bytes(b"")
    out, lists = tmp_path / "out", tmp_path / "MMGait.json"
    streams = ["--modalities", "silhouette", "lidar-depth", "--workers", "1"]
    assert main(["prepare", "mmgait", "--source", str(source), "--out", str(out), *streams]) == 0
    assert "2 sequences without frames" in capsys.readouterr().out
    lists.write_text(json.dumps({"TRAIN_SET": SUBJECTS[:2], "TEST_SET": SUBJECTS[2:]}))
    found = {}
    for task in ("identity", "crossmodal"):
        runs = ["--partition", str(lists), "--allow-partial", "--out", str(tmp_path / "runs"), "--json"]
        words = ["run", "--task", task, "--dataset", "mmgait", "--data", str(out), "--model", "nearest-raw", *runs]
        assert main(words) == 0, capsys.readouterr().err
        (record,) = json.loads(capsys.readouterr().out)["records"]
        found[task] = record["data"]
    # Two people in three conditions and two views; of one, a condition has no range images.
    assert {task: data["num_probes"] for task, data in found.items()} == {"identity": 12, "crossmodal": 10}


def test_galleries_of_the_extended_version(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, lists = tmp_path / "out", tmp_path / "MMGait.json"
    streams = ["--modalities", "silhouette", "lidar-depth", "--workers", "1"]
    assert main(["prepare", "mmgait", "--source", str(source), "--out", str(out), *streams]) == 0
    lists.write_text(json.dumps({"TRAIN_SET": SUBJECTS[:2], "TEST_SET": SUBJECTS[2:]}))
    capsys.readouterr()
    found = {}
    for protocol in ("mmgait-v1", "mmgait-v2"):
        words = ["run", "--task", "crossmodal", "--dataset", "mmgait", "--data", str(out), "--model", "nearest-raw"]
        words += ["--protocol", protocol, "--partition", str(lists), "--out", str(tmp_path / "runs"), "--json"]
        assert main(words) == 1
        assert "TRAIN_SET (2 entries, sha256" in capsys.readouterr().err
        assert main([*words, "--allow-partial"]) == 0, capsys.readouterr().err
        (found[protocol],) = json.loads(capsys.readouterr().out)["records"]
    assert {name: record["data"]["num_gallery"] for name, record in found.items()} == {"mmgait-v1": 8, "mmgait-v2": 16}
    one, two = (
        {(s["metric"], s["group"], s["direction"]): s["value"] for s in record["scores"]} for record in found.values()
    )
    for metric in ("rank_1", "mean_ap"):
        for direction in ("silhouette->lidar-depth", "lidar-depth->silhouette"):
            assert two[metric, "mean", direction] <= one[metric, "mean", direction]
