import torch
from gaitbench_baselines.nearest_raw import NearestRaw, NearestRawConfig

from gaitbench.model import GaitBatch


def test_silhouette_and_range_image_of_one_outline_are_the_same_point() -> None:
    model = NearestRaw(NearestRawConfig(modalities=("silhouette", "lidar-depth"), height_px=4, width_px=3))
    mask = (torch.rand(2, 1, 5, 4, 3) > 0.5).float()
    depth = mask * torch.rand(2, 1, 5, 4, 3).clamp_min(0.1)
    lengths = torch.tensor([5, 3])
    seen = model(GaitBatch({"silhouette": mask}, {"silhouette": lengths})).embedding
    sensed = model(GaitBatch({"lidar-depth": depth}, {"lidar-depth": lengths})).embedding
    assert seen.shape == (2, 12, 1)
    assert torch.equal(seen, sensed)
    torch.testing.assert_close(seen[1, :, 0], mask[1, 0, :3].mean(dim=0).flatten())


def test_there_is_nothing_to_train() -> None:
    assert list(NearestRaw(NearestRawConfig()).parameters()) == []
