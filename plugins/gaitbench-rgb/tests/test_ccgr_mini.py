"""CCGR-MINI: five files or three, names kept to the letter, and a run with a gallery list."""

import json
from pathlib import Path

import numpy as np
import pytest
from gaitbench_rgb.ccgr_mini import CcgrMini, CcgrMiniOptions

from gaitbench.cli import main
from gaitbench.testing import check_dataset

WALKS = (("NM1", "0_1.avi"), ("BX", "67_5_2.avi"), ("CD1", "over.avi"))
SUBJECTS = ("1", "164", "601", "1000")
PREFIXES = ("ratios_HW", "rgb_f", "sil", "par", "pose")


def write(root: Path, masks, colours, save, *, has_colour: bool = True, prefixes_shift: bool = False) -> Path:
    for number, subject in enumerate(SUBJECTS):
        for take, (covariate, view) in enumerate(WALKS):
            seen = masks(number, 4, take=take)
            contents = (
                np.array([[200, 80], [200, 90], [180, 90], [180, 80]]),
                colours(masks(number, 4, take=take, size_px=(128, 128))),
                seen,
                (seen > 127) * np.uint8(1 + take),
                np.full((4, 17, 3), 5.0 + number),
            )
            skipped = 0 if has_colour else 2
            for place, (name, content) in enumerate(zip(PREFIXES, contents, strict=True)):
                if place >= skipped:
                    prefix = place - skipped if prefixes_shift else place
                    stem = view.removesuffix(".avi")
                    save(root / subject / covariate / view / f"{prefix:03d}-{stem}-{name}.pkl", content)
    return root


@pytest.fixture
def source(tmp_path: Path, masks, colours, save) -> Path:
    return write(tmp_path / "CCGR-MINI", masks, colours, save)


def build(source: Path, **options: object) -> CcgrMini:
    return CcgrMini(CcgrMiniOptions(**options), source)  # type: ignore[arg-type]


def test_names_are_kept_to_the_letter(source: Path) -> None:
    builder = build(source)
    infos = builder.sequences()
    assert {info.subject_id for info in infos} == set(SUBJECTS)
    assert {(info.condition, info.view) for info in infos} == set(WALKS)
    assert "601-BX-67_5_2.avi" in {info.sequence_id for info in infos}
    assert not builder.left_out()


def test_folders_of_other_names_are_told(source: Path) -> None:
    (source / "601/BX/67_5_2").mkdir()
    (source / "0601").mkdir()
    builder = build(source)
    assert len(builder.sequences()) == 12
    assert sorted(sum((left.examples for left in builder.left_out()), ())) == ["0601", "601/BX/67_5_2"]


def test_frames_are_those_of_the_files(source: Path, masks, colours) -> None:
    builder = build(source)
    info = next(info for info in builder.sequences() if info.sequence_id == "164-BX-67_5_2.avi")
    found = {name: next(iter(builder.frames([info], name))) for name in builder.card().streams}
    np.testing.assert_array_equal(found["silhouette"][:, 0], masks(1, 4, take=1))
    np.testing.assert_array_equal(found["rgb"], colours(masks(1, 4, take=1, size_px=(128, 128))))
    np.testing.assert_allclose(found["aspect-ratio"][:, 0, 0], [80 / 200, 90 / 200, 0.5, 80 / 180])
    assert set(np.unique(found["parsing"])) == {0, 2}
    assert (found["skeleton2d"] == 6).all()
    check_dataset(builder)
    check_dataset(build(source, edges="binary", rgb="jpeg"))


@pytest.mark.parametrize("prefixes_shift", [False, True])
def test_without_colour_the_places_shift_and_nothing_else(
    tmp_path: Path, masks, colours, save, prefixes_shift: bool
) -> None:
    source = write(tmp_path, masks, colours, save, has_colour=False, prefixes_shift=prefixes_shift)
    builder = build(source)
    assert set(builder.card().streams) == {"silhouette", "parsing", "skeleton2d"}
    first = builder.sequences()[0]
    assert first.sequence_id == "1-BX-67_5_2.avi"
    (frames,) = builder.frames([first], "silhouette")
    np.testing.assert_array_equal(frames[:, 0], masks(0, 4, take=1))
    check_dataset(builder)


def test_prepare_and_run_with_the_gallery_list(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, lists = tmp_path / "out", tmp_path / "CCGR-MINI.json"
    assert main(["prepare", "ccgr-mini", "--source", str(source), "--out", str(out), "--workers", "1"]) == 0
    assert "ShinanZou/CCGR" in capsys.readouterr().out
    gallery = ["601-NM1-0_1.avi", "1000-NM1-0_1.avi"]
    partition = {"TRAIN_SET": ["1", "164"], "TEST_SET": ["601", "1000"], "GALLERY_SET": gallery}
    lists.write_text(json.dumps(partition))
    runs = ["--partition", str(lists), "--allow-partial", "--out", str(tmp_path / "runs"), "--json"]
    words = ["run", "--task", "identity", "--dataset", "ccgr-mini", "--data", str(out), "--model", "nearest-raw", *runs]
    assert main(words) == 0, capsys.readouterr().err
    (record,) = json.loads(capsys.readouterr().out)["records"]
    assert (record["status"], record["data"]["name"]) == ("partial", "ccgr-mini")
