"""Opening, addressing, fingerprints, and what a damaged folder says."""

import importlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gaitbench.dataset import DatasetCard, GaitDataset, SequenceTable, verify
from gaitbench.errors import DatasetError
from gaitbench.sequence import PointFrames, SequenceInfo
from tests.support.tiny_dataset import ALL_MODALITIES, TinyBuilder, TinyOptions, prepare_tiny

RASTERS_AND_JOINTS = tuple(name for name in ALL_MODALITIES if name != "lidar")


@pytest.fixture(scope="module", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> "object":
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("prepared") / "d"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("gaitbench.prepare"), "SEQUENCES_PER_SHARD", 7)
        prepare_tiny(root, ALL_MODALITIES, lidar_rate_hz=10.0)
    return root


@pytest.fixture(scope="module")
def dataset(prepared: Path) -> GaitDataset:
    return GaitDataset.open(prepared)


@pytest.fixture
def copy(prepared: Path, tmp_path: Path) -> Path:
    """A small folder of one's own to break."""
    shutil.copytree(prepared, tmp_path / "copy")
    return tmp_path / "copy"


def test_table_is_that_of_the_builder(dataset: GaitDataset) -> None:
    infos = TinyBuilder(TinyOptions()).sequences()
    assert [dataset.table.info(i) for i in range(len(dataset))] == infos
    assert dataset.table.view_deg.dtype == np.float32
    assert dataset.table.attributes.dtype == np.int16
    assert dataset.table.attributes.shape == (24, 2)
    assert [sequence.info for sequence in dataset] == infos
    assert dataset[-1].info == infos[-1]
    with pytest.raises(IndexError, match="sequence 24 of 24"):
        dataset[24]


def test_card_is_that_of_the_builder(dataset: GaitDataset) -> None:
    assert type(dataset.card) is DatasetCard
    assert dataset.card == TinyBuilder(TinyOptions(lidar_rate_hz=10.0)).card()


@pytest.mark.parametrize("name", RASTERS_AND_JOINTS)
@pytest.mark.parametrize("cache", ["none", "ram", "device"])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**31))
def test_gather_agrees_with_reading_one_by_one(dataset: GaitDataset, name: str, cache: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(dataset))[: rng.integers(1, 25)]
    bank = dataset.take(chosen).bank(name).cached(cache)  # type: ignore[arg-type]
    sequence = rng.integers(0, len(chosen), rng.integers(1, 9))
    frame = rng.integers(0, bank.num_frames[sequence][:, None], (len(sequence), rng.integers(1, 6)))
    got = bank.gather(torch.from_numpy(sequence), torch.from_numpy(frame)).numpy()
    whole = dataset.bank(name)
    for b, i in enumerate(sequence):
        frames = whole.frames(int(chosen[i]))
        assert isinstance(frames, np.ndarray)
        np.testing.assert_array_equal(got[b], frames[frame[b]])
        np.testing.assert_array_equal(bank.frames(int(i)), frames)


@pytest.mark.parametrize("cache", ["none", "ram", "device"])
@pytest.mark.parametrize("seed", range(5))
def test_points_agree_with_reading_one_by_one(dataset: GaitDataset, cache: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(dataset))[:11]
    bank = dataset.take(chosen).bank("lidar").cached(cache)  # type: ignore[arg-type]
    sequence = rng.integers(0, 11, 6)
    frame = rng.integers(0, bank.num_frames[sequence][:, None], (6, 4))
    points, offsets = bank.gather_points(torch.from_numpy(sequence), torch.from_numpy(frame))
    assert len(offsets) == 6 * 4 + 1
    draw = torch.rand(6, 4, 9, generator=torch.Generator().manual_seed(seed))
    sampled = bank.sample_points(torch.from_numpy(sequence), torch.from_numpy(frame), draw)
    assert sampled.shape == (6, 4, 9, 3)
    whole = dataset.bank("lidar")
    for k, (i, t) in enumerate((i, t) for b, i in enumerate(sequence) for t in frame[b]):
        cloud = whole.frames(int(chosen[i]))
        assert isinstance(cloud, PointFrames)
        expected = cloud.points[cloud.offsets[t] : cloud.offsets[t + 1]]
        np.testing.assert_array_equal(points[offsets[k] : offsets[k + 1]], expected)
        drawn = sampled[k // 4, k % 4].numpy()
        if len(expected):
            index = (draw[k // 4, k % 4].numpy() * len(expected)).astype(int)
            np.testing.assert_array_equal(drawn, expected[index])
        else:
            assert not drawn.any()


@pytest.mark.parametrize("cache", ["none", "device"])
def test_clips_of_frames_without_points(dataset: GaitDataset, cache: str) -> None:
    bank = dataset.bank("lidar").cached(cache)  # type: ignore[arg-type]
    empty = [
        (i, t)
        for i in range(len(dataset))
        for t, count in enumerate(np.diff(bank.frames(i).offsets))  # type: ignore[union-attr]
        if not count
    ]
    assert empty, "the dataset has frames without points"
    sequence, frame = torch.tensor(empty[0][:1]), torch.tensor([[empty[0][1]] * 3])
    points, offsets = bank.gather_points(sequence, frame)
    assert points.shape == (0, 3)
    assert offsets.tolist() == [0, 0, 0, 0]
    assert not bank.sample_points(sequence, frame, torch.rand(1, 3, 5)).any()


def test_gather_copies_only_what_is_asked_for(dataset: GaitDataset) -> None:
    table = dataset.bank("silhouette")._store.tables[0]
    mapped = Path("/proc/self/maps").read_text()
    address = table.data_ptr()
    ranges = [line for line in mapped.splitlines() if "streams/silhouette/00000.arrow" in line]
    assert any(int(r.split("-")[0], 16) <= address < int(r.split("-")[1].split()[0], 16) for r in ranges)


@pytest.mark.parametrize("frame", [-1, 10_000])
def test_frame_outside_its_sequence(dataset: GaitDataset, frame: int) -> None:
    index = torch.tensor([[0, frame]])
    with pytest.raises(DatasetError, match=f"silhouette: frame {frame} of sequence 3 does not exist"):
        dataset.bank("silhouette").gather(torch.tensor([3]), index)
    with pytest.raises(DatasetError, match=f"lidar: frame {frame} of sequence 3 does not exist"):
        dataset.bank("lidar").gather_points(torch.tensor([3]), index)


def test_wrong_kind_of_frames(dataset: GaitDataset) -> None:
    index = torch.tensor([[0]])
    with pytest.raises(TypeError, match="lidar is a point cloud"):
        dataset.bank("lidar").gather(torch.tensor([0]), index)
    with pytest.raises(TypeError, match="depth is no point cloud"):
        dataset.bank("depth").gather_points(torch.tensor([0]), index)


def test_take_of_take_by_mask_and_index(dataset: GaitDataset) -> None:
    mask = dataset.table.view == "090"
    part = dataset.take(mask).take([3, 0])
    assert part.table.sequence_id.tolist() == dataset.table.sequence_id[mask][[3, 0]].tolist()
    expected = dataset[int(np.flatnonzero(mask)[3])].frames["depth"]
    np.testing.assert_array_equal(part[0].frames["depth"], expected)
    np.testing.assert_array_equal(part.bank("depth").frames(0), expected)
    assert len(dataset.take([])) == 0
    with pytest.raises(IndexError):
        dataset.take([24])


def test_missing_stream_names_the_next_step(copy: Path, tmp_path: Path) -> None:
    dataset = prepare_tiny(tmp_path / "one")
    with pytest.raises(
        DatasetError, match="no stream depth, only silhouette; add it with `gaitbench prepare tiny --mod"
    ):
        dataset.bank("depth")
    with pytest.raises(DatasetError, match="no stream thermal, only silhouette; tiny can supply depth, lidar"):
        dataset.bank("thermal")
    with pytest.raises(KeyError):
        dataset[0].frames["depth"]


def test_fingerprint(dataset: GaitDataset, tmp_path: Path) -> None:
    one = prepare_tiny(tmp_path / "one", ["silhouette"], lidar_rate_hz=10.0)
    silhouette = dataset.fingerprint(["silhouette"])
    assert len(silhouette) == 64
    assert one.fingerprint(["silhouette"]) == silhouette, "other streams and the cut into shards do not matter"
    assert dataset.fingerprint(["depth", "silhouette"]) == dataset.fingerprint(["silhouette", "depth", "depth"])
    assert len({silhouette, dataset.fingerprint(["depth"]), dataset.fingerprint(["silhouette", "depth"])}) == 3
    other = prepare_tiny(tmp_path / "other", ["silhouette"], lidar_rate_hz=10.0, seed=1)
    assert other.fingerprint(["silhouette"]) != silhouette
    part = dataset.take(np.arange(12))
    assert part.fingerprint(["silhouette"]) != silhouette
    assert part.fingerprint(["silhouette"]) == one.take(np.arange(12)).fingerprint(["silhouette"])
    with pytest.raises(DatasetError, match="no stream depth"):
        one.fingerprint(["depth"])


class NoisyBuilder(TinyBuilder):
    """One pixel and one depth differ, as from another machine."""

    def _draw(self, info: SequenceInfo, modality: str) -> object:  # type: ignore[override]
        frames = super()._draw(info, modality)
        assert isinstance(frames, np.ndarray)
        frames[0, 0, 0, 0] ^= 1
        return frames


def test_fingerprint_covers_bytes_of_exact_streams_alone(tmp_path: Path) -> None:
    from gaitbench.prepare import prepare

    names = ["silhouette", "depth"]
    a = prepare(TinyBuilder, TinyOptions(), None, tmp_path / "a", names, workers=1, progress=False)
    b = prepare(NoisyBuilder, TinyOptions(), None, tmp_path / "b", names, workers=1, progress=False)
    assert a.fingerprint(["silhouette"]) != b.fingerprint(["silhouette"])
    assert a.fingerprint(["depth"]) == b.fingerprint(["depth"])
    assert "streams that are exact" in a.card.fingerprint_covers


@pytest.mark.filterwarnings("default")
def test_to_hf(dataset: GaitDataset) -> None:
    whole = dataset.to_hf()
    assert whole.num_rows == 24
    assert whole["sequence_id"][:] == dataset.table.sequence_id.tolist()
    row = dataset.take([5]).to_hf(["silhouette"])[0]
    assert row["sequence_id"] == dataset.table.sequence_id[5]
    frames = np.stack([np.asarray(picture) for picture in row["silhouette"]])
    np.testing.assert_array_equal(frames, dataset[5].frames["silhouette"][:, 0] == 1)


@pytest.mark.filterwarnings("default")
def test_shards_open_as_hugging_face_datasets(prepared: Path) -> None:
    import datasets

    shard = datasets.Dataset.from_file(str(prepared / "streams" / "lidar" / "00001.arrow"))
    assert shard.column_names == ["sequence_id", "num_frames", "frames", "sha256", "offsets", "origin"]
    assert shard.num_rows == 7


def write_wrong_card(root: Path) -> None:
    content = json.loads((root / "dataset.json").read_text())
    content["version"] = "2"
    (root / "dataset.json").write_text(json.dumps(content, indent=2))


def swap(root: Path, a: str, b: str) -> None:
    (root / a).rename(root / "c")
    (root / b).rename(root / a)
    (root / "c").rename(root / b)


def reorder_rows(root: Path) -> None:
    with pa.ipc.open_stream((root / "sequences.arrow").read_bytes()) as reader:
        table = reader.read_all()
    table = table.take([1, 0, *range(2, len(table))]).combine_chunks()
    with pa.ipc.new_stream(str(root / "sequences.arrow"), table.schema) as writer:
        writer.write_table(table)


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no-card": (lambda r: (r / "dataset.json").unlink(), r"not a prepared dataset: it has no dataset\.json.*prepare"),
    "empty-card": (lambda r: (r / "dataset.json").write_text(""), r"dataset\.json is truncated or altered"),
    "cut-card": (
        lambda r: (r / "dataset.json").write_bytes((r / "dataset.json").read_bytes()[:-100]),
        r"dataset\.json is truncated or altered",
    ),
    "binary-card": (lambda r: (r / "dataset.json").write_bytes(b"\x80\xff"), r"dataset\.json is truncated or altered"),
    "foreign-card": (lambda r: (r / "dataset.json").write_text('{"a": 1}'), r"dataset\.json is not the card"),
    "list-card": (lambda r: (r / "dataset.json").write_text("[1]"), r"dataset\.json is not the card"),
    "changed-card": (write_wrong_card, r"dataset\.json was altered.*checksum"),
    "no-table": (lambda r: (r / "sequences.arrow").unlink(), r"sequences\.arrow is missing"),
    "reordered-table": (reorder_rows, r"sequences\.arrow was altered"),
    "no-manifest": (lambda r: (r / "manifest.parquet").unlink(), r"manifest\.parquet is missing"),
    "cut-manifest": (lambda r: os.truncate(r / "manifest.parquet", 500), r"manifest\.parquet was truncated"),
    "no-shard": (lambda r: (r / "streams/depth/00002.arrow").unlink(), r"depth/00002\.arrow is missing"),
    "no-stream": (
        lambda r: shutil.rmtree(r / "streams/depth"),
        r"depth/00000\.arrow is missing.* and 3 more files.*gaitbench prepare",
    ),
    "cut-shard": (lambda r: os.truncate(r / "streams/depth/00001.arrow", 999), r"00001\.arrow is truncated: 999 of "),
    "long-shard": (
        lambda r: (r / "streams/depth/00001.arrow").open("ab").write(b"x"),
        r"depth/00001\.arrow was altered: .* instead of",
    ),
    "folder-for-shard": (
        lambda r: ((r / "streams/lidar/00001.arrow").unlink(), (r / "streams/lidar/00001.arrow").mkdir()),
        r"lidar/00001\.arrow",
    ),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_open_refuses_a_damaged_folder(copy: Path, fault: str) -> None:
    damage, message = FAULTS[fault]
    damage(copy)
    with pytest.raises(DatasetError, match=message) as caught:
        GaitDataset.open(copy)
    assert str(copy) in str(caught.value)
    report = verify(copy, deep=False)
    assert not report.is_sound
    with pytest.raises(DatasetError, match=message):
        report.raise_problems()


@pytest.mark.parametrize("path", ["", "file", "missing/deeper"])
def test_open_what_is_no_folder(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetError, match="not a prepared dataset"):
        GaitDataset.open(tmp_path / path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tiny") / "d"
    prepare_tiny(root, ["silhouette", "lidar"], num_subjects=2, height_px=8, width_px=8)
    return root


def file_names(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and p.name != ".lock")


def read_everything(root: Path) -> None:
    dataset = GaitDataset.open(root)
    for name in dataset.modalities:
        dataset.bank(name)


def test_every_truncation_is_noticed_by_open(tiny: Path, tmp_path: Path) -> None:
    for name in file_names(tiny):
        root = tmp_path / "broken"
        shutil.copytree(tiny, root)
        data = (root / name).read_bytes()
        for length in {0, 1, 7, 8, *range(64, len(data), max(1, len(data) // 25)), len(data) - 8, len(data) - 1}:
            (root / name).write_bytes(data[:length])
            # The closing line feed of the card is no content.
            if name != "dataset.json" or length < len(data) - 1:
                with pytest.raises(DatasetError, match=name):
                    GaitDataset.open(root)
        shutil.rmtree(root)


@pytest.mark.parametrize("name", ["sequences.arrow", "manifest.parquet", "streams/silhouette/00000.arrow",
                                  "streams/lidar/00000.arrow", "dataset.json"])  # fmt: skip
def test_a_flipped_bit_is_noticed_before_a_batch_is_read(tiny: Path, tmp_path: Path, name: str) -> None:
    root = tmp_path / "broken"
    shutil.copytree(tiny, root)
    data = (root / name).read_bytes()
    rng = np.random.default_rng(0)
    for at in rng.choice(len(data) - 1, 40, replace=False):
        if name == "dataset.json" and data[at : at + 1].isspace():
            continue
        broken = bytearray(data)
        broken[at] ^= 1 << int(rng.integers(8))
        (root / name).write_bytes(broken)
        with pytest.raises(DatasetError):
            read_everything(root)
        report = verify(root)
        assert report.problems
        assert name.rsplit("/", 1)[-1] in "\n".join(report.problems)
    (root / name).write_bytes(data)
    read_everything(root)
    assert verify(root).problems == ()


def test_swapped_shards_of_one_size_are_noticed(copy: Path) -> None:
    a, b = "streams/skeleton2d/00000.arrow", "streams/skeleton3d/00000.arrow"
    assert (copy / a).stat().st_size == (copy / b).stat().st_size
    swap(copy, a, b)
    dataset = GaitDataset.open(copy)
    with pytest.raises(DatasetError, match=r"skeleton2d/00000\.arrow was altered"):
        dataset.bank("skeleton2d")
    with pytest.raises(DatasetError, match=r"skeleton2d/00000\.arrow was altered"):
        dataset[0].frames["skeleton2d"]


def test_change_after_a_check_that_was_remembered(copy: Path) -> None:
    shard = copy / "streams/silhouette/00000.arrow"
    for path in copy.rglob("*.arrow"):
        os.utime(path, (1e9, 1e9))
    time.sleep(2.2)
    read_everything(copy)
    memory = list(Path(os.environ["GAITBENCH_CACHE"]).glob("checked/*.json"))
    assert any("streams/silhouette/00000.arrow" in json.loads(path.read_text()) for path in memory)
    read_everything(copy)
    data = bytearray(shard.read_bytes())
    data[3000] ^= 4
    shard.write_bytes(data)
    # Even a forged modification time does not hide it.
    os.utime(shard, (1e9, 1e9))
    with pytest.raises(DatasetError, match=r"silhouette/00000\.arrow: the frames of sequence .* were altered"):
        read_everything(copy)


def test_memory_of_checks_that_is_broken_or_cannot_be_written(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path / "file"))
    read_everything(tiny)
    monkeypatch.setenv("GAITBENCH_CACHE", str(tmp_path))
    from gaitbench.storage.integrity import _memory_file

    _memory_file(tiny).parent.mkdir()
    _memory_file(tiny).write_text("{broken")
    read_everything(tiny)


def test_verify_a_sound_folder(prepared: Path) -> None:
    report = verify(prepared)
    report.raise_problems()
    assert report.is_sound
    assert report.is_deep
    assert report.num_sequences == 24
    assert report.modalities == tuple(sorted(ALL_MODALITIES))
    assert report.num_files == 8 * 4 + 3
    assert verify(prepared, deep=False).is_sound


def test_verify_goes_on_after_a_problem(copy: Path) -> None:
    (copy / "streams/depth/00001.arrow").unlink()
    os.truncate(copy / "streams/parsing/00000.arrow", 1000)
    shard = copy / "streams/rgb/00002.arrow"
    data = bytearray(shard.read_bytes())
    data[-3000] ^= 1
    shard.write_bytes(data)
    (copy / "streams/rgb/00009.arrow").write_bytes(b"foreign")
    (copy / "notes.txt").write_text("mine")
    problems = "\n".join(verify(copy).problems)
    for name in (
        "depth/00001.arrow is missing",
        "parsing/00000.arrow is truncated",
        "rgb/00002.arrow: the frames of sequence",
    ):
        assert name in problems
    assert "rgb/00009.arrow does not belong to the dataset" in problems
    assert "notes.txt does not belong" in problems


def test_table_round_trip_without_attributes_and_with_unicode() -> None:
    infos = [SequenceInfo(sequence_id=f"ü{i}", subject_id="Ж", condition="", view="") for i in range(3)]
    table = SequenceTable.from_infos(infos)
    back = SequenceTable.from_bytes(table.to_bytes(), Path("t"))
    assert back.sequence_id.tolist() == ["ü0", "ü1", "ü2"]
    assert back.attributes.shape == (3, 0)
    assert np.isnan(back.view_deg).all()
    mixed = [SequenceInfo(sequence_id="a", subject_id="a", condition="", view="", attributes=(1,) * n) for n in (1, 2)]
    with pytest.raises(DatasetError, match=r"different numbers of attributes: \[1, 2\]"):
        SequenceTable.from_infos(mixed)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_open_while_another_process_adds_a_stream(tmp_path: Path) -> None:
    """A card that was read before, and a manifest after, is not mistaken for damage."""
    root = tmp_path / "d"
    prepare_tiny(root, ["silhouette"])
    from gaitbench.card import PreparedCard

    real = PreparedCard.read.__func__  # type: ignore[attr-defined]
    calls = []

    def read(cls: type[PreparedCard], where: Path) -> PreparedCard:
        card: PreparedCard = real(cls, where)
        calls.append(where)
        if len(calls) == 1:
            prepare_tiny(root, ["parsing"])
        return card

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PreparedCard, "read", classmethod(read))
        dataset = GaitDataset.open(root)
    assert dataset.modalities == ("parsing", "silhouette")
