"""A torch Dataset whose items depend on seed, epoch and row alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from gaitbench.dataset import GaitDataset
from gaitbench.errors import DatasetError, UsageError
from gaitbench.sequence import PointFrames
from tests.support.tiny_dataset import ALL_MODALITIES, prepare_tiny


@pytest.fixture(scope="module", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAITBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> GaitDataset:
    root = tmp_path_factory.mktemp("tiny") / "d"
    return prepare_tiny(root, ALL_MODALITIES, num_subjects=3, lidar_rate_hz=12.5, height_px=16, width_px=12)


def test_whole_sequences_are_those_of_the_dataset(tiny: GaitDataset) -> None:
    view = tiny.take([7, 2])
    items = view.to_torch()
    assert len(items) == 2
    assert items.subjects == ("000", "001")
    for i, walk in enumerate(view):
        item = items[i]
        assert item["sequence_id"] == walk.info.sequence_id
        assert items.subjects[int(item["label"])] == walk.info.subject_id
        assert item["attributes"].tolist() == list(walk.info.attributes)  # type: ignore[union-attr]
        assert float(item["view_deg"]) == walk.info.view_deg
        for name in ALL_MODALITIES:
            frames = walk.frames[name]
            if isinstance(frames, PointFrames):
                np.testing.assert_array_equal(item[name], frames.points)
                np.testing.assert_array_equal(item[f"{name}.offsets"], frames.offsets)
            else:
                np.testing.assert_array_equal(item[name], frames)
    with pytest.raises(IndexError, match="sequence 2 of 2"):
        items[2]
    assert items[-1]["sequence_id"] == items[1]["sequence_id"]


def test_clips_are_consecutive_and_show_the_same_moments(tiny: GaitDataset) -> None:
    clips = tiny.to_torch(["silhouette", "rgb", "lidar-depth"], num_frames=6)
    for i in range(len(tiny)):
        item, walk = clips[i], tiny[i]
        whole = torch.from_numpy(walk.frames["silhouette"])
        starts = [t for t in range(len(whole) - 5) if torch.equal(whole[t : t + 6], item["silhouette"])]
        assert starts
        last = len(walk.frames["lidar-depth"]) - 1
        moments = [np.rint((t + np.arange(6)) / 2).astype(int).clip(max=last) for t in starts]
        assert any(np.array_equal(walk.frames["lidar-depth"][at], item["lidar-depth"]) for at in moments)
        assert any(np.array_equal(walk.frames["rgb"][t : t + 6], item["rgb"]) for t in starts)


def test_short_sequences_go_on_at_their_beginning(tiny: GaitDataset) -> None:
    length = len(tiny[0].frames["silhouette"])
    item = tiny.to_torch(["silhouette"], num_frames=length + 3)[0]
    whole = tiny[0].frames["silhouette"]
    np.testing.assert_array_equal(item["silhouette"], np.concatenate([whole, whole[:3]]))


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_batches_do_not_depend_on_workers(tiny: GaitDataset, context: str) -> None:
    clips = tiny.take(np.arange(6)).to_torch(["silhouette", "lidar"], num_frames=4, num_points=5)
    expected = list(DataLoader(clips, batch_size=3))
    loader = DataLoader(clips, batch_size=3, num_workers=1, multiprocessing_context=context, persistent_workers=True)
    for good, batch in zip(expected, loader, strict=True):
        assert batch["silhouette"].shape == (3, 4, 1, 16, 12)
        assert batch["lidar"].shape == (3, 4, 5, 3)
        assert batch["sequence_id"] == good["sequence_id"]
        for name in ("silhouette", "lidar", "label"):
            torch.testing.assert_close(batch[name], good[name])
    # Workers that live on see the next epoch.
    clips.set_epoch(1)
    later = next(iter(loader))
    torch.testing.assert_close(later["lidar"], next(iter(DataLoader(clips, batch_size=3)))["lidar"])
    assert not torch.equal(later["lidar"], expected[0]["lidar"])


def test_seed_and_epoch_change_clips(tiny: GaitDataset) -> None:
    def draws(seed: int, epoch: int) -> torch.Tensor:
        clips = tiny.to_torch(["lidar"], num_points=4, num_frames=3, seed=seed)
        clips.set_epoch(epoch)
        return torch.stack([clips[i]["lidar"] for i in range(6)])  # type: ignore[misc]

    torch.testing.assert_close(draws(0, 0), draws(0, 0))
    assert not torch.equal(draws(0, 0), draws(1, 0))
    assert not torch.equal(draws(0, 0), draws(0, 1))


def test_what_cannot_be_is_said(tiny: GaitDataset) -> None:
    with pytest.raises(UsageError, match="num_frames must be 1 or more, got 0"):
        tiny.to_torch(num_frames=0)
    with pytest.raises(UsageError, match="give num_points"):
        tiny.to_torch(["lidar"], num_frames=3)
    with pytest.raises(DatasetError, match="no stream radar"):
        tiny.to_torch(["radar"])


def test_sequences_without_frames_are_named(tmp_path: Path) -> None:
    from gaitbench.dataset import BuilderOptions
    from gaitbench.prepare import prepare
    from tests.hub.test_export import GappyBuilder

    data = prepare(GappyBuilder, BuilderOptions(), None, tmp_path / "x", ["silhouette"], workers=1, skip_broken=True)
    with pytest.raises(DatasetError, match=r"2 of 4 sequences have no silhouette \(first: s-1\).*dataset.present"):
        data.to_torch(["silhouette"])
    assert len(data.present(["silhouette"]).to_torch(["silhouette"])) == 2
