"""What GaitBase shows of itself."""

import pytest
import torch
from gaitbench_baselines.gaitbase import GaitBase, GaitBaseConfig, LidarGaitConfig

from gaitbench.explaining import Heatmap
from gaitbench.explaining.asking import explain_batch
from gaitbench.model import GaitBatch


@pytest.mark.parametrize("config", [GaitBaseConfig, LidarGaitConfig])
def test_maps_lie_over_the_frames_that_were_read(config: type[GaitBaseConfig]) -> None:
    model = GaitBase(config(channels=(4, 4, 8, 8), embedding_width=16))
    (spec,) = model.inputs
    clips = torch.rand(2, spec.channels, 5, 64, spec.width_px or 44)
    batch = GaitBatch({spec.modality: clips}, {spec.modality: torch.tensor([5, 3])})
    activation, share = explain_batch(model, batch)
    assert isinstance(activation, Heatmap)
    assert isinstance(share, Heatmap)
    assert activation.modality == share.modality == spec.modality
    assert activation.values.shape == share.values.shape == (2, 5, 16, (spec.width_px or 44) // 4)
    assert float(activation.values.min()) >= 0
    torch.testing.assert_close(share.values.sum(dim=1), torch.ones(2, 16, (spec.width_px or 44) // 4))
    assert float(share.values[1, 3:].max()) == 0


def test_one_frame_has_every_maximum() -> None:
    model = GaitBase(GaitBaseConfig(channels=(4, 4, 8, 8), embedding_width=16))
    batch = GaitBatch({"silhouette": torch.rand(1, 1, 1, 64, 44)}, {"silhouette": torch.tensor([1])})
    _, share = explain_batch(model, batch)
    assert isinstance(share, Heatmap)
    assert bool((share.values == 1).all())
