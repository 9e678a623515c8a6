"""Range images that were published in colour reach every model, and streams of different clocks reach none together."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from gaitbench.clips import ClipSampler, check_clocks, check_inputs, test_batches, to_input
from gaitbench.dataset import DatasetCard, GaitDataset
from gaitbench.errors import DatasetError
from gaitbench.model import InputSpec
from gaitbench.prepare import prepare
from gaitbench.projection import jet
from gaitbench.recipe import AugmentConfig, ClipConfig
from gaitbench.sequence import Absent, Frames, SequenceInfo
from tests.support.tiny_dataset import TinyBuilder, TinyOptions

JET = InputSpec(modality="lidar-depth", height_px=64, width_px=44, channels=3, colour_map="jet")
GREY = InputSpec(modality="lidar-depth", height_px=64, width_px=44, scale=255)
CLIPS = ClipConfig(subjects_per_batch=2, sequences_per_subject=2, num_frames=3)


class ColouredOptions(TinyOptions):
    is_coloured: bool = False
    clock: str | None = None


class ColouredBuilder(TinyBuilder):
    options: ColouredOptions

    def card(self) -> DatasetCard:
        card = super().card()
        changed: dict[str, object] = {"clock": self.options.clock}
        if self.options.is_coloured:
            changed |= {"frame_shape": (3, 64, 64), "colour_map": "jet"}
        info = card.streams["lidar-depth"].model_copy(update=changed)
        return card.model_copy(update={"streams": {**card.streams, "lidar-depth": info}})

    def frames(self, sequences: Sequence[SequenceInfo], modality: str) -> Iterator[Frames | Absent]:
        for frames in super().frames(sequences, modality):
            if modality == "lidar-depth" and self.options.is_coloured:
                yield jet(torch.from_numpy(np.asarray(frames)[:, 0])).numpy().transpose(0, 3, 1, 2)
            else:
                yield frames


def make(out: Path, **options: object) -> GaitDataset:
    streams = ["silhouette", "lidar-depth"]
    return prepare(ColouredBuilder, ColouredOptions(**options), None, out, streams, workers=1, progress=False)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[GaitDataset, GaitDataset]:
    """The same range images in one channel and in colours."""
    root = tmp_path_factory.mktemp("colours")
    return make(root / "grey"), make(root / "jet", is_coloured=True)


def clips_of(dataset: GaitDataset, spec: InputSpec, augment: AugmentConfig) -> torch.Tensor:
    labels = torch.arange(len(dataset)) // 4
    return ClipSampler(dataset, labels, CLIPS, [spec], augment).batch(0).inputs["lidar-depth"]


@pytest.mark.parametrize("augment", [AugmentConfig(), AugmentConfig(flip=1.0)], ids=["plain", "augmented"])
def test_a_coloured_dataset_gives_models_what_a_grey_one_gives(
    pair: tuple[GaitDataset, GaitDataset], augment: AugmentConfig
) -> None:
    grey, coloured = pair
    torch.testing.assert_close(clips_of(coloured, JET, augment), clips_of(grey, JET, augment))
    distance, expected = (clips_of(dataset, GREY, augment) for dataset in (coloured, grey))
    torch.testing.assert_close(distance, expected, atol=4 / 255, rtol=0)
    assert torch.equal(distance > 0, expected > 0), "only black is no return"


def test_whole_sequences_too(pair: tuple[GaitDataset, GaitDataset]) -> None:
    how = {"max_frames": None, "frames_per_batch": 100, "padding": "masked"}
    for (rows, batch), (others, expected) in zip(
        *(test_batches(dataset, [JET], **how) for dataset in pair), strict=True
    ):
        assert rows.tolist() == others.tolist()
        torch.testing.assert_close(batch.inputs["lidar-depth"], expected.inputs["lidar-depth"])


def test_other_numbers_of_channels_are_refused(pair: tuple[GaitDataset, GaitDataset]) -> None:
    with pytest.raises(DatasetError, match="false colours, the model reads 2 channels"):
        check_inputs(pair[1], [GREY.model_copy(update={"channels": 2})])


def test_to_input_takes_three_channels_as_colours() -> None:
    frames = torch.randint(0, 256, (1, 2, 3, 8, 8), dtype=torch.uint8)
    x = to_input(frames, InputSpec(modality="lidar-depth", channels=3, colour_map="jet"))
    torch.testing.assert_close(x, frames.transpose(1, 2).float() / 255)


def test_the_card_keeps_colours_and_clock(tmp_path: Path) -> None:
    make(tmp_path / "d", is_coloured=True, clock="LiDAR")
    info = GaitDataset.open(tmp_path / "d").card.streams["lidar-depth"]
    assert (info.colour_map, info.clock) == ("jet", "LiDAR")


def test_streams_of_different_clocks_are_read_alone_only(tmp_path: Path) -> None:
    dataset = make(tmp_path / "d", clock="LiDAR")
    both = [InputSpec(modality="silhouette", height_px=64, width_px=44), GREY]
    labels = torch.arange(len(dataset)) // 4
    for spec in both:
        ClipSampler(dataset, labels, CLIPS, [spec]).batch(0)
    message = "silhouette by that of the dataset, lidar-depth by that of LiDAR"
    with pytest.raises(DatasetError, match=message):
        ClipSampler(dataset, labels, CLIPS, both)
    with pytest.raises(DatasetError, match=message):
        next(test_batches(dataset, both, max_frames=None, frames_per_batch=10, padding="masked"))
    with pytest.raises(DatasetError, match=message):
        check_clocks(dataset, ["silhouette", "lidar-depth"])
    check_clocks(dataset, ["lidar-depth"])
