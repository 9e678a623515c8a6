"""USF gait challenge 1.7: small files made here, and the real ones where they are."""

import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from gaitbench_silhouette.usf_gait17 import FILES, PROTOCOL, UNKNOWN, UsfGait17, UsfGait17Options
from scipy.io import savemat

from gaitbench.errors import DatasetError, IncompleteDataError, ProtocolError
from gaitbench.table import SequenceTable

SHARED = Path(os.environ.get("GAITBENCH_SHARED", Path(__file__).parents[4] / "shared"))
REAL = SHARED / "data" / "usf-gait17"
needs_real = [
    pytest.mark.needs_data,
    pytest.mark.skipif(not REAL.exists(), reason="needs data/usf-gait17 under GAITBENCH_SHARED"),
]


def write(path: Path, labels: list[int], *, seed: int = 0, compress: bool = True, **changed: object) -> None:
    tensor = np.random.default_rng(seed).integers(0, 2, (32, 22, 10, len(labels)), dtype=np.uint8)
    arrays = {"fea3D": tensor, "gnd": np.array(labels, dtype=np.uint8)[:, None], **changed}
    savemat(path, {name: array for name, array in arrays.items() if array is not None}, do_compression=compress)


def make(folder: Path, *, probes: str = "AD") -> UsfGait17:
    people = list(range(1, 72))
    write(folder / "USF17Gal.mat", [*people, 1])
    for number, probe in enumerate(probes):
        write(folder / f"Prb{probe}.mat", [1, 2, 2] + [0] * (probe == "D"), seed=1 + number)
    return UsfGait17(UsfGait17Options(), folder)


def test_samples_become_sequences_and_values_are_inverted(tmp_path: Path) -> None:
    builder = make(tmp_path)
    infos = builder.sequences()
    assert [info.sequence_id for info in infos[70:76]] == [
        "GAR-071-000",
        "GAR-001-001",
        "GAL-001-000",
        "GAL-002-000",
        "GAL-002-001",
        "CAR-001-000",
    ]
    assert infos[-1].subject_id == UNKNOWN
    assert {(info.condition, info.view) for info in infos} == {("GAR", "R"), ("GAL", "L"), ("CAR", "R")}
    # What is yielded for a sequence does not depend on the others or on the order.
    raw = np.random.default_rng(1).integers(0, 2, (32, 22, 10, 3), dtype=np.uint8)
    late, early = builder.frames([infos[74], infos[72]], "silhouette")
    assert late.shape == (10, 1, 32, 22)
    assert late.dtype == np.uint8
    np.testing.assert_array_equal(late[:, 0], 1 - raw[..., 2].transpose(2, 0, 1))
    np.testing.assert_array_equal(early[:, 0], 1 - raw[..., 0].transpose(2, 0, 1))


@pytest.mark.parametrize("probes", ["A", "BG", "ABCDEFG"])
def test_any_subset_of_probes(tmp_path: Path, probes: str) -> None:
    builder = make(tmp_path, probes=probes)
    division = PROTOCOL.divide(SequenceTable.from_infos(builder.sequences()))
    assert set(division.probes) == set(probes)
    assert set(division.absent_groups) == set("ABCDEFG") - set(probes)
    assert not division.is_partial
    assert all(len(rows) == 3 for rows in division.probes.values())  # strangers are not asked about
    missing = [file.name for file in FILES if file.group and file.group not in probes]
    assert f"Missing: {', '.join(missing) or 'none'}." in builder.card().description


def test_training_sees_the_gallery_alone(tmp_path: Path) -> None:
    table = SequenceTable.from_infos(make(tmp_path).sequences())
    division = PROTOCOL.divide(table)
    assert set(table.condition[division.train]) == set(table.condition[division.gallery]) == {"GAR"}


def test_a_gallery_without_some_subjects_stops_the_protocol(tmp_path: Path) -> None:
    make(tmp_path)
    write(tmp_path / "USF17Gal.mat", list(range(1, 71)))
    table = SequenceTable.from_infos(UsfGait17(UsfGait17Options(), tmp_path).sequences())
    with pytest.raises((IncompleteDataError, ProtocolError), match=r"071|70"):
        PROTOCOL.divide(table)


def test_a_single_sample_keeps_its_axes(tmp_path: Path) -> None:
    make(tmp_path)
    write(tmp_path / "PrbA.mat", [5], seed=9)
    builder = UsfGait17(UsfGait17Options(), tmp_path)
    info = next(info for info in builder.sequences() if info.condition == "GAL")
    assert next(builder.frames([info], "silhouette")).shape == (10, 1, 32, 22)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"gnd": None}, "needs numeric arrays fea3D, gnd, has fea3D", id="no-labels"),
        pytest.param({"fea3D": np.ones((32, 22, 10, 4), np.uint8)}, "one label per sample", id="label-missing"),
        pytest.param({"fea3D": np.ones((22, 32, 10, 3), np.uint8)}, "another release", id="axes-swapped"),
        pytest.param({"fea3D": np.ones((32, 22, 9, 3), np.uint8)}, "another release", id="nine-frames"),
        pytest.param({"fea3D": np.full((32, 22, 10, 3), 255, np.uint8)}, "must be 0 .* with values 255", id="255"),
        pytest.param({"fea3D": np.full((32, 22, 10, 3), 0.5)}, "must be 0 .* float64", id="fractions"),
        pytest.param({"fea3D": np.ones((32, 22, 10, 3), np.uint8)}, "sample 0 shows nobody", id="empty"),
        pytest.param({"gnd": np.array([[1], [2], [72]])}, "labels run from 1 to 72", id="label-too-large"),
        pytest.param({"gnd": np.array([[1], [-2], [3]])}, "labels run from -2", id="label-negative"),
        pytest.param({"gnd": np.array([[1.0], [2.5], [3.0]])}, "whole numbers", id="label-fraction"),
        pytest.param({"gnd": np.array([[1.0], [np.nan], [3.0]])}, "whole numbers", id="label-nan"),
        pytest.param({"gnd": "abc"}, "needs numeric arrays", id="text"),
    ],
)
def test_contents_that_are_not_the_release(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    make(tmp_path)
    write(tmp_path / "PrbA.mat", [1, 2, 3], seed=7, **changed)
    with pytest.raises(DatasetError, match=message) as caught:
        UsfGait17(UsfGait17Options(), tmp_path).sequences()
    assert "PrbA.mat" in str(caught.value)


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.6, 0.99])
def test_a_file_that_is_cut_short(tmp_path: Path, compress: bool, share: float) -> None:
    make(tmp_path)
    path = tmp_path / "PrbA.mat"
    write(path, [1, 2, 3], compress=compress)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DatasetError, match=r"PrbA\.mat.*Copy the file"):
        UsfGait17(UsfGait17Options(), tmp_path).sequences()


@pytest.mark.parametrize("at", [126, 128, 133, 300, 1000, -3])
def test_a_byte_that_is_altered(tmp_path: Path, at: int) -> None:
    make(tmp_path)
    path = tmp_path / "PrbA.mat"
    data = bytearray(path.read_bytes())
    data[at] ^= 0x55
    path.write_bytes(bytes(data))
    with pytest.raises(DatasetError, match=r"PrbA\.mat"):
        UsfGait17(UsfGait17Options(), tmp_path).sequences()


@pytest.mark.parametrize("content", [b"", b"not a mat file", b"\x89HDF\r\n\x1a\n" + bytes(600), bytes(4096)])
def test_files_that_are_something_else(tmp_path: Path, content: bytes) -> None:
    make(tmp_path)
    (tmp_path / "USF17Gal.mat").write_bytes(content)
    with pytest.raises(DatasetError, match=r"USF17Gal\.mat"):
        UsfGait17(UsfGait17Options(), tmp_path).sequences()


def test_an_intact_file_with_an_extra_broken_element(tmp_path: Path) -> None:
    make(tmp_path)
    with (tmp_path / "PrbA.mat").open("ab") as file:
        file.write((15).to_bytes(4, "little") + (4).to_bytes(4, "little") + zlib.compress(b"x" * 9)[:4])
    with pytest.raises(DatasetError, match="is altered"):
        UsfGait17(UsfGait17Options(), tmp_path).sequences()


def test_one_file_under_two_names(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "PrbB.mat").write_bytes((tmp_path / "PrbA.mat").read_bytes())
    with pytest.raises(DatasetError, match=r"PrbB\.mat holds the same samples as PrbA\.mat"):
        UsfGait17(UsfGait17Options(), tmp_path).sequences()


def test_a_probe_of_another_gallery(tmp_path: Path) -> None:
    make(tmp_path)
    write(tmp_path / "USF17Gal.mat", [1, 3, 4])
    with pytest.raises(DatasetError, match="subjects who are not in the gallery: 002"):
        UsfGait17(UsfGait17Options(), tmp_path).sequences()


def test_strangers_in_the_gallery(tmp_path: Path) -> None:
    make(tmp_path)
    write(tmp_path / "USF17Gal.mat", [0, 1, 2, 3])
    with pytest.raises(DatasetError, match="label 0, which the gallery cannot have"):
        UsfGait17(UsfGait17Options(), tmp_path).sequences()


def test_folders_that_lack_something(tmp_path: Path) -> None:
    options = UsfGait17Options()
    with pytest.raises(DatasetError, match="name the folder"):
        UsfGait17(options).card()
    with pytest.raises(DatasetError, match="is no folder"):
        UsfGait17(options, tmp_path / "absent").card()
    with pytest.raises(DatasetError, match=r"no USF17Gal\.mat"):
        UsfGait17(options, tmp_path).card()
    write(tmp_path / "USF17Gal.mat", [1, 2])
    with pytest.raises(DatasetError, match="no probe set"):
        UsfGait17(options, tmp_path).card()


def test_questions_about_what_it_does_not_have(tmp_path: Path) -> None:
    builder = make(tmp_path)
    info = builder.sequences()[0]
    with pytest.raises(DatasetError, match="silhouettes only, not rgb"):
        next(builder.frames([info], "rgb"))
    write(tmp_path / "USF17Gal.mat", list(range(2, 72)))
    (tmp_path / "PrbA.mat").unlink()
    write(tmp_path / "PrbD.mat", [2, 3], seed=4)
    with pytest.raises(DatasetError, match="no sequence 'GAR-001-000'"):
        next(UsfGait17(UsfGait17Options(), tmp_path).frames([info], "silhouette"))


class TestReal:
    pytestmark = needs_real

    def test_counts_of_the_release(self) -> None:
        infos = UsfGait17(UsfGait17Options(), REAL).sequences()
        samples = {c: sum(info.condition == c for info in infos) for c in ("GAR", "GAL", "GBR", "GBL", "CAR")}
        assert samples == {"GAR": 731, "GAL": 727, "GBR": 423, "GBL": 420, "CAR": 682}
        people = {c: len({i.subject_id for i in infos if i.condition == c} - {UNKNOWN}) for c in samples}
        assert people == {"GAR": 71, "GAL": 71, "GBR": 41, "GBL": 41, "CAR": 66}
        assert sum(info.subject_id == UNKNOWN for info in infos) == 43

    def test_the_person_stands_upright_in_the_middle(self) -> None:
        builder = UsfGait17(UsfGait17Options(), REAL)
        mean = np.mean(list(builder.frames(builder.sequences()[:200], "silhouette")), axis=(0, 1, 2))  # [H, W]
        assert mean[:, 8:14].mean() > 4 * mean[:, [0, 1, -2, -1]].mean()
        assert mean[:6, 8:14].mean() > 0.3  # the head
        assert mean[4:10].sum() > 1.5 * mean[:4].sum()  # wider than the head below it
