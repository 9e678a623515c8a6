"""CCPG in its three forms: names, frames, pairing of colours and masks, and runs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from gaitbench_rgb.ccpg import Ccpg, CcpgOptions
from gaitbench_rgb.paired_frames import tall_crop
from PIL import Image

from gaitbench.cli import main
from gaitbench.errors import DatasetError
from gaitbench.registry import load_registry
from gaitbench.sequence import Absent
from gaitbench.silhouettes import align_silhouette
from gaitbench.table import SequenceTable
from gaitbench.testing import check_dataset

STATES = ("U0_D0", "U0_D0_BG", "U0_D3", "U1_D0", "U1_D1", "U2_D2", "U3_D3")
VIEWS = ("1_0", "1_1", "10_0")
SUBJECTS = ("000", "001", "100", "101")
COLOURS, MASKS = "CCPG_D_MASK_FACE_SHOE", "CCPG_G_SIL"


def build(source: Path, **options: object) -> Ccpg:
    return Ccpg(CcpgOptions(**options), source)  # type: ignore[arg-type]


def frames_of(builder: Ccpg, sequence: str, modality: str):
    info = next(info for info in builder.sequences() if info.sequence_id == sequence)
    (found,) = builder.frames([info], modality)
    return found


@pytest.fixture
def pickles(tmp_path: Path, masks, colours, save) -> Path:
    root = tmp_path / "CCPG-pkl"
    for number, subject in enumerate(SUBJECTS):
        for take, state in enumerate(STATES):
            for view in VIEWS:
                leaf = root / subject / state / view
                large = masks(number, 5, take=take, size_px=(128, 128))
                save(leaf / f"{view}-aligned-sils.pkl", masks(number, 5, take=take))
                save(leaf / f"{view}-ratios.pkl", np.linspace(0.3, 0.5, 5))
                save(leaf / f"{view}-rgbs.pkl", colours(large))
                save(leaf / f"{view}-sils.pkl", large)
    return root


def write_frame(
    root: Path, masks, number: int, leaf: str, frame: str, *, image: bool = True, mask: bool = True
) -> None:
    """One raw frame: a mask of a person in the open, and the person in colour on black."""
    seen = np.zeros((150, 90), np.uint8)
    seen[12:140, 10:74] = masks(number, 1, take=int(frame.rpartition("_")[2]), size_px=(128, 64))[0]
    for release, is_there, suffix, picture in (
        (MASKS, mask, "png", seen),
        (COLOURS, image, "jpg", np.stack([seen, seen // 2, seen // 3], axis=2)),
    ):
        if is_there:
            path = root / release / leaf / f"{frame}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path, **({"quality": 100, "subsampling": 0} if suffix == "jpg" else {}))


@pytest.fixture
def raw(tmp_path: Path, masks) -> Path:
    root = tmp_path / "CCPG"
    for number, subject in enumerate(("000", "100")):
        for frame in ("a_00", "a_01", "a_02"):
            write_frame(root, masks, number, f"{subject}/U0_D0/10_1", frame)
    return root


@pytest.mark.parametrize("protocol", ["ccpg", "ccpg-with-identical-views", "ccpg-reid"])
def test_sequences_are_named_as_the_protocols_want(pickles: Path, protocol: str) -> None:
    builder = build(pickles)
    infos = builder.sequences()
    assert len(infos) == 4 * 7 * 3
    assert (infos[3].sequence_id, infos[3].condition, infos[3].view) == ("000-U0_D0_BG-10_0", "U0_D0_BG", "10_0")
    rules = load_registry().load(load_registry().get("protocol", protocol))
    table = SequenceTable.from_infos(infos)
    assert set(rules.cameras(table.view)) == {"1", "10"}
    division = rules.divide(table, allow_partial=True)
    assert set(division.probes) == {"CL", "UP", "DN", "BG"}
    assert not builder.left_out()


def test_pickles_come_as_they_are(pickles: Path, masks, colours) -> None:
    builder = build(pickles)
    assert builder.card().options["layout"] == "pickles"
    large = masks(2, 5, take=1, size_px=(128, 128))
    assert (masks(2, 5, take=1) % 255 > 0).any(), "soft edges"
    np.testing.assert_array_equal(frames_of(builder, "100-U0_D0_BG-1_1", "silhouette")[:, 0], masks(2, 5, take=1))
    np.testing.assert_array_equal(frames_of(builder, "100-U0_D0_BG-1_1", "rgb"), colours(large))
    np.testing.assert_array_equal(frames_of(builder, "100-U0_D0_BG-1_1", "silhouette-raw")[:, 0], large)
    ratios = frames_of(builder, "100-U0_D0_BG-1_1", "aspect-ratio")
    np.testing.assert_array_equal(ratios, np.linspace(0.3, 0.5, 5).astype(np.float32)[:, None, None])
    check_dataset(builder)
    check_dataset(build(pickles, edges="binary", rgb="jpeg"))


def test_the_other_pretreatment_is_told_apart(tmp_path: Path, save) -> None:
    tall = np.random.default_rng(0).integers(0, 255, (4, 3, 256, 128), dtype=np.uint8)
    leaf = tmp_path / "000/U0_D0/10_1"
    save(leaf / "10_1-aligned-rgbs.pkl", tall)
    save(leaf / "10_1-ratios.pkl", np.full(4, 0.5, np.float32))
    builder = build(tmp_path)
    assert builder.card().options["layout"] == "aligned-rgbs"
    assert set(builder.card().streams) == {"rgb", "aspect-ratio"}
    np.testing.assert_array_equal(frames_of(builder, "000-U0_D0-10_1", "rgb"), tall)
    check_dataset(builder)


def test_both_pretreatments_in_one_folder(pickles: Path, save) -> None:
    tall = np.zeros((5, 3, 256, 128), np.uint8)
    save(pickles / "000/U0_D0/1_0/1_0-aligned-rgbs.pkl", tall)
    assert frames_of(build(pickles), "000-U0_D0-1_0", "rgb").shape == (5, 3, 128, 128)
    assert frames_of(build(pickles, layout="aligned-rgbs"), "000-U0_D0-1_0", "rgb").shape == tall.shape


def test_raw_frames_are_paired_by_name_and_scaled_by_area(raw: Path, masks) -> None:
    leaf = "000/U0_D0/10_1"
    write_frame(raw, masks, 0, leaf, "a_03", image=False)
    write_frame(raw, masks, 0, leaf, "a_04", mask=False)
    Image.fromarray(np.zeros((150, 90), np.uint8)).save(raw / MASKS / leaf / "a_01.png")  # nobody is seen
    builder = build(raw)
    assert builder.card().options["layout"] == "frames"
    assert [info.sequence_id for info in builder.sequences()] == ["000-U0_D0-10_1", "100-U0_D0-10_1"]
    assert not builder.left_out()
    kept = [raw / MASKS / leaf / f"{frame}.png" for frame in ("a_00", "a_02")]
    expected = [
        align_silhouette(np.asarray(Image.open(path)), 64, interpolation="area", min_pixel_sum=0) for path in kept
    ]
    np.testing.assert_array_equal(frames_of(builder, "000-U0_D0-10_1", "silhouette")[:, 0], np.stack(expected))
    colours = frames_of(builder, "000-U0_D0-10_1", "rgb")
    assert colours.shape == (2, 3, 128, 128)
    whole = np.asarray(Image.open(raw / COLOURS / leaf / "a_02.jpg")).astype(float)
    np.testing.assert_allclose(colours[1].mean(axis=(1, 2)), whole.mean(axis=(0, 1)), atol=0.6)
    ratios = frames_of(builder, "000-U0_D0-10_1", "aspect-ratio")
    np.testing.assert_allclose(ratios, np.full((2, 1, 1), 90 / 150), rtol=1e-6)
    assert frames_of(builder, "000-U0_D0-10_1", "silhouette-raw").shape == (2, 1, 128, 128)
    check_dataset(builder)
    check_dataset(build(raw, crop="tall", edges="binary"))
    assert frames_of(build(raw, crop="tall"), "000-U0_D0-10_1", "rgb").shape == (2, 3, 256, 128)


def test_masks_with_few_pixels_are_kept(raw: Path) -> None:
    mask = np.zeros((150, 90), np.uint8)
    mask[70:76, 40:44] = 255  # 24 pixels, where other datasets need 40
    Image.fromarray(mask).save(raw / MASKS / "000/U0_D0/10_1/a_00.png")
    assert len(frames_of(build(raw), "000-U0_D0-10_1", "silhouette")) == 3


def test_raw_folders_without_a_partner_are_told(raw: Path, masks) -> None:
    write_frame(raw, masks, 0, "000/U1_D0/10_1", "a_00", image=False)
    write_frame(raw, masks, 0, "000/U1_D1/10_1", "a_00", mask=False)
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(raw / MASKS / "100/U0_D0/10_1/a_00.png")
    (raw / COLOURS / "100/U0_D0/10_1/a_01.jpg").write_bytes(b"no image")
    builder = build(raw)
    assert len(builder.sequences()) == 4
    alone, mask_lacks = (frames_of(builder, f"000-{state}-10_1", "silhouette") for state in ("U1_D0", "U1_D1"))
    assert isinstance(alone, Absent)
    assert "has a colour frame of the same name" in alone.reason
    assert isinstance(mask_lacks, Absent)
    assert "is missing" in mask_lacks.reason
    broken = frames_of(builder, "100-U0_D0-10_1", "rgb")
    assert isinstance(broken, Absent)
    assert "a_01.jpg" in broken.reason
    for path in (raw / MASKS / "100/U0_D0/10_1").iterdir():
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(path)
    empty = frames_of(builder, "100-U0_D0-10_1", "silhouette")
    assert isinstance(empty, Absent)
    assert not empty.is_defect


def test_masks_alone(raw: Path) -> None:
    leaf = raw / MASKS / "000/U0_D0/10_1"
    Image.fromarray(np.zeros((150, 90), np.uint8)).save(leaf / "a_01.png")
    (raw / COLOURS / "000/U0_D0/10_1/a_02.jpg").unlink()
    builder = build(raw / MASKS)
    assert builder.card().options["layout"] == "masks"
    assert set(builder.card().streams) == {"silhouette", "silhouette-raw"}
    alone, paired = (frames_of(each, "000-U0_D0-10_1", "silhouette") for each in (builder, build(raw)))
    assert (len(alone), len(paired)) == (2, 1)
    np.testing.assert_array_equal(alone[:1], paired)
    check_dataset(builder)


def test_one_release_in_its_folder_is_not_taken_for_two(raw: Path) -> None:
    shutil.rmtree(raw / COLOURS)
    with pytest.raises(DatasetError, match=rf"masks: SUBJECT.*\n.*{MASKS}"):
        build(raw).card()


def test_two_copies_of_a_release_are_refused(raw: Path) -> None:
    (raw / "old_G_SIL").mkdir()
    with pytest.raises(DatasetError, match=r"2 folders \*G_SIL\*"):
        build(raw).sequences()


def test_a_source_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(DatasetError, match="photos"):
        build(tmp_path).card()


def test_tall_crops_keep_proportions() -> None:
    image = np.random.default_rng(0).integers(0, 255, (3, 100, 100), dtype=np.uint8)
    cut = tall_crop(image)
    assert cut.shape == (3, 256, 128)
    assert cut.min(axis=(0, 1)).size == 128
    np.testing.assert_allclose(cut.mean(), image[:, :, 25:75].mean(), atol=4)
    slim = tall_crop(np.full((3, 256, 50), 7, np.uint8))
    assert (slim[:, :, 39:89] == 7).all()
    assert slim.sum() == 3 * 256 * 50 * 7


def test_prepare_and_run(pickles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["prepare", "ccpg", "--source", str(pickles), "--out", str(out), "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "BNU-IVC@outlook.com" in said
    assert "4 subjects, 84 sequences" in said
    runs = ["--allow-partial", "--out", str(tmp_path / "runs"), "--json"]
    words = ["run", "--task", "identity", "--dataset", "ccpg", "--data", str(out), "--model", "nearest-raw", *runs]
    assert main(words) == 0
    (record,) = json.loads(capsys.readouterr().out)["records"]
    assert (record["status"], record["data"]["name"]) == ("partial", "ccpg")


def test_layouts_can_be_told_without_files() -> None:
    names = [layout.name for layout in Ccpg(CcpgOptions()).layouts()]
    assert names == ["pickles", "aligned-rgbs", "frames", "masks"]
