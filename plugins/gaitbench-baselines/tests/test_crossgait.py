import pytest
import torch
from gaitbench_baselines.crossgait import CrossGait, CrossGaitConfig, PrototypeAttention
from torch.nn import functional

from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage
from gaitbench.testing import check_learning, synthetic_batch

CONFIG = CrossGaitConfig(
    height_px=32,
    width_px=16,
    channels=(4, 4, 6, 8),
    embedding_width=8,
    bins=(8,),
    num_classes=3,
    num_prototypes=5,
    adapter_width=6,
)


def batch() -> GaitBatch:
    return synthetic_batch(CrossGait(CONFIG).inputs, num_frames=3)


def test_attention_agrees_with_the_definition() -> None:
    torch.manual_seed(0)
    module, x = PrototypeAttention(8, 5, temperature=0.5), torch.randn(2, 8, 3)
    weights = module.weights(x)
    assert weights.shape == (2, 3, 5)
    cosine = [functional.cosine_similarity(x[1, :, 2], prototype, dim=0) for prototype in module.prototypes]
    expected = (torch.stack(cosine) / 0.5).softmax(dim=0)
    torch.testing.assert_close(weights[1, 2], expected)
    mixed = sum(weight * prototype for weight, prototype in zip(expected, module.prototypes, strict=True))
    torch.testing.assert_close(module(x)[1, :, 2], module.out(mixed))


def test_a_part_that_is_a_prototype_gets_that_one() -> None:
    torch.manual_seed(0)
    module = PrototypeAttention(8, 5, temperature=1e-3)
    weights = module.weights(7 * module.prototypes.detach().T[None])
    torch.testing.assert_close(weights[0], torch.eye(5), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("retrieves", "width"), [("both", 16), ("shared", 8), ("adapted", 8), ("specific", 8)])
def test_what_is_compared(retrieves: str, width: int) -> None:
    model = CrossGait(CONFIG.model_copy(update={"retrieves": retrieves})).eval()
    one = model(batch()).by_modality["lidar-depth"]
    assert one.embedding.shape == (4, width, 8)
    kinds = [one.extras[name] for name in (("shared", "adapted") if retrieves == "both" else (retrieves,))]
    assert torch.equal(one.embedding, torch.cat(kinds, dim=1))


def test_prototypes_are_common_and_adapters_are_not() -> None:
    model = CrossGait(CONFIG).train()
    model(batch()).by_modality["silhouette"].embedding.square().sum().backward()
    grown = {key for key, value in model.named_parameters() if value.grad is not None and value.grad.any()}
    assert "prototypes.prototypes" in grown
    assert any(key.startswith("adapters.silhouette") for key in grown)
    assert not any("lidar-depth" in key for key in grown)


def test_every_loss_learns() -> None:
    both, model = batch(), CrossGait(CONFIG)
    names = {"triplet", "cross_entropy", "cross_triplet", "contrast"}
    assert set(model.losses(model(both), both, Stage())) == names
    check_learning(model, batch=both, num_steps=20, share=0.8)
