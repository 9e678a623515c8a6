"""CASIA-B in its three forms, each built here as the sheet of facts describes it."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from gaitbench_silhouette.casia_b import CasiaB

from gaitbench.card import StreamInfo
from gaitbench.cells.plan import plan
from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError
from gaitbench.prepare import prepare
from gaitbench.protocols.casia_b import CASIA_B
from gaitbench.registry import load_registry
from gaitbench.sequence import Absent
from gaitbench.silhouettes import align_all
from gaitbench.streams.silhouettes import SilhouetteOptions
from gaitbench.testing import check_dataset

SUBJECTS = ("001", "002", "075", "076")
CONDITIONS = ("nm-01", "nm-05", "bg-01", "cl-01")
VIEWS = ("000", "090")


def each() -> list[tuple[str, str, str, int]]:
    """Subject, condition, view and a number for the take."""
    walks = [(s, c, v) for s in SUBJECTS for c in CONDITIONS for v in VIEWS]
    return [(*walk, number) for number, walk in enumerate(walks)]


@pytest.fixture
def pickles(tmp_path: Path, aligned: Callable, write_pickle: Callable) -> Path:
    root = tmp_path / "CASIA-B-pkl"
    for subject, condition, view, take in each():
        write_pickle(root / subject / condition / view / f"{view}.pkl", aligned(int(subject), take))
    return root


@pytest.fixture
def frames(tmp_path: Path, raw: Callable, write_images: Callable) -> Path:
    root = tmp_path / "GaitDatasetB-silh"
    for subject, condition, view, take in each()[:8]:
        name = f"{subject}-{condition}-{view}-{{:03d}}.png"
        write_images(root / subject / condition / view, raw(int(subject), take), name)
    return root


def build(source: Path, **options: object) -> CasiaB:
    return CasiaB(SilhouetteOptions(**options), source)


def prepared(source: Path, out: Path, **options: object) -> GaitDataset:
    return prepare(CasiaB, SilhouetteOptions(**options), source, out, ["silhouette"], workers=1, progress=False)


def test_pickles_come_through_bit_by_bit(pickles: Path, tmp_path: Path, aligned: Callable) -> None:
    dataset = prepared(pickles, tmp_path / "d")
    table = dataset.table
    assert table.sequence_id[:3].tolist() == ["001-bg-01-000", "001-bg-01-090", "001-cl-01-000"]
    assert sorted(set(table.view_deg.tolist())) == [0.0, 90.0]
    assert dataset.card.streams["silhouette"] == StreamInfo(
        frame_shape=(1, 64, 64),
        frame_rate_hz=25,
        codec="raw",
        value_range=(0, 255),
        scale_to_unit=1 / 255,
    )
    assert dataset.card.options["layout"] == "pickles"
    bank = dataset.bank("silhouette")
    for subject, condition, view, take in each():
        (row,) = np.flatnonzero(table.sequence_id == f"{subject}-{condition}-{view}")
        np.testing.assert_array_equal(bank.frames(int(row))[:, 0], aligned(int(subject), take))
    assert dataset.left_out == ()
    division = CASIA_B.divide(table, allow_partial=True)
    assert {name: len(rows) for name, rows in division.probes.items()} == {"NM": 4, "BG": 4, "CL": 4}
    assert set(table.subject_id[division.train].tolist()) == {"001", "002"}


def test_black_and_white_at_128_takes_an_eighth(pickles: Path, tmp_path: Path, aligned: Callable) -> None:
    soft, binary = prepared(pickles, tmp_path / "s"), prepared(pickles, tmp_path / "b", edges="binary")
    expected = aligned(1, 0) >= 128
    (row,) = np.flatnonzero(binary.table.sequence_id == "001-nm-01-000")
    np.testing.assert_array_equal(binary.bank("silhouette").frames(int(row))[:, 0], expected)
    assert binary.num_bytes("silhouette") < soft.num_bytes("silhouette") / 6


def test_official_frames_are_aligned_and_energy_images_passed_over(frames: Path, raw: Callable, tmp_path: Path) -> None:
    folder = frames / "001" / "bg-01" / "000"
    shutil.copy(next(folder.glob("*.png")), folder / "001-bg-01-000-gei.png")
    assert cv2.imwrite(str(folder / "001-bg-01-000-000.png"), np.zeros((96, 128), np.uint8))  # nobody, and the first
    dataset = prepared(frames, tmp_path / "d")
    assert dataset.card.options["layout"] == "frames"
    got = dataset.bank("silhouette").frames(0)[:, 0]
    take = next(number for subject, condition, view, number in each() if (condition, view) == ("bg-01", "000"))
    np.testing.assert_array_equal(got, align_all(raw(1, take)).frames)
    assert len(np.unique(got)) > 2


def test_empty_official_folders_are_no_defect(frames: Path, tmp_path: Path) -> None:
    for path in (frames / "001" / "cl-01" / "090").iterdir():
        path.unlink()
    for path in (frames / "001" / "nm-01" / "090").iterdir():
        assert cv2.imwrite(str(path), np.zeros((96, 128), np.uint8))
    dataset = prepared(frames, tmp_path / "d")  # stops at defects
    assert dataset.absent("silhouette") == {
        "001-cl-01-090": Absent(f"{frames}/001/cl-01/090 has no file *.png", is_defect=False),
        "001-nm-01-090": Absent(f"{frames}/001/nm-01/090 shows nobody in any of its 6 frames", is_defect=False),
    }


def test_a_cut_picture_is_a_broken_sequence(frames: Path) -> None:
    path = frames / "001" / "bg-01" / "000" / "001-bg-01-000-003.png"
    path.write_bytes(path.read_bytes()[:-40])
    builder = build(frames)
    broken, *others = builder.frames(builder.sequences(), "silhouette")
    assert isinstance(broken, Absent)
    assert broken.is_defect
    assert path.name in broken.reason
    assert not any(isinstance(other, Absent) for other in others)


def test_poses_are_told_from_masks_and_the_frame_mapping_is_skipped(tmp_path: Path, write_pickle: Callable) -> None:
    joints = np.random.default_rng(0).uniform(0, 300, (7, 17, 3))
    leaf = tmp_path / "s" / "001" / "nm-01" / "090"
    write_pickle(leaf / "090.pkl", joints)
    (leaf / "mapping.txt").write_text("0 001.jpg\n")
    builder = build(tmp_path / "s")
    assert builder.layout.name == "poses"
    assert list(builder.card().streams) == ["skeleton2d"]
    (got,) = builder.frames(builder.sequences(), "skeleton2d")
    np.testing.assert_array_equal(got, joints.astype(np.float32))
    check_dataset(builder)


def test_a_layout_that_is_named_is_read_and_the_error_says_what_is_there(
    tmp_path: Path, write_pickle: Callable
) -> None:
    write_pickle(tmp_path / "001" / "nm-01" / "090" / "090.pkl", np.zeros((7, 17, 3)))
    builder = build(tmp_path, layout="pickles")
    (found,) = builder.frames(builder.sequences(), "silhouette")
    assert isinstance(found, Absent)
    assert "holds an array [7, 17, 3], as joints are" in found.reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(np.zeros((3, 128, 128), np.uint8), r"height_px=128 and width_px=128", id="another-size"),
        pytest.param(np.full((3, 64, 64), np.nan), "NaN", id="nan"),
        pytest.param(np.full((3, 64, 64), 300, np.int64), "300", id="out-of-range"),
        pytest.param(print, "not loaded", id="hostile"),
    ],
)
def test_a_broken_pickle_costs_its_own_sequence(
    pickles: Path, write_pickle: Callable, content: object, reason: str
) -> None:
    write_pickle(pickles / "001" / "bg-01" / "000" / "000.pkl", content)
    builder = build(pickles)
    broken, sound = builder.frames(builder.sequences()[:2], "silhouette")
    assert isinstance(broken, Absent)
    assert broken.is_defect
    assert reason in broken.reason
    assert "001/bg-01/000/000.pkl" in broken.reason
    assert len(sound) == 6


@pytest.mark.parametrize(
    ("convert", "expected"),
    [
        pytest.param(lambda x: list(x), lambda x: x, id="list-of-frames"),
        pytest.param(lambda x: x[:, None], lambda x: x, id="channel-axis"),
        pytest.param(lambda x: x / 255, lambda x: x, id="floats-to-1"),
        pytest.param(lambda x: x > 127, lambda x: (x > 127) * np.uint8(255), id="truth-values"),
        pytest.param(lambda x: (x > 127).astype(np.uint8), lambda x: (x > 127) * np.uint8(255), id="zeros-and-ones"),
    ],
)
def test_other_ways_to_write_masks(
    tmp_path: Path, aligned: Callable, write_pickle: Callable, convert: Callable, expected: Callable
) -> None:
    write_pickle(tmp_path / "001" / "nm-01" / "090" / "090.pkl", convert(aligned(1)))
    builder = build(tmp_path)
    (got,) = builder.frames(builder.sequences(), "silhouette")
    np.testing.assert_array_equal(got[:, 0], expected(aligned(1)))


def test_narrow_frames_are_the_middle_of_aligned_ones(frames: Path, pickles: Path, write_pickle: Callable) -> None:
    whole, narrow = (build(frames, width_px=width) for width in (64, 44))
    (a,), (b,) = (builder.frames(builder.sequences()[:1], "silhouette") for builder in (whole, narrow))
    np.testing.assert_array_equal(b, a[..., 10:54])
    write_pickle(pickles / "001" / "bg-01" / "000" / "000.pkl", b[:, 0])
    (read,) = build(pickles, width_px=44).frames(build(pickles).sequences()[:1], "silhouette")
    np.testing.assert_array_equal(read, b)


def test_what_is_no_walk_is_said(pickles: Path, write_pickle: Callable) -> None:
    write_pickle(pickles / "001" / "nm-07" / "090" / "090.pkl", 0)
    write_pickle(pickles / "001" / "nm-01" / "091" / "091.pkl", 0)
    (pickles / "readme.txt").write_text("")
    builder = build(pickles)
    builder.sequences()
    assert {example for item in builder.left_out() for example in item.examples} == {
        "001/nm-07",
        "001/nm-01/091",
        "readme.txt",
    }


def test_casia_b_star_is_not_taken_for_casia_b(tmp_path: Path, write_pickle: Callable) -> None:
    for name in ("aligned-sils", "ratios", "rgbs", "sils"):
        write_pickle(tmp_path / "001" / "nm-01" / "090" / f"090-{name}.pkl", np.zeros((3, 64, 44), np.uint8))
    with pytest.raises(DatasetError, match="is laid out as none of"):
        build(tmp_path).card()


def test_contract(pickles: Path, frames: Path) -> None:
    check_dataset(build(pickles))
    check_dataset(build(frames))


def test_from_the_official_files_to_a_table(pickles: Path, through_the_command_line: Callable) -> None:
    said = through_the_command_line("casia-b", pickles, "--allow-partial", models=("nearest-raw", "gei"))
    assert "casia-b: licence: Research only" in said["prepare"]
    assert "4 subjects, 32 sequences" in said["prepare"]
    assert "Read from pickled masks SUBJECT/CONDITION/VIEW/VIEW.pkl" in said["prepare"], "the layout is said"
    for record in said["records"]:
        assert record["status"] == "partial"
        assert record["data"]["num_train_sequences"] == 16
        assert record["data"]["num_gallery"] == 4
        rank_1 = {score["group"]: score for score in record["scores"] if score["metric"] == "rank_1"}
        assert {group: rank_1[group]["num_probes"] for group in ("NM", "BG", "CL")} == {"NM": 4, "BG": 4, "CL": 4}
    assert rank_1["NM"]["value"] == 1, "these two people differ in height"


def test_a_network_trains_on_soft_edges(pickles: Path, through_the_command_line: Callable) -> None:
    few = {"iterations": 2, "clips.subjects_per_batch": 2, "clips.sequences_per_subject": 2, "clips.num_frames": 4}
    options = [word for key, value in few.items() for word in ("--set", f"recipe.stages.0.{key}={value}")]
    said = through_the_command_line("casia-b", pickles, "--allow-partial", *options, models=("gaitset",))
    (record,) = said["records"]
    assert record["training"]["num_steps"] == 2


def test_a_run_on_the_official_files_asks_models_of_what_is_there(frames: Path) -> None:
    registry = load_registry()
    chosen = {cell.model for cell in plan("identity", None, "casia-b", data=frames, allow_partial=True)}
    models = [registry.get("model", name) for name in chosen]
    assert {"gaitset", "gei"} <= chosen
    assert not any(model.inputs == ("skeleton2d",) for model in models), "there are no joints in this folder"


def test_workers_change_nothing(pickles: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = prepared(pickles, tmp_path / "one")
    monkeypatch.setattr(sys.modules["gaitbench.prepare"], "SEQUENCES_PER_SHARD", 12)
    two = prepare(
        "gaitbench_silhouette.casia_b:CasiaB",
        SilhouetteOptions(),
        pickles,
        tmp_path / "two",
        ["silhouette"],
        workers=2,
        progress=False,
    )
    assert len(list((tmp_path / "two" / "streams" / "silhouette").iterdir())) == 3
    assert two.fingerprint(["silhouette"]) == one.fingerprint(["silhouette"])
