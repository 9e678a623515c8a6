"""CASIA-B*: the release's four pickles per walk, and a run."""

import json
from pathlib import Path

import numpy as np
import pytest
from gaitbench_rgb.casia_b_star import CasiaBStar, CasiaBStarOptions

from gaitbench.cli import main
from gaitbench.sequence import Absent
from gaitbench.testing import check_dataset

CONDITIONS = ("nm-01", "nm-05", "bg-01", "cl-02")
VIEWS = ("000", "090")


@pytest.fixture
def source(tmp_path: Path, masks, colours, save) -> Path:
    root = tmp_path / "CASIA-B-star"
    for number, subject in enumerate(("001", "002", "075", "076")):
        for take, condition in enumerate(CONDITIONS):
            for view in VIEWS:
                leaf = root / subject / condition / view
                large = masks(number, 6, take=take, size_px=(128, 128))
                save(leaf / f"{view}-aligned-sils.pkl", masks(number, 6, take=take, size_px=(64, 44)))
                save(leaf / f"{view}-ratios.pkl", np.linspace(0.3, 0.5, 6))
                save(leaf / f"{view}-rgbs.pkl", colours(large))
                save(leaf / f"{view}-sils.pkl", large)
    return root


def build(source: Path, **options: object) -> CasiaBStar:
    return CasiaBStar(CasiaBStarOptions(**options), source)  # type: ignore[arg-type]


def test_frames_are_those_of_the_files(source: Path, masks, colours) -> None:
    builder = build(source)
    infos = builder.sequences()
    assert len(infos) == 4 * 4 * 2
    assert (infos[1].sequence_id, infos[1].view_deg) == ("001-bg-01-090", 90)
    assert not builder.left_out()
    last = infos[-1]
    assert last.sequence_id == "076-nm-05-090"
    found = {name: next(iter(builder.frames([last], name))) for name in builder.card().streams}
    large = masks(3, 6, take=1, size_px=(128, 128))
    np.testing.assert_array_equal(found["silhouette"][:, 0], masks(3, 6, take=1, size_px=(64, 44)))
    np.testing.assert_array_equal(found["silhouette-raw"][:, 0], large)
    np.testing.assert_array_equal(found["rgb"], colours(large))
    np.testing.assert_allclose(found["aspect-ratio"][:, 0, 0], np.linspace(0.3, 0.5, 6), rtol=1e-6)


@pytest.mark.parametrize("options", [{}, {"edges": "binary", "rgb": "jpeg"}])
def test_contract(source: Path, options: dict[str, str]) -> None:
    check_dataset(build(source, **options))


def test_a_file_of_other_size_is_one_broken_sequence(source: Path, save) -> None:
    save(source / "001/nm-01/000/000-aligned-sils.pkl", np.zeros((4, 64, 64), np.uint8))
    (source / "001/nm-01/090/090-rgbs.pkl").unlink()
    builder = build(source)
    infos = {info.sequence_id: info for info in builder.sequences()}
    (wide,) = builder.frames([infos["001-nm-01-000"]], "silhouette")
    (lost,) = builder.frames([infos["001-nm-01-090"]], "rgb")
    assert isinstance(wide, Absent)
    assert "000-aligned-sils.pkl" in wide.reason
    assert isinstance(lost, Absent)
    assert "rgbs.pkl" in lost.reason


def test_prepare_and_run(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["prepare", "casia-b-star", "--source", str(source), "--out", str(out), "--workers", "1"]) == 0
    assert "Dataset B*" in capsys.readouterr().out
    runs = ["--allow-partial", "--out", str(tmp_path / "runs"), "--json"]
    words = [
        "run",
        "--task",
        "identity",
        "--dataset",
        "casia-b-star",
        "--data",
        str(out),
        "--model",
        "nearest-raw",
        *runs,
    ]
    assert main(words) == 0
    (record,) = json.loads(capsys.readouterr().out)["records"]
    assert (record["status"], record["data"]["name"]) == ("partial", "casia-b-star")
