from itertools import combinations

import pytest
import torch
from gaitbench_baselines.two_stream import TwoStream, TwoStreamConfig

from gaitbench.errors import ModelError
from gaitbench.losses import cross_modal_triplet
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage
from gaitbench.testing import synthetic_batch

CONFIG = TwoStreamConfig(height_px=32, width_px=16, channels=(4, 4, 6, 8), embedding_width=8, bins=(8,), num_classes=3)


def batch(config: TwoStreamConfig = CONFIG) -> GaitBatch:
    clips = {s.modality: torch.rand(4, s.channels, 3, s.height_px, s.width_px) for s in TwoStream(config).inputs}
    return GaitBatch(clips, {key: torch.full((4,), 3) for key in clips}, labels=torch.tensor([0, 0, 1, 1]))


def test_batch_norms_are_per_modality_and_the_head_is_shared() -> None:
    model = TwoStream(CONFIG)
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    both = batch()
    silhouettes = GaitBatch({"silhouette": both.inputs["silhouette"]}, {"silhouette": both.num_frames["silhouette"]})
    model(silhouettes)
    moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert any(key.startswith("encoders.silhouette") for key in moved)
    assert not any(key.startswith("encoders.lidar-depth") for key in moved)
    assert any(key.startswith("neck.norm") for key in moved)


def test_losses_add_directions_and_modalities() -> None:
    model, both = TwoStream(CONFIG).eval(), batch()
    losses = model.losses(model(both), both, Stage())
    assert set(losses) == {"cross_triplet", "triplet", "cross_entropy"}
    output = model(both)
    first = output.by_modality["silhouette"]
    output.by_modality["lidar-depth"] = first  # identical embeddings: both directions of the cross term are equal
    same = model.losses(output, both, Stage())
    assert same["triplet"].item() == pytest.approx(2 * model.losses(output, both, Stage())["triplet"].item() / 2)
    assert same["cross_triplet"].isfinite()


def test_training_on_one_modality_is_refused() -> None:
    model, both = TwoStream(CONFIG), batch()
    alone = GaitBatch({"silhouette": both.inputs["silhouette"]}, {"silhouette": both.num_frames["silhouette"]})
    with pytest.raises(ModelError, match="trains on silhouette and lidar-depth together"):
        model.losses(model(alone), both, Stage())


@pytest.mark.parametrize(("encoding", "channels"), [("jet3", 3), ("gray1", 1)])
def test_encoding_of_range_images(encoding: str, channels: int) -> None:
    config = CONFIG.model_copy(update={"encoding": encoding})
    model = TwoStream(config)
    depth = model.inputs[1]
    assert depth.channels == channels
    assert depth.colour_map == ("jet" if channels == 3 else "none")
    assert model.eval()(batch(config)).embedding.shape == (4, 8, 8)


def test_any_streams_are_compared_in_all_pairs() -> None:
    config = CONFIG.model_copy(update={"modalities": ("skeleton2d", "depth", "rgb")})
    model = TwoStream(config).eval()
    several = synthetic_batch(model.inputs, num_frames=3)
    assert several.labels is not None
    output = model(several)
    assert list(output.by_modality) == ["skeleton2d", "depth", "rgb"]
    embeddings = [one.embedding for one in output.by_modality.values()]
    pairs = [cross_modal_triplet(a, b, several.labels) for a, b in combinations(embeddings, 2)]
    expected = sum(pair.a_to_b + pair.b_to_a for pair in pairs) / 3
    torch.testing.assert_close(model.losses(output, several, Stage())["cross_triplet"], expected)
