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
