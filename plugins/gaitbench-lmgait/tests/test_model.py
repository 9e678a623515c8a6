import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gaitbench_lmgait.config import LMGaitConfig
from gaitbench_lmgait.model import SILHOUETTE, LMGait
from gaitbench_lmgait.plugin import LMGAIT
from gaitbench_lmgait.presets import CLIP_TEXT, LOSS_WEIGHTS, PRESETS
from gaitbench_lmgait.text_side import StoredText, TextSide
from torch import Tensor

from gaitbench.cells.cell import override
from gaitbench.checkpoint import apply_weights, weights_of
from gaitbench.errors import ModelError, UsageError
from gaitbench.explaining.asking import explain_batch
from gaitbench.flops import count_flops
from gaitbench.info import FLOPS_FRAMES, num_flops
from gaitbench.model import GaitBatch
from gaitbench.optim import freeze
from gaitbench.recipe import Stage
from gaitbench.registry import load_registry
from gaitbench.testing import synthetic_batch
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.frame_encoder import DINOV2_SMALL
from gaitbench.towers.text import ClipTextTower
from gaitbench.weights import save_weights

Make = Callable[..., LMGait]
Clips = Callable[..., GaitBatch]


def count(module: torch.nn.Module | None) -> int:
    assert module is not None
    return sum(weight.numel() for weight in module.parameters())


def embed(model: LMGait, batch: GaitBatch) -> Tensor:
    with torch.no_grad():
        return model.eval()(batch).embedding


def test_sizes_are_those_of_the_sheet() -> None:
    with torch.device("meta"):
        model = LMGait(LMGaitConfig(**PRESETS["paper"].config))
        two = LMGait(LMGaitConfig(**PRESETS["paper"].config, two_stream=True))
    assert count(model.decoder) == 770
    assert count(model.trunk) + count(model.head) == 7_002_752
    assert count(model.neck) == 417_792
    assert count(two.trunk) + count(two.head) + count(two.neck) == 7_505_056
    assert count(two.appearance) == 24_592
    assert count(model.text) == 786_432 + 196_608
    # 1536 to 64, its norm, a residual block of 64, and 64 to 16.
    assert count(model.branch) == 98_304 + 128 + 73_984 + 1_024
    assert not count(model.encoder)


def test_embeddings_have_the_published_shape(small: Make, clips: Clips) -> None:
    model = small(embedding_width=256, map_px=(64, 32), strides=(1, 2, 2, 1))
    assert embed(model, clips(model)).shape == (4, 256, 16)


def test_without_the_text_tower_embeddings_are_the_same_to_the_bit(small: Make, clips: Clips) -> None:
    for fields in ({}, {"text_form": "tokens"}, {"attention": "channel-gate"}):
        model = small(mam_start="xavier", **fields)
        batch = clips(model)
        attached = embed(model, batch)
        with torch.autocast("cpu", torch.bfloat16):
            attached_mixed = embed(model, batch)
        model.seal()
        assert torch.equal(embed(model, batch), attached)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(embed(model, batch), attached_mixed)


def test_a_sealed_file_builds_the_model_without_the_tower(small: Make, clips: Clips) -> None:
    model = small(mam_start="xavier")
    batch, whole = clips(model), weights_of(model)
    model.seal()
    sealed = weights_of(model)
    assert not [name for name in sealed if name.startswith("text.") and name != "text.vector"]
    loaded = small()
    apply_weights(loaded, sealed, "here")
    assert [tower.role for tower in loaded.towers] == ["image"]
    assert torch.equal(embed(loaded, batch), embed(model, batch))
    # And back, for a training that goes on from a checkpoint.
    apply_weights(loaded, whole, "here")
    assert [tower.role for tower in loaded.towers] == ["image", "text"]
    assert torch.equal(embed(loaded, batch), embed(model, batch))


def test_a_sealed_file_is_used_without_ever_building_the_tower(small: Make, clips: Clips) -> None:
    trained = small(mam_start="xavier", text_form="tokens")
    trained.seal()
    loaded = small(text_form="tokens")
    assert isinstance(loaded.text, TextSide)
    borrowed = loaded.text.tower
    apply_weights(loaded, weights_of(trained), "here")
    batch = clips(loaded)
    embed(loaded, batch)
    assert "semantic attention" in {item.title for item in explain_batch(loaded, batch)}
    assert not borrowed.is_built
    assert isinstance(loaded.text, StoredText)
    # The file holds the image tower's hash, no name of the text's parts, and no tensor of the text tower's sizes.
    assert {name for name in weights_of(loaded) if "text" in name} == {"text.vector"}


@pytest.mark.parametrize(
    ("shape", "form"),
    [((1, 1, 5), "vector"), ((7,), "vector"), ((1, 3, 16), "vector"), ((1, 3, 5), "tokens"), ((16,), "tokens")],
)
def test_a_stored_text_of_another_size_is_refused(shape: tuple[int, ...], form: str, small: Make) -> None:
    sealed = small(text_form=form)
    sealed.seal()
    weights = weights_of(sealed) | {"text.vector": torch.zeros(shape)}
    with pytest.raises(ModelError, match=r"text.vector is \[.*, the model has \[1, "):
        apply_weights(small(text_form=form), weights, "here")


def test_sealed_weights_may_come_in_half_precision(small: Make, clips: Clips) -> None:
    sealed = small(mam_start="xavier")
    sealed.seal()
    loaded = small()
    apply_weights(loaded, {name: value.half() for name, value in weights_of(sealed).items()}, "here")
    assert {value.dtype for name, value in weights_of(loaded).items() if value.is_floating_point()} == {torch.float32}
    batch = clips(loaded)
    torch.testing.assert_close(embed(loaded, batch), embed(sealed, batch), atol=1e-2, rtol=1e-2)


def test_the_file_of_the_text_tower_may_be_gone_once_the_model_is_sealed(
    small: Make, clips: Clips, sizes: dict[str, Any], tmp_path: Path
) -> None:
    """In a process of its own, without the file and where only layouts of the tower may be built."""
    tower = ClipTextTower(TowerConfig(**sizes["text"]))
    file = tmp_path / "clip.pt"
    torch.save(dict(tower.network.state_dict()), file)
    model = small(text={**sizes["text"], "weights": "file", "path": file}, mam_start="xavier")
    batch = clips(model)
    attached = embed(model, batch)
    model.seal()
    save_weights(tmp_path / "sealed.safetensors", model, "lmgait", source={})
    file.unlink()
    torch.save({"rgb": batch.inputs["rgb"], "num_frames": batch.num_frames["rgb"]}, tmp_path / "batch.pt")
    subprocess.run([sys.executable, "-c", EMBED, str(tmp_path)], check=True)
    torch.testing.assert_close(torch.load(tmp_path / "found.pt", weights_only=True), attached, atol=1e-5, rtol=0)


EMBED = """
import sys
from pathlib import Path

import torch

import gaitbench.towers.text
from gaitbench.model import GaitBatch
from gaitbench.weights import load_weights

create = gaitbench.towers.text._create


def only_layouts(settings):
    assert torch.get_default_device().type == "meta", "the text tower was built"
    return create(settings)


gaitbench.towers.text._create = only_layouts
folder = Path(sys.argv[1])
_, model = load_weights(folder / "sealed.safetensors")
kept = torch.load(folder / "batch.pt", weights_only=True)
with torch.no_grad():
    found = model(GaitBatch({"rgb": kept["rgb"]}, {"rgb": kept["num_frames"]})).embedding
torch.save(found, folder / "found.pt")
"""


def test_a_gated_text_cannot_be_stored(small: Make) -> None:
    model = small(has_mam_gate=True)
    model.seal()
    assert [tower.role for tower in model.towers] == ["image", "text"]


def test_the_order_of_frames_matters_with_motion_and_without_it_not(small: Make, clips: Clips) -> None:
    order = torch.tensor([2, 0, 3, 1])
    for fields, is_ordered in (({}, True), ({"temporal": "conv3d"}, True), ({"temporal": "none"}, False)):
        model = small(mask_use="soft", **fields)
        batch = clips(model)
        rgb = batch.inputs["rgb"]
        forth = embed(model, batch)
        for changed in (rgb.flip(2), rgb[:, :, order]):
            batch.inputs["rgb"] = changed
            difference = (embed(model, batch) - forth).abs().max() / forth.abs().max()
            assert (difference > 1e-3) == is_ordered


def test_loss_weights_are_those_of_the_paper(small: Make, clips: Clips) -> None:
    assert LOSS_WEIGHTS == {"triplet": 1, "cross_entropy": 1, "silhouette": 1, "smoothness": 0.01, "diversity": 5}
    for name, preset in PRESETS.items():
        assert preset.recipe.stages[-1].loss_weights == LOSS_WEIGHTS, name
    model = small().train()
    batch = clips(model)
    assert set(model.losses(model(batch), batch, Stage())) == set(LOSS_WEIGHTS)


def test_no_gradient_reaches_the_frozen_towers(small: Make, clips: Clips) -> None:
    model = small(mam_start="xavier", has_mask_gradient=True).train()
    batch = clips(model)
    sum(model.losses(model(batch), batch, Stage()).values()).backward()
    towers = [model.encoder.tower.tower, model.text.tower.tower]
    for tower in towers:
        assert not tower.training
        assert all(weight.grad is None and not weight.requires_grad for weight in tower.parameters())
    assert all(weight.grad is not None for weight in model.parameters())


def test_the_decoders_own_stage_computes_nothing_behind_it(small: Make, clips: Clips) -> None:
    model = small().train()
    batch = clips(model)
    (decoder, _) = PRESETS["paper"].recipe.stages
    freeze(model, decoder.freeze)
    model.branch.register_forward_pre_hook(lambda *_: pytest.fail("the branch was run"))
    losses = model.losses(model(batch), batch, decoder)
    assert set(losses) == {"silhouette"}
    losses["silhouette"].backward()
    trained = {name for name, weight in model.named_parameters() if weight.grad is not None}
    assert trained == {"decoder.linear.weight", "decoder.linear.bias"}


def silhouette_loss(model: LMGait, batch: GaitBatch) -> Tensor:
    torch.manual_seed(0)
    return model.losses(model(batch), batch, Stage())["silhouette"]


def test_silhouettes_are_compared_pixel_by_pixel(small: Make, clips: Clips) -> None:
    model = small(decoder_dropout=0.0, map_px=(16, 8)).train()
    batch = clips(model)
    frames = model.encoder.real_frames(batch)
    maps, _ = model._looked_at(batch, frames)
    probability = model._person(maps).probability[:, 0]
    masks = batch.inputs[SILHOUETTE][:, 0].flatten(0, 1)  # [K, 64, 32]
    small_masks = torch.nn.functional.interpolate(masks[:, None], (16, 8), mode="nearest-exact")[:, 0]
    expected = torch.nn.functional.binary_cross_entropy(probability, small_masks)
    torch.testing.assert_close(silhouette_loss(model, batch), expected)


def test_frames_without_a_silhouette_do_not_count(small: Make, clips: Clips) -> None:
    model = small(decoder_dropout=0.0).train()
    batch = clips(model, num_frames=3)
    batch.inputs[SILHOUETTE][0, :, 1:] = 0
    loss = silhouette_loss(model, batch)
    batch.inputs[SILHOUETTE][1:] = 0
    alone = silhouette_loss(model, batch)
    assert alone != loss
    batch.inputs[SILHOUETTE][:] = 0
    with pytest.raises(ModelError, match="no frame of the batch has a person in silhouette-raw"):
        silhouette_loss(model, batch)
    del batch.inputs[SILHOUETTE]
    with pytest.raises(ModelError, match="but training reads silhouette-raw, too"):
        model(batch)
    assert bool(embed(model, batch).isfinite().all())


def test_kept_features_train_as_frames_do(small: Make, clips: Clips) -> None:
    model = small().train()
    batch = clips(model)
    features = model.frozen_features
    assert features is not None
    kept = GaitBatch(
        {features.name: features.of(batch), SILHOUETTE: batch.inputs[SILHOUETTE]}, batch.num_frames, labels=batch.labels
    )
    results = []
    for given in (batch, kept):
        torch.manual_seed(0)
        losses = model.losses(model(given), given, Stage())
        results.append(torch.stack(list(losses.values())))
    torch.testing.assert_close(results[0], results[1], atol=1e-6, rtol=1e-6)
    assert small(is_image_trained=True).frozen_features is None


def test_raw_crops_embed_like_batches(small: Make, clips: Clips) -> None:
    model = small()
    batch = clips(model)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    raw = (batch.inputs["rgb"].transpose(1, 2) - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    expected = embed(model, batch)
    with torch.no_grad():
        torch.testing.assert_close(model.embed_raw(raw), expected, atol=1e-5, rtol=1e-4)


def test_texts_change_embeddings_and_attention_can_be_seen(small: Make, clips: Clips) -> None:
    model = small()
    batch = clips(model)
    seen = {kind: embed(small(prompt=kind, mam_start="xavier"), batch) for kind in ("correct", "wrong", "random")}
    assert not torch.allclose(seen["correct"], seen["wrong"])
    assert not torch.allclose(seen["correct"], seen["random"])
    shown = {item.title: item for item in explain_batch(model.eval(), batch)}
    assert set(shown) == {"semantic attention", "person", "channel of the representation", "motion"}
    assert shown["semantic attention"].values.shape == (4, 4, 8, 4)
    assert shown["person"].limits == (0.0, 1.0)
    bare = small(has_text=False, temporal="none").eval()
    assert {item.title for item in explain_batch(bare, batch)} == {"person", "channel of the representation"}


@pytest.mark.parametrize(
    ("dataset", "num_frames", "side"), [("ccpg", 30, None), ("sustech1k", 24, 64), ("casia-b-star", 24, 128)]
)
def test_recipes_are_those_published(dataset: str, num_frames: int, side: Any) -> None:
    preset = PRESETS[f"paper@{dataset}"]
    decoder, whole = preset.recipe.stages
    assert (decoder.iterations, whole.iterations) == (5_000, 40_000)
    assert decoder.loss_weights == {"silhouette": 1.0}
    assert whole.schedule.milestones == (15_000, 25_000, 30_000, 35_000)
    for stage in (decoder, whole):
        clips = stage.clips
        assert (clips.subjects_per_batch, clips.sequences_per_subject, clips.num_frames) == (6, 8, num_frames)
        assert (clips.order, stage.augment.flip) == ("ordered", 0.5)
        assert (stage.optimizer.name, stage.optimizer.lr, stage.optimizer.weight_decay) == ("sgd", 0.1, 5e-4)
    config = LMGaitConfig(**preset.config)
    assert config.image.weights == config.text.weights == "pretrained"
    assert config.rgb_px == ((side, side) if side else (256, 128))


def test_pinned_weights_are_full_commits_and_can_be_exchanged() -> None:
    config = LMGaitConfig(**PRESETS["paper"].config)
    assert (config.image, config.text) == (DINOV2_SMALL, CLIP_TEXT)
    assert config.image.revision == "4610ca143709d58a633b6397a74412c2c3842454"
    assert config.text.revision == "a6f597a30f7b82c51704746581f9a4e41421e878"
    assert LMGaitConfig(image="clip").image.revision == "977e3dd0ec55ab8da155f2fbeb6b5f54948b6e3d"
    assert LMGaitConfig(image="dinov2").image == DINOV2_SMALL
    other = override("lmgait", LMGaitConfig, PRESETS["paper"], {"image.revision": "a" * 40})[0]
    assert other.image.revision == "a" * 40
    with pytest.raises(UsageError, match="pretrained weights need the commit"):
        override("lmgait", LMGaitConfig, PRESETS["paper"], {"image.revision": "main"})


def test_what_info_counts_is_the_model_without_its_text_tower() -> None:
    model = LMGait(LMGaitConfig(**PRESETS["quick"].config)).eval()
    batch = synthetic_batch(model.inputs, num_sequences=1, num_frames=FLOPS_FRAMES)
    attached = count_flops(model, batch)
    model.seal()
    assert num_flops(load_registry(), LMGAIT, PRESETS["quick"]) == count_flops(model, batch) < attached
