"""Kept features are those that the model computes, whatever happened to their files."""

import contextlib
import dataclasses
import errno
import json
import os
import signal
import threading
from pathlib import Path

import frozen_plugin
import numpy as np
import pyarrow as pa
import pytest
import torch
from frozen_plugin import ConvFeatures, FrozenConfig, FrozenNet

from gaitbench.clips import frame_reader, test_batches
from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, ModelError, NotFiniteError, OutputError
from gaitbench.features import fill
from gaitbench.features.cache import FeatureCache, Wanted
from gaitbench.features.folder import NewPart
from gaitbench.model import InputSpec
from tests.support.tiny_dataset import prepare_tiny


def cache_of(**config: object) -> FeatureCache:
    model = FrozenNet(FrozenConfig.model_validate(config))
    return FeatureCache(model, device="cpu", autocast=contextlib.nullcontext, precision="32-true")


def parts_in(cache: Path) -> dict[str, int]:
    """Descriptions of all parts and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in (cache / "features").glob("*/0*.json")}


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of at most 60 frames."""
    monkeypatch.setattr(fill, "PART_BYTES", 60 * 6 * 8 * 8 * 4)
    monkeypatch.setattr(fill, "FRAMES_AT_ONCE", 16)


def direct(dataset: GaitDataset, sequence: torch.Tensor, frame: torch.Tensor, flip: np.ndarray) -> torch.Tensor:
    """``[B, C', T, h, w]`` as the model computes them."""
    model = FrozenNet(FrozenConfig())
    features = model.frozen_features
    assert features is not None
    read = frame_reader(dataset, model.inputs[0])
    clips = []
    for row, frames, is_flipped in zip(sequence, frame, flip, strict=True):
        x = read(row.expand(len(frames)), frames)
        with torch.no_grad():
            clips.append(features.compute(x.flip(-1) if is_flipped else x).transpose(0, 1))
    return torch.stack(clips)


@pytest.mark.parametrize("mode", ["none", "ram"])
def test_features_are_those_of_their_frames(dataset: GaitDataset, mode: str, cache: Path) -> None:
    rng = np.random.default_rng(0)
    some = dataset.take(rng.permutation(len(dataset))[:15])
    bank = cache_of().bank(Wanted(some, is_mirrored=True)).cached(mode)  # type: ignore[arg-type]
    assert len(parts_in(cache)) > 3
    sequence = torch.from_numpy(rng.integers(0, 15, 12))
    frame = torch.from_numpy(rng.integers(0, 8, (12, 5)))
    flip = rng.random(12) < 0.5
    found = bank.read(sequence, frame, flip=flip)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, direct(some, sequence, frame, flip), rtol=1e-6, atol=1e-6)


def test_frames_outside_a_sequence_are_refused(dataset: GaitDataset) -> None:
    bank = cache_of().bank(Wanted(dataset))
    last = int(bank.rows.num_frames[3])
    bank.read(torch.tensor([3]), torch.tensor([[last - 1]]))
    with pytest.raises(DatasetError, match=f"frame {last} of sequence 3 does not exist"):
        bank.read(torch.tensor([3]), torch.tensor([[last]]))


def test_what_is_there_is_not_computed_again(dataset: GaitDataset, cache: Path) -> None:
    cache_of().require([Wanted(dataset.take([0, 1, 2]))])
    first, num_first = parts_in(cache), ConvFeatures.num_computed
    assert num_first == dataset.table.num_frames[:3].sum()
    cache_of().require([Wanted(dataset.take([2, 1]), is_mirrored=True), Wanted(dataset.take([5]))])
    again = parts_in(cache)
    assert first.items() < again.items()
    assert ConvFeatures.num_computed - num_first == dataset.table.num_frames[[2, 1, 5]].sum()


def test_frames_that_were_prepared_anew_are_computed_anew(tmp_path: Path, dataset: GaitDataset, cache: Path) -> None:
    """The fingerprint does not cover the bytes of colour frames, so the features' own folder must."""
    cache_of().require([Wanted(dataset)])
    ConvFeatures.num_computed = 0
    same = prepare_tiny(tmp_path / "same", ["rgb"])
    cache_of().require([Wanted(same)])
    assert ConvFeatures.num_computed == 0
    other = prepare_tiny(tmp_path / "other", ["rgb"])
    manifest = other.manifest("rgb")
    hashes = [b"\0" * 32, *manifest["sha256"].to_pylist()[1:]]
    column = manifest.schema.get_field_index("sha256")
    changed = manifest.set_column(column, manifest.schema.field(column), pa.array(hashes, pa.binary(32)))
    other.manifest = lambda _: changed  # type: ignore[method-assign]
    cache_of().require([Wanted(other)])
    assert ConvFeatures.num_computed == other.table.num_frames[0]
    assert len(list((cache / "features").iterdir())) == 1


@pytest.mark.parametrize(
    "other", [{"tower_seed": 1}, {"dtype": "float16"}, {"scale": 2.0}], ids=["weights", "dtype", "treatment"]
)
def test_other_features_have_folders_of_their_own(dataset: GaitDataset, cache: Path, other: dict[str, object]) -> None:
    for config in ({}, other):
        cache_of(**config).require([Wanted(dataset.take([0]))])
    assert len(list((cache / "features").iterdir())) == 2


def test_float16_takes_half_the_space(dataset: GaitDataset, cache: Path) -> None:
    for dtype in ("float32", "float16"):
        cache_of(dtype=dtype).require([Wanted(dataset)])
    sizes = sorted(
        sum(path.stat().st_size for path in folder.glob("*.bin")) for folder in (cache / "features").iterdir()
    )
    assert sizes[1] == 2 * sizes[0] == int(dataset.table.num_frames.sum()) * 6 * 8 * 8 * 4
    sequence, frame = torch.arange(4), torch.zeros(4, 1, dtype=torch.int64)
    kept = cache_of(dtype="float16").bank(Wanted(dataset)).read(sequence, frame)
    assert kept.dtype == torch.float32
    torch.testing.assert_close(kept, direct(dataset, sequence, frame, np.zeros(4, bool)), rtol=1e-3, atol=1e-3)


def test_a_key_that_does_not_tell_the_weights_is_found_out(dataset: GaitDataset) -> None:
    cache_of(key_tells_seed=False).bank(Wanted(dataset))
    with pytest.raises(
        ModelError, match=r"not those that FrozenNet computes now: .* [0-9.]+% on average.*features --remove"
    ):
        cache_of(key_tells_seed=False, tower_seed=1).bank(Wanted(dataset))


def test_features_too_large_for_float16_are_refused(dataset: GaitDataset, cache: Path) -> None:
    with pytest.raises(NotFiniteError, match=r"float16 cannot \(largest [\d.e+]+\); keep them as float32"):
        cache_of(dtype="float16", scale=1e6).require([Wanted(dataset)])
    assert not parts_in(cache)
    with pytest.raises(NotFiniteError, match="largest inf"):
        cache_of(scale=float("1e39")).require([Wanted(dataset)])


def test_features_of_another_shape_are_refused(dataset: GaitDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ConvFeatures, "compute", lambda _, frames: frames[:, :1])
    with pytest.raises(
        ModelError, match=r"of 16 frames must be floats \[16, 6, 8, 8\], got torch.float32 \[16, 1, 64, 64\]"
    ):
        cache_of().require([Wanted(dataset)])


def test_a_disk_that_is_too_small_is_refused_first(
    dataset: GaitDataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaitbench.features.folder.FeatureFolder.free_bytes", lambda _: 50 << 20)
    expected = r"no room for the features rgb:features of 24 sequences .* 0.05 GiB are free\. Set GAITBENCH_CACHE"
    with pytest.raises(OutputError, match=expected):
        cache_of().require([Wanted(dataset)])
    assert ConvFeatures.num_computed == 0
    assert not (cache / "features").exists()


def test_the_size_is_said_first(dataset: GaitDataset, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cache_of().require([Wanted(dataset, is_mirrored=True)])
    num_frames = 2 * int(dataset.table.num_frames.sum())
    expected = (
        f"computing the features rgb:features of 48 sequences ({num_frames} frames of 6x8x8 float32): 0.00 GiB in"
    )
    assert expected in capfd.readouterr().err
    cache_of().require([Wanted(dataset, is_mirrored=True)])
    assert "computing" not in capfd.readouterr().err
    (folder,) = (cache / "features").iterdir()
    about = json.loads((folder / "about.json").read_text())
    assert about["dataset"][:2] == ["tiny", "1"]
    assert about["key"] == {"tower": "conv", "seed": 0, "scale": 1.0}


def test_a_killed_computation_goes_on(dataset: GaitDataset, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROZEN_KILL", "150")
    if (child := os.fork()) == 0:
        with contextlib.suppress(BaseException):
            cache_of().require([Wanted(dataset)])
        os._exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    monkeypatch.delenv("FROZEN_KILL")
    (folder,) = (cache / "features").iterdir()
    whole = {path.name: path.read_bytes() for path in folder.glob("0*.bin")}
    assert 1 <= len(whole) <= 3
    assert len(list(folder.glob(".*.tmp"))) == 1
    bank = cache_of().bank(Wanted(dataset))
    assert {name: (folder / name).read_bytes() for name in whole} == whole
    assert not list(folder.glob(".*.tmp"))
    kept_before = sum(map(len, whole.values())) // (6 * 8 * 8 * 4)
    assert ConvFeatures.num_computed == dataset.table.num_frames.sum() - kept_before + 4
    check_all(bank, dataset)


def check_all(bank: object, dataset: GaitDataset) -> None:
    sequence, frame = torch.arange(len(dataset)), torch.arange(8).expand(len(dataset), -1)
    expected = direct(dataset, sequence, frame, np.zeros(len(dataset), bool))
    torch.testing.assert_close(bank.read(sequence, frame), expected, rtol=1e-6, atol=1e-6)  # type: ignore[attr-defined]


def test_slow_work_is_kept_in_smaller_parts(dataset: GaitDataset, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill, "PART_BYTES", 1 << 30)
    cache_of().require([Wanted(dataset)])
    assert len(parts_in(cache)) == 1
    monkeypatch.setattr(fill, "PART_SECONDS", 0.0)
    cache_of(tower_seed=1).require([Wanted(dataset)])
    # Blocks of 4 x 16 frames or a little more.
    assert 4 <= len(parts_in(cache)) <= 6
    check_all(cache_of().bank(Wanted(dataset)), dataset)


def test_sequences_without_frames_are_named(dataset: GaitDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = dataset.manifest("rgb")
    place = manifest.schema.get_field_index("num_frames")
    counts = pa.array([0, *manifest["num_frames"].to_pylist()[1:]], pa.int64())
    monkeypatch.setattr(dataset, "manifest", lambda _: manifest.set_column(place, "num_frames", counts))
    with pytest.raises(DatasetError, match=r"1 sequences have no rgb \(first: 000-nm-01-000-0\)"):
        cache_of().require([Wanted(dataset)])


@pytest.mark.parametrize(
    "fault", ["altered", "truncated", "longer", "missing", "description", "no-json", "no-object", "foreign"]
)
def test_broken_parts_are_computed_again(
    dataset: GaitDataset, cache: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    cache_of().require([Wanted(dataset)])
    (folder,) = (cache / "features").iterdir()
    rows, description = folder / "00001.bin", folder / "00001.json"
    content, text = rows.read_bytes(), description.read_text()
    match fault:
        case "altered":
            rows.write_bytes(content[:5000] + b"\0\1\2\3" + content[5004:])
        case "truncated":
            rows.write_bytes(content[:-8])
        case "longer":
            rows.write_bytes(content + bytes(8))
        case "missing":
            rows.unlink()
        case "description":
            description.write_text(text.replace('"is_flipped": false', '"is_flipped": true', 1))
        case "no-json":
            description.write_text(text[: len(text) // 2])
        case "no-object":
            description.write_text("[]")
        case _:
            description.write_text(text.replace("00001.bin", "../../../x.bin"))
    ConvFeatures.num_computed = 0
    bank = cache_of().bank(Wanted(dataset))
    assert "broken features are computed again" in caplog.text
    assert ConvFeatures.num_computed == len(content) // (6 * 8 * 8 * 4) + 4
    check_all(bank, dataset)


def test_rows_without_a_description_are_cleared_away(dataset: GaitDataset, cache: Path) -> None:
    cache_of().require([Wanted(dataset.take([0]))])
    (folder,) = (cache / "features").iterdir()
    (folder / "00000.json").rename(folder / "00007.json.bak")
    (folder / "00000.bin").rename(folder / "00007.bin")
    cache_of().require([Wanted(dataset.take([0]))])
    assert sorted(path.name for path in folder.glob("0*.bin")) == ["00000.bin"]


def test_features_that_go_while_they_are_opened_are_an_error(
    dataset: GaitDataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = cache_of()
    require = opening.require

    def required(wanted: list[Wanted]) -> None:
        require(wanted)
        (cache / "features").rename(cache / "gone")

    monkeypatch.setattr(opening, "require", required)
    with pytest.raises(DatasetError, match="lost features while it was being opened"):
        opening.bank(Wanted(dataset.take([0, 1])))


def test_a_disk_that_fills_up_costs_one_part_only(
    dataset: GaitDataset, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, wrote = NewPart.write, []

    def full(part: NewPart, rows: np.ndarray) -> None:
        wrote.append(len(rows))
        if len(wrote) > 6:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(part, rows)

    with monkeypatch.context() as patch:
        patch.setattr(NewPart, "write", full)
        with pytest.raises(OutputError, match=r"cannot write .*\.bin: the disk is full"):
            cache_of().require([Wanted(dataset)])
    kept = parts_in(cache)
    assert kept
    (folder,) = (cache / "features").iterdir()
    assert not list(folder.glob(".*.tmp"))
    check_all(cache_of().bank(Wanted(dataset)), dataset)
    assert kept.items() < parts_in(cache).items()


def test_a_file_system_without_locks_is_told(
    dataset: GaitDataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_descriptor: int, _kind: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("gaitbench.features.folder.fcntl.flock", refuse)
    cache_of().require([Wanted(dataset.take([0]))])
    assert "cannot be locked (No locks available); run one process at a time" in caplog.text


def test_two_at_once_compute_once(dataset: GaitDataset) -> None:
    some = dataset.take(np.arange(6))
    barrier = threading.Barrier(2)

    def work() -> None:
        barrier.wait()
        cache_of().require([Wanted(some)])

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert frozen_plugin.ConvFeatures.num_computed == some.table.num_frames.sum()


class RatioFeatures(ConvFeatures):
    """Reads the skeleton's first joint beside each frame."""

    def __init__(self, tower: torch.nn.Module, config: FrozenConfig) -> None:
        super().__init__(tower, config)
        self.beside = ("skeleton3d",)

    def compute(self, frames: torch.Tensor, *beside: torch.Tensor) -> torch.Tensor:
        (joints,) = beside
        assert joints.shape == (len(frames), 3, 17)
        return super().compute(frames) * joints[:, :1, :1, None]


class RatioNet(FrozenNet):
    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (*super().inputs, InputSpec(modality="skeleton3d", channels=3))

    @property
    def frozen_features(self) -> RatioFeatures:
        return RatioFeatures(self.tower, self.config)


def test_other_streams_are_read_beside_the_frames(tmp_path: Path) -> None:
    dataset = prepare_tiny(tmp_path / "d", ["rgb", "skeleton3d"])
    model = RatioNet(FrozenConfig())
    cache = FeatureCache(model, device="cpu", autocast=contextlib.nullcontext, precision="32-true")
    settings = {"max_frames": None, "frames_per_batch": 60, "padding": "masked"}
    bank = cache.bank(Wanted(dataset))
    pairs = zip(
        test_batches(dataset, model.inputs, features=bank, **settings),  # type: ignore[arg-type]
        test_batches(dataset, model.inputs, **settings),  # type: ignore[arg-type]
        strict=True,
    )
    for (_, carried), (_, plain) in pairs:
        assert set(carried.inputs) == {"rgb:features", "skeleton3d"}
        is_real = torch.arange(carried.inputs["rgb:features"].shape[2]) < plain.num_frames["rgb"][:, None]
        found, expected = (model.frozen_features.of(batch).movedim(2, 1)[is_real] for batch in (carried, plain))
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_streams_of_other_lengths_cannot_be_read_beside(tmp_path: Path) -> None:
    dataset = prepare_tiny(tmp_path / "d", ["rgb", "lidar-depth"], lidar_rate_hz=10.0)

    class Net(RatioNet):
        inputs = (*FrozenNet(FrozenConfig()).inputs, InputSpec(modality="lidar-depth", height_px=64))

        @property
        def frozen_features(self) -> RatioFeatures:
            features = super().frozen_features
            features.beside = ("lidar-depth",)
            return features

    cache = FeatureCache(Net(FrozenConfig()), device="cpu", autocast=contextlib.nullcontext, precision="32-true")
    with pytest.raises(ModelError, match="read lidar-depth beside rgb; only joints and single values can be"):
        cache.require([Wanted(dataset)])
    bank = dataset.bank("lidar-depth")
    bank.modality = dataclasses.replace(bank.modality, kind="joints")
    with pytest.raises(DatasetError, match=r"sequence 000-nm-01-000-0 has \d+ frames of rgb and \d+ of lidar-depth"):
        cache.require([Wanted(dataset)])
