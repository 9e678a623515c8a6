"""Batches hold what they should, depend on (seed, step) alone, and every test sequence comes exactly once."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gaitbench import clips as module
from gaitbench.clips import ClipSampler, check_inputs, to_input
from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, ShapeError
from gaitbench.model import GaitBatch, InputSpec
from gaitbench.recipe import AugmentConfig, ClipConfig
from gaitbench.sequence import PointFrames
from tests.support.tiny_dataset import ALL_MODALITIES, prepare_tiny

SILHOUETTE = InputSpec(modality="silhouette", height_px=64, width_px=44)
WHOLE = InputSpec(modality="silhouette")
LIDAR = InputSpec(modality="lidar", channels=3, num_points=32)
SKELETON = InputSpec(modality="skeleton3d", channels=3)
DEPTH = InputSpec(modality="depth", height_px=64, width_px=64, scale=1000)
JET = InputSpec(modality="lidar-depth", channels=3, colour_map="jet")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> GaitDataset:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("gaitbench.prepare"), "SEQUENCES_PER_SHARD", 5)
        return prepare_tiny(tmp_path_factory.mktemp("clips") / "d", ALL_MODALITIES, lidar_rate_hz=10.0)


def labels_of(dataset: GaitDataset) -> Tensor:
    return torch.from_numpy(np.unique(dataset.table.subject_id, return_inverse=True)[1])


def sampler(dataset: GaitDataset, *inputs: InputSpec, seed: int = 0, **clips: object) -> ClipSampler:
    options: dict[str, object] = {"subjects_per_batch": 3, "sequences_per_subject": 2, "num_frames": 6}
    config = ClipConfig.model_validate({**options, **clips})
    return ClipSampler(dataset, labels_of(dataset), config, inputs or (WHOLE,), seed=seed)


def assert_equal(a: GaitBatch, b: GaitBatch) -> None:
    assert a.inputs.keys() == b.inputs.keys()
    for name, x in a.inputs.items():
        torch.testing.assert_close(x, b.inputs[name], rtol=0, atol=0)
    assert a.labels is not None
    assert b.labels is not None
    assert a.labels.tolist() == b.labels.tolist()


def test_shapes_and_labels(dataset: GaitDataset) -> None:
    batch = sampler(dataset, SILHOUETTE, LIDAR, SKELETON, DEPTH, JET).batch(7)
    assert {name: list(x.shape) for name, x in batch.inputs.items()} == {
        "silhouette": [6, 1, 6, 64, 44],
        "lidar": [6, 6, 32, 3],
        "skeleton3d": [6, 3, 6, 17],
        "depth": [6, 1, 6, 64, 64],
        "lidar-depth": [6, 3, 6, 64, 64],
    }
    assert all(x.dtype == torch.float32 for x in batch.inputs.values())
    assert all(n.tolist() == [6] * 6 for n in batch.num_frames.values())
    assert batch.step == 7
    assert batch.labels is not None
    assert batch.attributes is not None
    assert batch.attributes.dtype == torch.int64
    assert batch.attributes[:, 0].tolist() == (batch.labels % 2).tolist()


@pytest.mark.parametrize("cache", ["none", "ram", "device"])
@pytest.mark.parametrize("order", ["unordered", "ordered"])
def test_batch_depends_on_seed_and_step_alone(dataset: GaitDataset, order: str, cache: str) -> None:
    specs = (SILHOUETTE, LIDAR)
    augment = AugmentConfig(perspective=0.5, flip=0.5, rotate=0.5, erase=0.5)
    config = ClipConfig.model_validate(
        {"subjects_per_batch": 4, "sequences_per_subject": 3, "num_frames": 5, "order": order, "skip": 2}
    )

    def make(seed: int) -> ClipSampler:
        return ClipSampler(dataset, labels_of(dataset), config, specs, augment, seed, "cpu", cache)  # type: ignore[arg-type]

    there, back = make(3), make(3)
    forwards = [there.batch(step) for step in range(6)]
    backwards = [back.batch(step) for step in reversed(range(6))][::-1]
    for a, b in zip(forwards, backwards, strict=True):
        assert_equal(a, b)
    plain = ClipSampler(dataset, labels_of(dataset), config, specs, augment, 3)
    assert_equal(plain.batch(2), forwards[2])
    sums = {float(batch.inputs["silhouette"].sum()) for batch in [*forwards, make(4).batch(0)]}
    assert len(sums) == 7


def test_global_random_state_is_neither_used_nor_changed(dataset: GaitDataset) -> None:
    source = sampler(dataset, WHOLE, LIDAR)
    torch.manual_seed(0)
    first, number = source.batch(0), torch.rand(())
    torch.manual_seed(0)
    assert torch.rand(()) == number
    assert_equal(source.batch(0), first)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=9),
    p=st.integers(1, 12),
    k=st.integers(1, 12),
    seed=st.integers(0, 2**31),
)
def test_p_x_k_without_replacement_where_possible(sizes: list[int], p: int, k: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    drawn = module._Groups.of(labels).draw(p, k, generator).reshape(p, k)
    subjects = labels[drawn]
    assert (subjects == subjects[:, :1]).all()
    if len(sizes) >= p:
        assert len(set(subjects[:, 0].tolist())) == p
    for row, subject in zip(drawn.tolist(), subjects[:, 0].tolist(), strict=True):
        assert len(set(row)) == k or sizes[subject] < k


def test_every_sequence_and_subject_is_drawn_equally_often(dataset: GaitDataset) -> None:
    generator = torch.Generator().manual_seed(0)
    groups = module._Groups.of(torch.repeat_interleave(torch.arange(6), 4))
    counts = torch.stack([groups.draw(3, 2, generator) for _ in range(4000)]).flatten().bincount(minlength=24)
    assert counts.sum() == 24000
    # 1000 expected with a standard deviation of about 27.
    assert (counts - 1000).abs().max() < 140


@settings(max_examples=60, deadline=None)
@given(
    num_frames=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    length=st.integers(1, 30),
    seed=st.integers(0, 2**31),
)
def test_unordered(num_frames: list[int], length: int, seed: int) -> None:
    lengths = torch.full((len(num_frames),), length)
    frames = module._unordered(torch.tensor(num_frames), lengths, torch.Generator().manual_seed(seed))
    assert frames.shape == (len(num_frames), length)
    for row, available in zip(frames.tolist(), num_frames, strict=True):
        assert min(row) >= 0
        assert max(row) < available
        assert len(set(row)) == length or available < length


@settings(max_examples=100, deadline=None)
@given(
    num_frames=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    length=st.integers(1, 30),
    skip=st.integers(0, 10),
    seed=st.integers(0, 2**31),
)
def test_ordered(num_frames: list[int], length: int, skip: int, seed: int) -> None:
    lengths = torch.full((len(num_frames),), length)
    frames = module._ordered(torch.tensor(num_frames), lengths, skip, torch.Generator().manual_seed(seed))
    for row, available in zip(frames.tolist(), num_frames, strict=True):
        step = np.diff(row) % available if available > 1 else np.zeros(length - 1)
        if available >= length + skip:
            assert row == sorted(set(row)), "rising without a repeat"
            assert row[-1] - row[0] < length + skip
        # Steps add up to a path of at most the window, going round where the sequence is short.
        assert step.sum() <= length + skip - 1
        if skip == 0 and available > 1:
            assert (step == 1).all()


def test_short_sequence_is_repeated_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = {tuple(module._ordered(torch.tensor([3]), torch.tensor([5]), 0, generator)[0].tolist()) for _ in range(50)}
    # ceil(5 / 3) = 2 repeats give 0 1 2 0 1 2, in which a window of 5 starts at 0 or 1.
    assert rows == {(0, 1, 2, 0, 1), (1, 2, 0, 1, 2)}


def test_ordered_windows_start_everywhere() -> None:
    frames = module._ordered(torch.full((4000,), 10), torch.full((4000,), 4), 2, torch.Generator().manual_seed(0))
    assert set(frames[:, 0].tolist()) == set(range(7))
    assert set(frames[:, -1].tolist()) == set(range(3, 10))


def test_every_frame_of_a_window_is_dropped_equally_often() -> None:
    """Of n + skip frames, skip are drawn without replacement: each stays in n of n + skip clips."""
    frames = module._ordered(torch.full((6000,), 6), torch.full((6000,), 4), 2, torch.Generator().manual_seed(0))
    counts = frames.flatten().bincount(minlength=6)
    # 4000 expected with a standard deviation of about 37.
    assert (counts - 4000).abs().max() < 190


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 12)), min_size=1, max_size=8),
    skip=st.integers(0, 5),
    is_ordered=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_clips_of_lengths_of_their_own(rows: list[tuple[int, int]], skip: int, is_ordered: bool, seed: int) -> None:
    """Each row is what it would be in a batch of its own length; behind its length lie frames that exist."""
    available, length = (torch.tensor(column) for column in zip(*rows, strict=True))
    generator = torch.Generator().manual_seed(seed)
    if is_ordered:
        frames = module._ordered(available, length, skip, generator)
    else:
        frames = module._unordered(available, length, generator)
    assert frames.shape == (len(rows), int(length.max()))
    for row, (num_frames, own) in zip(frames.tolist(), rows, strict=True):
        assert min(row) >= 0
        assert max(row) < num_frames
        if is_ordered and num_frames >= own + skip:
            assert row[:own] == sorted(set(row[:own]))
            assert row[own - 1] - row[0] < own + skip
        if not is_ordered and num_frames >= own:
            assert len(set(row[:own])) == own


def test_length_of_clips_is_drawn_for_each_by_itself(dataset: GaitDataset) -> None:
    source = sampler(dataset, WHOLE, LIDAR, SKELETON, num_frames=4, max_frames=6)
    seen: list[int] = []
    for step in range(40):
        batch = source.batch(step)
        lengths = batch.num_frames["silhouette"].tolist()
        assert {name: x.tolist() for name, x in batch.num_frames.items()} == dict.fromkeys(batch.inputs, lengths)
        seen += lengths
        for name, axis in (("silhouette", 2), ("skeleton3d", 2), ("lidar", 1)):
            x = batch.inputs[name].movedim(axis, 1)
            assert x.shape[1] == max(lengths)
            for clip, length in zip(x, lengths, strict=True):
                assert not clip[length:].any()
                assert name == "lidar" or clip[:length].flatten(1).any(dim=1).all(), "a cloud may be empty"
    counts = torch.tensor(seen).bincount()
    # 80 of each expected with a standard deviation of about 7.
    assert len(counts) == 7
    assert (counts[4:] - 80).abs().max() < 35
    with pytest.raises(ValueError, match="max_frames 3 must be num_frames 4 or more"):
        ClipConfig(num_frames=4, max_frames=3)


@settings(max_examples=60, deadline=None)
@given(available=st.integers(1, 30), wanted=st.integers(1, 90), seed=st.integers(0, 2**31))
def test_flat_batches_deal_every_sequence_before_one_comes_again(available: int, wanted: int, seed: int) -> None:
    dealt = module._deal(available, wanted, torch.Generator().manual_seed(seed))
    assert dealt.shape == (wanted,)
    counts = dealt.bincount(minlength=available)
    assert len(counts) == available
    assert counts.max() - counts.min() <= 1


def test_flat_batches_ignore_subjects(dataset: GaitDataset) -> None:
    labels = labels_of(dataset)
    source = sampler(dataset, WHOLE, batch_size=5, subjects_per_batch=2, sequences_per_subject=2)
    drawn = [source.batch(step) for step in range(60)]
    assert all(batch.inputs["silhouette"].shape[0] == 5 for batch in drawn)
    there = torch.cat([batch.labels for batch in drawn])  # type: ignore[misc]
    shares = there.bincount(minlength=int(labels.max()) + 1) / len(there)
    expected = labels.bincount() / len(labels)
    assert (shares - expected).abs().max() < 0.09
    again = sampler(dataset, WHOLE, batch_size=5)
    for step in (41, 3):
        assert_equal(again.batch(step), drawn[step])
    whole = sampler(dataset, WHOLE, batch_size=len(dataset)).batch(0)
    assert sorted(whole.labels.tolist()) == sorted(labels.tolist())  # type: ignore[union-attr]


def test_modalities_of_a_clip_show_the_same_moments(dataset: GaitDataset) -> None:
    """Frame t of a 10 Hz stream is frame round(2.5 t) of a 25 Hz stream of the same walk."""
    whole = InputSpec(modality="lidar-depth")
    chosen = sampler(dataset, WHOLE, whole).batch(0)
    for clip, label in enumerate(chosen.labels.tolist()):  # type: ignore[union-attr]
        rows = np.flatnonzero(labels_of(dataset).numpy() == label)
        fast = [dataset[int(i)].frames["silhouette"] for i in rows]
        slow = [dataset[int(i)].frames["lidar-depth"] for i in rows]
        pairs = set()
        for a, b in zip(fast, slow, strict=True):
            assert isinstance(a, np.ndarray)
            assert isinstance(b, np.ndarray)
            pairs |= {(a[int(t * 2.5 + 0.5)].tobytes(), b[t].tobytes()) for t in range(len(b))}
        for t in range(6):
            got_fast = chosen.inputs["silhouette"][clip, :, t].to(torch.uint8).numpy().tobytes()
            got_slow = chosen.inputs["lidar-depth"][clip, :, t].to(torch.uint8).numpy().tobytes()
            assert (got_fast, got_slow) in pairs


def test_modalities_of_a_clip_are_augmented_alike(dataset: GaitDataset) -> None:
    specs = (WHOLE, InputSpec(modality="parsing"), InputSpec(modality="depth", scale=5000))
    augment = AugmentConfig(flip=0.5, shift=1.0, shift_fraction=0.4, erase=0.5)
    config = ClipConfig(subjects_per_batch=3, sequences_per_subject=2, num_frames=4)
    batch = ClipSampler(dataset, labels_of(dataset), config, specs, augment).batch(0)
    mask = batch.inputs["silhouette"] > 0.5
    assert ((batch.inputs["parsing"] > 0) == mask).float().mean() > 0.998
    assert ((batch.inputs["depth"] > 0.5) == mask).float().mean() > 0.998
    plain = ClipSampler(dataset, labels_of(dataset), config, specs).batch(0)
    assert ((plain.inputs["silhouette"] > 0.5) != mask).any()


@pytest.mark.parametrize("padding", ["refused", "masked"])
@pytest.mark.parametrize("frames_per_batch", [1, 30, 100, 10_000])
@pytest.mark.parametrize("max_frames", [None, 9])
def test_every_sequence_comes_once_and_whole(
    dataset: GaitDataset, padding: str, frames_per_batch: int, max_frames: int | None
) -> None:
    seen: list[int] = []
    arguments = {"max_frames": max_frames, "frames_per_batch": frames_per_batch, "padding": padding}
    for rows, batch in module.test_batches(dataset, (WHOLE, SKELETON), **arguments):  # type: ignore[arg-type]
        x, num_frames = batch.inputs["silhouette"], batch.num_frames["silhouette"]
        assert x.shape[0] == len(rows)
        assert len(rows) == 1 or x.shape[0] * x.shape[2] <= frames_per_batch
        assert padding == "masked" or (num_frames == x.shape[2]).all()
        assert batch.labels is None
        for k, i in enumerate(rows.tolist()):
            frames = dataset[i].frames["silhouette"]
            joints = dataset[i].frames["skeleton3d"]
            assert isinstance(frames, np.ndarray)
            assert isinstance(joints, np.ndarray)
            n = int(num_frames[k])
            assert n == min(len(frames), max_frames or len(frames))
            np.testing.assert_array_equal(x[k, 0, :n].numpy(), frames[:n, 0])
            np.testing.assert_array_equal(batch.inputs["skeleton3d"][k, :, :n].numpy(), joints[:n].transpose(2, 0, 1))
            assert not x[k, :, n:].any()
            assert not batch.inputs["skeleton3d"][k, :, n:].any()
        seen += rows.tolist()
    assert sorted(seen) == list(range(len(dataset)))


def test_drawn_points_of_a_test_sequence_do_not_depend_on_its_company(dataset: GaitDataset) -> None:
    def points(part: GaitDataset, frames_per_batch: int) -> dict[str, Tensor]:
        found = {}
        batches = module.test_batches(
            part, (LIDAR,), max_frames=None, frames_per_batch=frames_per_batch, padding="masked"
        )
        for rows, batch in batches:
            for k, i in enumerate(rows.tolist()):
                n = int(batch.num_frames["lidar"][k])
                found[str(part.table.sequence_id[i])] = batch.inputs["lidar"][k, :n]
        return found

    alone, together = points(dataset, 1), points(dataset.take(np.arange(24)[::-1]), 10_000)
    assert alone.keys() == together.keys()
    for name, x in alone.items():
        torch.testing.assert_close(x, together[name], rtol=0, atol=0)
    cloud = dataset[0].frames["lidar"]
    assert isinstance(cloud, PointFrames)
    real = {tuple(point) for point in cloud.points.tolist()} | {(0.0, 0.0, 0.0)}
    assert {tuple(point) for point in alone[str(dataset.table.sequence_id[0])].flatten(0, 1).tolist()} <= real


def test_points_of_training_differ_from_step_to_step(dataset: GaitDataset) -> None:
    one = dataset.take([0])
    source = sampler(one, LIDAR, subjects_per_batch=1, sequences_per_subject=1, num_frames=2, order="ordered")
    assert len({float(source.batch(step).inputs["lidar"].sum()) for step in range(10)}) > 5


def test_to_input_cuts_and_scales() -> None:
    frames = torch.arange(2 * 3 * 4 * 10, dtype=torch.uint8).reshape(2, 3, 1, 4, 10)
    x = to_input(frames, InputSpec(modality="m", height_px=4, width_px=6, scale=255))
    torch.testing.assert_close(x, frames[..., 2:8].transpose(1, 2).float() / 255)
    depth = torch.full((1, 2, 1, 4, 4), 40_000, dtype=torch.int32).to(torch.uint16)
    torch.testing.assert_close(to_input(depth, InputSpec(modality="m", scale=1000)), torch.full((1, 1, 2, 4, 4), 40.0))


def test_to_input_repeats_pixels_of_masks_before_the_cut() -> None:
    frames = torch.rand(1, 2, 1, 32, 24).gt(0.5).to(torch.uint8)
    x = to_input(frames, InputSpec(modality="m", height_px=64, width_px=44))
    torch.testing.assert_close(
        x[0, 0], frames[0, :, 0].float().repeat_interleave(2, 1).repeat_interleave(2, 2)[..., 2:46]
    )


def test_to_input_jet_keeps_no_return_black() -> None:
    frames = torch.tensor([0, 1, 128, 255], dtype=torch.uint8).reshape(1, 1, 1, 1, 4)
    colours = to_input(frames, InputSpec(modality="m", channels=3, colour_map="jet"))[0, :, 0, 0].T
    assert colours[0].tolist() == [0, 0, 0]
    assert colours[1].argmax() == 2, "far is blue"
    assert colours[2].argmax() == 1, "the middle is green"
    assert colours[3].argmax() == 0, "near is red"
    assert colours.min() >= 0
    assert colours.max() <= 1


def test_to_input_of_joints_and_points() -> None:
    joints = torch.rand(2, 5, 17, 3)
    torch.testing.assert_close(to_input(joints, SKELETON), joints.permute(0, 3, 1, 2))
    points = torch.rand(2, 5, 32, 3)
    torch.testing.assert_close(to_input(points, LIDAR), points)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (InputSpec(modality="thermal"), "no stream thermal"),
        (InputSpec(modality="silhouette", channels=3), "silhouette has 1 channels, the model reads 3"),
        (InputSpec(modality="rgb"), "rgb has 3 channels, the model reads 1"),
        (InputSpec(modality="silhouette", height_px=96), "64x64 pixels, the model reads 96x64: rows can only be"),
        (InputSpec(modality="silhouette", height_px=32), "64x64 pixels, the model reads 32x"),
        (InputSpec(modality="silhouette", width_px=66), "64x66: columns are missing"),
        (InputSpec(modality="silhouette", width_px=43), "odd in number"),
        (InputSpec(modality="depth", height_px=128), "only masks and class maps are enlarged"),
        (InputSpec(modality="depth", channels=3, colour_map="jet"), "1 channels of uint16.*false colours"),
        (InputSpec(modality="rgb", channels=3, colour_map="jet"), "3 channels of uint8.*false colours"),
        (InputSpec(modality="lidar", channels=3), "does not say how many points"),
        (InputSpec(modality="skeleton3d", channels=2), "skeleton3d has 3 channels, the model reads 2"),
    ],
)
def test_dataset_that_does_not_fit(dataset: GaitDataset, spec: InputSpec, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        check_inputs(dataset, [spec])
    with pytest.raises(DatasetError, match=message):
        sampler(dataset, spec)
    with pytest.raises(DatasetError, match=message):
        next(module.test_batches(dataset, [spec], max_frames=None, frames_per_batch=9, padding="masked"))


def test_specs_that_fit(dataset: GaitDataset) -> None:
    fitting = [
        InputSpec(modality="silhouette", height_px=128, width_px=88),
        InputSpec(modality="parsing", height_px=128),
        SILHOUETTE,
        LIDAR,
        JET,
    ]
    check_inputs(dataset, fitting)
    batch = sampler(dataset, *fitting[:2]).batch(0)
    assert batch.inputs["silhouette"].shape[3:] == (128, 88)
    assert batch.inputs["parsing"].shape[3:] == (128, 128)


def test_nothing_to_sample(dataset: GaitDataset) -> None:
    with pytest.raises(DatasetError, match="no sequence is left"):
        sampler(dataset.take([]), WHOLE)
    with pytest.raises(DatasetError, match="reads no modality"):
        check_inputs(dataset, [])
    with pytest.raises(ShapeError, match=r"24 sequences need labels \[24\], got \[3\]"):
        ClipSampler(dataset, torch.zeros(3, dtype=torch.int64), ClipConfig(), (WHOLE,))
    with pytest.raises(ValueError, match="must be 1 or more"):
        next(module.test_batches(dataset, (WHOLE,), max_frames=None, frames_per_batch=0, padding="masked"))


def test_fewer_subjects_and_sequences_than_asked_for(tmp_path: Path) -> None:
    small = prepare_tiny(tmp_path / "d", num_subjects=2, num_sequences=1, min_frames=1, max_frames=2)
    source = sampler(small, WHOLE, subjects_per_batch=5, sequences_per_subject=3, num_frames=7)
    assert source.batch(0).inputs["silhouette"].shape == (15, 1, 7, 64, 64)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("cache", ["none", "ram", "device"])
def test_same_batch_on_the_gpu(dataset: GaitDataset, cache: str) -> None:
    config = ClipConfig(subjects_per_batch=4, sequences_per_subject=3, num_frames=5)
    augment = AugmentConfig(perspective=0.5, flip=0.5, erase=0.5)
    specs = (SILHOUETTE, LIDAR, SKELETON, DEPTH, JET)
    there = ClipSampler(dataset, labels_of(dataset), config, specs, augment, 0, "cuda", cache).batch(0)  # type: ignore[arg-type]
    here = ClipSampler(dataset, labels_of(dataset), config, specs, augment, 0).batch(0)
    for name, x in there.inputs.items():
        assert x.device.type == "cuda"
        torch.testing.assert_close(x.cpu(), here.inputs[name], atol=2e-3, rtol=0)
