import pytest
import torch

from gaitbench.errors import UnknownNameError
from gaitbench.model import InputSpec
from gaitbench.testing import synthetic_batch
from gaitbench.testing.synthetic import kind_of

FRAMES = 3  # as many as channels, so that axes cannot be told by their sizes


@pytest.mark.parametrize(
    ("spec", "kind", "shape"),
    [
        (InputSpec(modality="silhouette", height_px=16, width_px=12), "raster", (4, 1, 3, 16, 12)),
        (InputSpec(modality="parsing"), "raster", (4, 1, 3, 64, 44)),
        (InputSpec(modality="lidar-depth", colour_map="jet", channels=3), "raster", (4, 3, 3, 64, 44)),
        (InputSpec(modality="skeleton2d", channels=3), "joints", (4, 3, 3, 17)),
        (InputSpec(modality="skeleton3d", channels=3, num_joints=25), "joints", (4, 3, 3, 25)),
        (InputSpec(modality="body-model", channels=85, num_joints=1), "joints", (4, 85, 3, 1)),
        (InputSpec(modality="lidar", channels=3), "points", (4, 3, 64, 3)),
        (InputSpec(modality="radar", channels=4, num_points=9), "points", (4, 3, 9, 4)),
    ],
)
def test_clips_of_every_kind(spec: InputSpec, kind: str, shape: tuple[int, ...]) -> None:
    made = synthetic_batch([spec], num_frames=FRAMES)
    assert kind_of(spec) == kind
    assert made.inputs[spec.modality].shape == shape
    assert made.inputs[spec.modality].isfinite().all()
    assert (made.inputs[spec.modality][0] - made.inputs[spec.modality][1]).abs().max() > 0
    again = synthetic_batch([spec], num_frames=FRAMES)
    assert torch.equal(again.inputs[spec.modality], made.inputs[spec.modality])


def test_joints_in_pixels_look_like_people() -> None:
    joints = synthetic_batch([InputSpec(modality="skeleton2d", channels=3)]).inputs["skeleton2d"]
    assert 0 <= joints[:, 2].min() <= joints[:, 2].max() <= 1
    assert 300 < joints[:, :2].mean() < 700
    assert joints[:, :2].std(dim=2).mean() < 20


def test_an_unknown_modality_without_a_kind() -> None:
    with pytest.raises(UnknownNameError, match="no-such-stream"):
        synthetic_batch([InputSpec(modality="no-such-stream")])
