from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from small_towers import CLIP_VIT_SIZES, RESNET_SIZES, clip, clip_normalised, of_file, saved
from torch import Tensor

from gaitbench.errors import ModelError, UnknownNameError
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.image import ImageTower
from gaitbench.towers.left_out import weights_left_out
from gaitbench.towers.weights import resample_positions

VIT = "open_clip:ViT-B-16"
RESNET = "open_clip:RN50"


def pixels(height: int = 64, width: int = 64) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_tokens_of_a_small_image_are_those_that_tcfdnet_reads() -> None:
    with torch.device("meta"):
        tower = ImageTower(TowerConfig(architecture=VIT), image_size=(64, 64), layers=(6, 12))
    assert (tower.width, tower.pooled_width, tower.num_layers, tower.map_size) == (768, 512, 12, (4, 4))
    assert tower.network.grid == (14, 14)
    assert not tower.info.is_reduced


@pytest.mark.parametrize("is_quick", [False, True])
def test_features_are_those_of_open_clip(tmp_path: Path, is_quick: bool) -> None:
    """OpenAI's export tells by the sizes that it holds that its activation is another."""
    model = clip(is_quick=is_quick)
    state: dict[str, Any] = dict(model.state_dict())
    if is_quick:
        state |= {"input_resolution": 64, "context_length": 77, "vocab_size": 49408}
    path = saved(tmp_path / "clip.pt", state)
    tower = ImageTower(of_file(VIT, path, CLIP_VIT_SIZES), image_size=(64, 64), layers=(1, 3))
    x = pixels()
    got = tower(x)
    with torch.no_grad():
        torch.testing.assert_close(got.pooled, model.encode_image(clip_normalised(x)))
        taken = model.visual.forward_intermediates(clip_normalised(x), indices=[0, 2])
        torch.testing.assert_close(got.layers, torch.cat(taken["image_intermediates"], dim=1))
        model.visual.output_tokens = True
        tokens = model.visual(clip_normalised(x))[1]  # [N, h*w, D]
        torch.testing.assert_close(got.last, tokens.transpose(1, 2).unflatten(2, (4, 4)))
        expected = (tokens @ model.visual.proj).transpose(1, 2).unflatten(2, (4, 4))
        torch.testing.assert_close(tower.project(got.last), expected)


def test_the_activation_is_kept_with_the_weights(tmp_path: Path) -> None:
    state = dict(clip(is_quick=True).state_dict()) | {"vocab_size": torch.tensor(49408)}
    path = saved(tmp_path / "clip.safetensors", state)
    config = of_file(VIT, path, CLIP_VIT_SIZES)
    tower = ImageTower(config, image_size=(64, 64))
    with weights_left_out():
        bare = ImageTower(config, image_size=(64, 64))
    bare.load_state_dict(tower.state_dict())
    assert torch.equal(bare(pixels()).pooled, tower(pixels()).pooled)
    state.pop("vocab_size")
    other = ImageTower(of_file(VIT, saved(tmp_path / "other.safetensors", state), CLIP_VIT_SIZES), image_size=(64, 64))
    assert not torch.equal(other(pixels()).pooled, tower(pixels()).pooled)
    assert other.info.sha256 != tower.info.sha256


def test_positions_are_resampled_to_the_images(tmp_path: Path) -> None:
    model = clip()
    path = saved(tmp_path / "clip.safetensors", model.state_dict())
    tower = ImageTower(of_file(VIT, path, CLIP_VIT_SIZES), image_size=(64, 32))
    got = tower(pixels(64, 32))
    assert got.last.shape == (2, 32, 4, 2)
    wide = clip(vision={**CLIP_VIT_SIZES, "image_size": (64, 32)})
    state = model.state_dict()
    state["visual.positional_embedding"] = resample_positions(
        state["visual.positional_embedding"], (4, 4), (4, 2), num_prefix=1
    )
    wide.load_state_dict(state)
    with torch.no_grad():
        torch.testing.assert_close(got.pooled, wide.encode_image(clip_normalised(pixels(64, 32))))


def test_a_checkpoint_of_another_grid_is_resampled(tmp_path: Path) -> None:
    model = clip(vision={**CLIP_VIT_SIZES, "image_size": 96})
    path = saved(tmp_path / "clip.safetensors", model.state_dict())
    tower = ImageTower(of_file(VIT, path, CLIP_VIT_SIZES), image_size=(64, 64))
    expected = resample_positions(model.visual.positional_embedding, (6, 6), (4, 4), num_prefix=1)
    torch.testing.assert_close(tower.state_dict()["network.network.positional_embedding"], expected.detach())


def test_the_resnet_is_that_of_open_clip(tmp_path: Path) -> None:
    model = clip(vision=RESNET_SIZES)
    state = {key: value for key, value in model.state_dict().items() if "num_batches_tracked" not in key}
    path = saved(tmp_path / "clip.pt", state)
    tower = ImageTower(of_file(RESNET, path, RESNET_SIZES), image_size=(64, 64))
    got = tower(pixels())
    with torch.no_grad():
        torch.testing.assert_close(got.pooled, model.encode_image(clip_normalised(pixels())))
    assert got.last.shape == (2, 256, 2, 2)
    assert got.layers.shape == (2, 0, 2, 2)
    assert tower.project(got.last).shape == (2, 24, 2, 2)
    assert tower(pixels(128, 64)).pooled.shape == (2, 24)  # resized
    tall = ImageTower(of_file(RESNET, path, RESNET_SIZES), image_size=(128, 64))
    assert tall(pixels(128, 64)).last.shape == (2, 256, 4, 2)
    with pytest.raises(ModelError, match="maps differ in size"):
        ImageTower(of_file(RESNET, path, RESNET_SIZES), image_size=(64, 64), layers=(4,))


def test_published_sizes_of_the_resnet() -> None:
    with torch.device("meta"):
        tower = ImageTower(TowerConfig(architecture=RESNET), image_size=(224, 224))
        whole = open_clip.model.CLIP(
            **{key: value for key, value in open_clip.get_model_config("RN50").items() if key != "custom_text"}
        )
    assert (tower.width, tower.pooled_width) == (2048, 1024)
    assert tower.info.num_parameters == sum(weight.numel() for weight in whole.visual.parameters())


def test_a_tower_that_is_trained_along_learns_everywhere() -> None:
    config = TowerConfig(
        architecture=VIT, overrides={key: value for key, value in CLIP_VIT_SIZES.items() if key != "image_size"}
    )
    tower = ImageTower(config, image_size=(64, 32), layers=(2,), is_frozen=False)
    assert tower.network.grid == (4, 2)
    last, layers, pooled = tower(pixels(64, 32))
    (last.square().mean() + layers.square().mean() + pooled.square().mean()).backward()
    assert [name for name, weight in tower.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_weights_without_an_image_part_are_refused(tmp_path: Path) -> None:
    state = {key: value for key, value in clip().state_dict().items() if not key.startswith("visual.")}
    path = saved(tmp_path / "text.safetensors", state)
    with pytest.raises(ModelError, match=r"text\.safetensors do not fit ClipVit\. missing: .*conv1\.weight"):
        ImageTower(of_file(VIT, path, CLIP_VIT_SIZES), image_size=(64, 64))


@pytest.mark.parametrize(
    ("architecture", "overrides", "error", "match"),
    [
        (
            "open_clip:ViT-B-61",
            {},
            UnknownNameError,
            "open_clip has no architecture 'ViT-B-61'; did you mean 'ViT-B-16'",
        ),
        (VIT, {"depth": 3}, ModelError, "no setting depth; its vision settings are embed_dim, layers, width"),
        (VIT, {"width": 100, "head_width": 33}, ModelError, "open_clip cannot build an image tower"),
        ("open_clip:ViT-B-16-SigLIP", {}, ModelError, "is timm's vit_base_patch16_siglip_224"),
        ("open_clip:coca_ViT-B-32", {}, ModelError, "those that read the class token"),
    ],
)
def test_impossible_towers_are_refused(
    architecture: str, overrides: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match), torch.device("meta"):
        ImageTower(TowerConfig(architecture=architecture, overrides=overrides), image_size=(64, 64))
