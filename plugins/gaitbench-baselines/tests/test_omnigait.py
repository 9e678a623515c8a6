import pytest
import torch
from gaitbench_baselines.mean_direction import mean_direction
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


@pytest.mark.parametrize("stream", CONFIG.modalities)
def test_no_other_stream_has_a_part_in_the_embedding_of_one(stream: str) -> None:
    """What a cross-modal gallery holds of a walk knows nothing of what the probe's sensor saw of it."""
    model, several = OmniGait(CONFIG).eval(), batch()
    alone = GaitBatch({stream: several.inputs[stream]}, {stream: several.num_frames[stream]})
    spoilt = {name: clip if name == stream else torch.rand_like(clip) for name, clip in several.inputs.items()}
    with torch.no_grad():
        found = model(alone).embedding
        torch.testing.assert_close(model(several).by_modality[stream].embedding, found, rtol=1e-4, atol=1e-5)
        beside = model(GaitBatch(spoilt, several.num_frames))
    torch.testing.assert_close(beside.by_modality[stream].embedding, found, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(beside.embedding, model(several).embedding, rtol=1e-3)


def test_the_published_pairs_are_asked_unless_others_are_named() -> None:
    assert OmniGait(CONFIG).fusions == (("silhouette", "lidar-depth"),)
    assert OmniGait(FOUR).fusions == tuple(("silhouette", other) for other in FOUR.modalities[1:])
    named = (("rgb", "lidar-depth"), FOUR.modalities)
    assert OmniGait(FOUR.model_copy(update={"fused_sets": named})).fusions == named
    assert OmniGait(FOUR.model_copy(update={"fused_sets": ()})).fusions == ()


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([["silhouette"]], "two or more different ones of silhouette, lidar-depth, got silhouette"),
        ([["rgb", "silhouette"]], "of silhouette, lidar-depth, got rgb, silhouette"),
        ([["silhouette", "silhouette"]], "two or more different ones"),
        ([[]], "got none"),
        ([["silhouette", "lidar-depth"], ["lidar-depth", "silhouette"]], "names a set twice"),
    ],
)
def test_sets_that_are_none_are_refused(sets: list[list[str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OmniGaitConfig.model_validate({"fused_sets": sets})


def test_the_mean_direction_takes_the_place_of_the_gate_in_tests_only() -> None:
    gated, several = OmniGait(CONFIG), batch()
    averaging = OmniGait(CONFIG.model_copy(update={"fusion": "mean"}))
    averaging.load_state_dict(gated.state_dict())
    for model in (gated, averaging):
        model.train()
    losses, others = (model.losses(model(several), several, Stage()) for model in (gated, averaging))
    torch.testing.assert_close(dict(others), dict(losses))
    with torch.no_grad():
        found, gate = averaging.eval()(several), gated.eval()(several)
        expected = mean_direction([one.embedding for one in found.by_modality.values()])
    torch.testing.assert_close(found.embedding, expected)
    assert not torch.allclose(found.embedding, gate.embedding, rtol=1e-3)
    check_model(averaging, num_frames=3)


def test_streams_without_the_first_one_take_the_mean_direction() -> None:
    model = OmniGait(FOUR).eval()
    whole = batch(FOUR)
    two = GaitBatch({name: whole.inputs[name] for name in ("rgb", "lidar-depth")}, whole.num_frames)
    with torch.no_grad():
        output = model(two)
    assert list(output.by_modality) == ["lidar-depth", "rgb"]
    expected = mean_direction([one.embedding for one in output.by_modality.values()])
    torch.testing.assert_close(output.embedding, expected)


def test_records_of_before_keep_their_configuration() -> None:
    """What came later is left out while nobody set it, so that old and new runs of one configuration share a row."""
    assert not {"fusion", "fused_sets"} & set(OmniGaitConfig().model_dump())
    assert OmniGaitConfig.model_validate(OmniGaitConfig().model_dump(mode="json")) == OmniGaitConfig()
    assert OmniGaitConfig(fusion="mean").model_dump()["fusion"] == "mean"


def test_it_learns() -> None:
    check_learning(OmniGait(CONFIG), batch=batch(), num_steps=20, share=0.8)
