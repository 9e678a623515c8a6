import pytest
import torch
from gaitbench_baselines.shared_encoder import SharedEncoder, SharedEncoderConfig

from gaitbench.errors import ModelError
from gaitbench.losses import batch_all_triplet
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage
from gaitbench.testing import synthetic_batch

CONFIG = SharedEncoderConfig(
    height_px=32, width_px=16, channels=(4, 4, 6, 8), embedding_width=8, bins=(8,), num_classes=3
)


def batch(config: SharedEncoderConfig = CONFIG) -> GaitBatch:
    return synthetic_batch(SharedEncoder(config).inputs, num_frames=3)


def test_the_same_picture_embeds_the_same_from_whichever_sensor() -> None:
    model = SharedEncoder(CONFIG).eval()
    clips, length = torch.rand(2, 1, 3, 32, 16), torch.tensor([3, 3])
    one, other = (model(GaitBatch({name: clips}, {name: length})).embedding for name in CONFIG.modalities)
    assert torch.equal(one, other)


def test_all_sensors_are_one_batch_to_the_triplets() -> None:
    model, both = SharedEncoder(CONFIG).eval(), batch()
    assert both.labels is not None
    output = model(both)
    embeddings = torch.cat([output.by_modality[name].embedding for name in CONFIG.modalities])
    expected = batch_all_triplet(embeddings, both.labels.repeat(2))
    torch.testing.assert_close(model.losses(output, both, Stage())["triplet"], expected)


def test_all_sensors_are_one_batch_to_the_batch_norms() -> None:
    model, both = SharedEncoder(CONFIG).train(), batch()
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d)]
    seen: list[int] = []
    for norm in norms:
        norm.register_forward_hook(lambda _module, args, _output: seen.append(len(args[0])))
    model(both)
    assert seen == [2 * 4 * 3] * (len(norms) - 1) + [2 * 4]  # frames in the trunk, sequences in the neck


def test_a_network_of_one_sensor_never_looks_at_the_other_in_training() -> None:
    config = CONFIG.model_copy(update={"learns_from": "first"})
    model, both = SharedEncoder(config).train(), batch(config)
    output = model(both)
    assert list(output.by_modality) == ["silhouette"]
    before = model.losses(output, both, Stage())
    both.inputs["lidar-depth"].zero_()
    after = model.losses(model(both), both, Stage())
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert set(model.eval()(both).by_modality) == set(config.modalities)


def test_colours_and_maps_enter_as_their_mean() -> None:
    config = CONFIG.model_copy(update={"modalities": ("rgb", "skeleton2d", "depth")})
    assert SharedEncoder(config).eval()(batch(config)).embedding.shape == (4, 8, 8)


def test_training_without_a_modality_is_refused() -> None:
    model, both = SharedEncoder(CONFIG).eval(), batch()
    alone = GaitBatch({"lidar-depth": both.inputs["lidar-depth"]}, both.num_frames, labels=both.labels)
    with pytest.raises(ModelError, match="together; the batch had one of them"):
        model.losses(model(alone), both, Stage())
