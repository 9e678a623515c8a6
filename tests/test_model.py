import pytest
import torch

from gaitbench.errors import ModelError, ShapeError
from gaitbench.model import GaitBatch, clips_of


def test_clips_of_a_modality() -> None:
    clips, length = torch.zeros(2, 1, 3, 4, 4), torch.tensor([3, 1])
    batch = GaitBatch({"silhouette": clips, "pose": torch.zeros(2, 3, 3, 17)}, {"silhouette": length, "pose": length})
    found, num_frames = clips_of(batch, "silhouette")
    assert found is clips
    assert num_frames is length
    with pytest.raises(ModelError, match="holds silhouette, pose, but the model reads rgb"):
        clips_of(batch, "rgb")
    with pytest.raises(ModelError, match="holds nothing"):
        clips_of(GaitBatch({}, {}), "rgb")
    with pytest.raises(ShapeError, match=r"clips must be \[N, C, T, H, W\], got \[2, 3, 3, 17\]"):
        clips_of(batch, "pose")


@pytest.mark.parametrize(
    ("shape", "num_frames", "match"),
    [
        pytest.param((2, 1, 3, 4, 4), [3], r"one number for each of 2 clips, got \[1\]", id="one-for-two"),
        pytest.param((2, 1, 3, 4, 4), [[3, 3]], r"got \[1, 2\]", id="table"),
        pytest.param((2, 1, 3, 4, 4), [3, 0], "from 1 to T = 3, got .3, 0.", id="none"),
        pytest.param((2, 1, 3, 4, 4), [9, 2], "from 1 to T = 3, got .9, 2.", id="too-many"),
        pytest.param((0, 1, 3, 4, 4), [], r"must be \[N, C, T, H, W\], got \[0, 1, 3, 4, 4\]", id="no-clip"),
    ],
)
def test_clips_whose_frames_cannot_be_counted_are_refused(
    shape: tuple[int, ...], num_frames: list[int], match: str
) -> None:
    batch = GaitBatch({"silhouette": torch.zeros(shape)}, {"silhouette": torch.tensor(num_frames, dtype=torch.int64)})
    with pytest.raises(ShapeError, match=match):
        clips_of(batch, "silhouette")
