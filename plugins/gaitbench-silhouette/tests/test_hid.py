"""HID: a probe is known by its view, in the old form, in the new one and in the official folders."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gaitbench_silhouette.hid import Hid, Hid2023, HidOptions

from gaitbench.cli import main
from gaitbench.errors import ProtocolError
from gaitbench.protocols.hid import HID, HID_2023
from gaitbench.table import SequenceTable
from gaitbench.testing import check_dataset


def large(aligned: Callable, take: int) -> np.ndarray:
    return aligned(take % 7, take).repeat(2, axis=1).repeat(2, axis=2)


def build(source: Path, cls: type[Hid] = Hid, **options: object) -> Hid:
    return cls(HidOptions(**options), source)


@pytest.fixture
def old(tmp_path: Path, aligned: Callable, write_pickle: Callable) -> Path:
    walks = ["0000/a", "0000/b", "0499/c", "0499/d", "0500/e", "1004/f", "probe/00001", "probe/00002"]
    for take, walk in enumerate(walks):
        write_pickle(tmp_path / "HID-128-pkl" / walk / "default" / f"{walk[-1:]}.pkl", large(aligned, take))
    return tmp_path / "HID-128-pkl"


def test_the_old_form_names_probes_by_their_sequence(old: Path, aligned: Callable) -> None:
    builder = build(old)
    assert builder.layout.name == "old-pickles"
    table = SequenceTable.from_infos(builder.sequences())
    division = HID.divide(table, allow_partial=True, needs_matches=False)
    assert table.view[division.probes["all"]].tolist() == ["00001", "00002"], "not default for every one"
    assert table.subject_id[division.gallery].tolist() == ["0500", "1004"]
    assert set(table.subject_id[division.train].tolist()) == {"0000", "0499"}
    (got,) = builder.frames(builder.sequences()[-1:], "silhouette")
    np.testing.assert_array_equal(got[:, 0], large(aligned, 7))
    assert got.shape[2:] == (128, 128)
    check_dataset(builder)


def test_the_new_form(tmp_path: Path, aligned: Callable, write_pickle: Callable) -> None:
    for take, walk in enumerate(("00000/00/x1", "00858/00/x2", "probe/000/17aF", "probe/000/9zzz")):
        write_pickle(tmp_path / walk / f"{walk[-2:]}.pkl", large(aligned, take))
    builder = build(tmp_path, Hid2023)
    assert builder.layout.name == "pickles"
    table = SequenceTable.from_infos(builder.sequences())
    division = HID_2023.divide(table, allow_partial=True, needs_train=False, needs_matches=False)
    assert table.view[division.probes["all"]].tolist() == ["17aF", "9zzz"]
    assert table.subject_id[division.gallery].tolist() == ["00000", "00858"]
    check_dataset(builder)


def test_the_official_folders(tmp_path: Path, aligned: Callable, write_images: Callable) -> None:
    walks = ("train/0000/s1", "HID2022_test_gallery/0500/s2", "HID2022_test_probe/77", "HID2022_test_probe/78")
    for take, walk in enumerate(walks):
        write_images(tmp_path / walk, large(aligned, take))
    builder = build(tmp_path)
    assert builder.layout.name == "official"
    infos = builder.sequences()
    assert {(info.subject_id, info.view) for info in infos} == {
        ("0000", "s1"),
        ("0500", "s2"),
        ("probe", "77"),
        ("probe", "78"),
    }
    (got,) = builder.frames([info for info in infos if info.view == "78"], "silhouette")
    np.testing.assert_array_equal(got[:, 0], large(aligned, 3))
    check_dataset(builder)


def test_labels_are_with_the_server(old: Path) -> None:
    table = SequenceTable.from_infos(build(old).sequences())
    with pytest.raises(ProtocolError, match="labels"):
        HID.divide(table, allow_partial=True)


def test_from_the_files_to_a_submission(
    old: Path,
    tmp_path: Path,
    aligned: Callable,
    write_pickle: Callable,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for take, path in enumerate(old.rglob("*.pkl")):
        write_pickle(path, aligned(take))
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "cache"))
    prepared, embeddings, out = (str(tmp_path / name) for name in ("d", "e.npz", "submission.csv"))
    size = ("--option", "height_px=64", "width_px=64")
    assert main(["prepare", "hid", "--source", str(old), "--out", prepared, "--workers", "1", *size]) == 0
    assert main(["embed", prepared, "--model", "nearest-raw", "--out", embeddings, "--device", "cpu"]) == 0
    assert main(["score", embeddings, "--protocol", "hid", "--submission", out]) == 0, capsys.readouterr().err
    lines = Path(out).read_text().splitlines()
    assert lines[0] == "videoID,label"
    assert [line.partition(",")[0] for line in lines[1:]] == ["00001", "00002"]
