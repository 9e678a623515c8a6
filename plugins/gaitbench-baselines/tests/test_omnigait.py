import pytest
import torch
from gaitbench_baselines.omnigait import GatedFusion, OmniGait, OmniGaitConfig

from gaitbench.losses import batch_all_triplet, part_cross_entropy
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage
from gaitbench.testing import check_learning, check_model, synthetic_batch

CONFIG = OmniGaitConfig(
    height_px=32,
    width_px=16,
    token_widths=(4, 4),
    channels=(4, 6, 8),
    gate_width=3,
    embedding_width=8,
    bins=(8,),
    num_classes=3,
)
FOUR = CONFIG.model_copy(update={"modalities": ("silhouette", "lidar-depth", "rgb", "skeleton2d")})


def batch(config: OmniGaitConfig = CONFIG) -> GaitBatch:
    return synthetic_batch(OmniGait(config).inputs, num_frames=3)


def test_published_number_of_parameters() -> None:
    nine = ("silhouette", "infrared-silhouette", "lidar-depth", "radar-depth", "rgb", "infrared", "depth-colour")
    config = OmniGaitConfig(modalities=(*nine, "event", "skeleton-map"), num_classes=200)
    with torch.device("meta"):
        model = OmniGait(config)
    assert round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 2) == 9.96


@pytest.mark.parametrize(("config", "num_fused"), [(CONFIG, 1), (FOUR, 3)])
def test_losses_are_over_all_streams_and_fusions(config: OmniGaitConfig, num_fused: int) -> None:
    model, several = OmniGait(config).train(), batch(config)
    output = model(several)
    fused = output.extras["fused"]
    assert fused.shape == (4, num_fused, 8, 8)
    torch.testing.assert_close(output.embedding, fused.mean(dim=1))
    embeddings = [*(one.embedding for one in output.by_modality.values()), *fused.unbind(1)]
    logits = [*(one.logits for one in output.by_modality.values()), *output.extras["fused_logits"].unbind(1)]
    assert several.labels is not None
    labels = several.labels.repeat(len(config.modalities) + num_fused)
    losses = model.losses(output, several, Stage())
    torch.testing.assert_close(losses["triplet"], batch_all_triplet(torch.cat(embeddings), labels))
    torch.testing.assert_close(losses["cross_entropy"], part_cross_entropy(torch.cat(logits), labels))


def test_four_streams_keep_the_contract() -> None:
    check_model(OmniGait(FOUR), num_frames=3)


def test_streams_have_entrances_of_their_own_and_share_the_rest() -> None:
    model = OmniGait(CONFIG).eval()
    model(batch()).by_modality["lidar-depth"].logits.sum().backward()  # type: ignore[union-attr]
    grown = {key for key, value in model.named_parameters() if value.grad is not None and value.grad.any()}
    assert {key.split(".")[0] for key in grown} == {"entrances", "shared", "head", "neck"}
    assert not any(key.startswith("entrances.silhouette") for key in grown)


def test_fusion_is_the_merged_map_plus_a_weighed_sum() -> None:
    torch.manual_seed(0)
    fusion = GatedFusion(4, 3)
    a, b = torch.rand(2, 2, 4, 6, 5)
    merged = fusion.merge(torch.cat([a, b], dim=1))
    scores = torch.sigmoid(fusion.gate(merged.mean(dim=(2, 3))))
    first = scores[:, 0].exp() / scores.exp().sum(dim=1)
    expected = merged + first[:, None, None, None] * a + (1 - first)[:, None, None, None] * b
    torch.testing.assert_close(fusion(a, b), expected)


def test_the_shorter_of_two_clips_is_repeated_before_fusion() -> None:
    model, both = OmniGait(CONFIG).eval(), batch()
    clips, depth = both.inputs["silhouette"], both.inputs["lidar-depth"]
    short = GaitBatch(
        {"silhouette": clips, "lidar-depth": depth[:, :, :2]},
        {"silhouette": torch.full((4,), 3), "lidar-depth": torch.full((4,), 2)},
    )
    by_hand = GaitBatch(
        {"silhouette": clips, "lidar-depth": depth[:, :, [0, 1, 0]]}, dict.fromkeys(both.inputs, torch.full((4,), 3))
    )
    with torch.no_grad():
        torch.testing.assert_close(model(short).embedding, model(by_hand).embedding)


def test_padding_changes_no_fusion() -> None:
    model, both = OmniGait(CONFIG).eval(), batch()
    padded = GaitBatch(
        {name: torch.cat([clip, torch.full_like(clip, 7.0)], dim=2) for name, clip in both.inputs.items()},
        both.num_frames,
    )
    with torch.no_grad():
        torch.testing.assert_close(model(padded).embedding, model(both).embedding, rtol=1e-4, atol=1e-5)


def test_it_learns() -> None:
    check_learning(OmniGait(CONFIG), batch=batch(), num_steps=20, share=0.8)
