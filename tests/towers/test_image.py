import sys
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from small_towers import VIT, VIT_SIZES, normalised, of_file, perturbed, saved, timm_vit
from torch import Tensor

import gaitbench.towers.image
from gaitbench.errors import ModelError, ShapeError, UnknownNameError
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.image import ImageTower
from gaitbench.towers.left_out import weights_left_out
from gaitbench.towers.weights import resample_positions


def small(**fields: Any) -> TowerConfig:
    return TowerConfig(architecture=VIT, overrides=VIT_SIZES, **fields)


def pixels(num: int = 2, height: int = 56, width: int = 56) -> Tensor:
    return torch.rand(num, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_dinov2_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        tower = ImageTower(TowerConfig(architecture=VIT), image_size=(448, 224), layers=(3, 6, 9, 12))
    assert sum(weight.numel() for weight in tower.parameters()) == 22_056_576
    assert tower.info.num_parameters == 22_056_576
    assert tower.info.says == f"image tower {VIT} (untrained, frozen)"
    assert (tower.width, tower.num_layers, tower.map_size) == (384, 12, (32, 16))


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_features_are_those_of_timm(tmp_path: Path, suffix: str) -> None:
    vit = timm_vit()
    path = saved(tmp_path / f"w{suffix}", vit.state_dict())
    tower = ImageTower(of_file(VIT, path, VIT_SIZES), image_size=(56, 56), layers=(2, 4))
    x = pixels()
    got = tower(x)
    with torch.no_grad():
        last, taken = vit.forward_intermediates(normalised(x, vit), indices=[1, 3])
        pooled = vit(normalised(x, vit))
    torch.testing.assert_close(got.layers, torch.cat(taken, dim=1))
    torch.testing.assert_close(got.pooled, pooled)
    torch.testing.assert_close(got.last, last[:, 1:].transpose(1, 2).unflatten(2, (4, 4)))
    # The last layer is the input of the final norm, so the two agree once it is normalised.
    normed = vit.norm(got.layers[:, 32:].flatten(2).transpose(1, 2)).detach()
    torch.testing.assert_close(got.last.flatten(2).transpose(1, 2), normed)


def test_without_layers_there_are_none(tmp_path: Path) -> None:
    last, layers, pooled = ImageTower(small(), image_size=(56, 28))(pixels(3, 56, 28))
    assert (last.shape, layers.shape, pooled.shape) == ((3, 32, 4, 2), (3, 0, 4, 2), (3, 32))
    with_layers = ImageTower(small(), image_size=(56, 28), layers=(1,))(pixels(3, 56, 28))
    assert torch.equal(with_layers.last, last)


def test_a_checkpoint_of_another_grid_is_resampled(tmp_path: Path) -> None:
    """The published table has 5 x 5 tokens, the tower's 4 x 4, and the images have 4 x 2."""
    vit = timm_vit(img_size=70)
    path = saved(tmp_path / "w.safetensors", vit.state_dict())
    tower = ImageTower(of_file(VIT, path, VIT_SIZES), image_size=(56, 28))
    kept = resample_positions(vit.pos_embed[0], (5, 5), (4, 4), num_prefix=1)
    torch.testing.assert_close(tower.state_dict()["network.vit.pos_embed"][0], kept.detach())
    reference = timm_vit(img_size=(56, 28))
    state = vit.state_dict()
    state["pos_embed"] = resample_positions(kept, (4, 4), (4, 2), num_prefix=1)[None]
    reference.load_state_dict(state)
    x = pixels(2, 56, 28)
    torch.testing.assert_close(tower(x).pooled, reference(normalised(x, reference)).detach())


def test_the_file_of_a_native_grid_is_kept_as_it_is_and_resampled_when_it_looks(tmp_path: Path) -> None:
    vit = timm_vit()
    path = saved(tmp_path / "w.safetensors", vit.state_dict())
    tower = ImageTower(of_file(VIT, path, VIT_SIZES), image_size=(112, 28))
    assert torch.equal(tower.state_dict()["network.vit.pos_embed"], vit.pos_embed)
    assert tower(pixels(1, 112, 28)).last.shape == (1, 32, 8, 2)


def test_positions_that_are_no_square_are_refused(tmp_path: Path) -> None:
    state = timm_vit().state_dict()
    state["pos_embed"] = state["pos_embed"][:, :13]
    path = saved(tmp_path / "w.safetensors", state)
    with pytest.raises(ModelError, match="12 tokens in its grid"):
        ImageTower(of_file(VIT, path, VIT_SIZES), image_size=(56, 56))


def test_dinov2s_own_names_are_read(tmp_path: Path) -> None:
    """Its files have a mask token; those with registers have a position for the class token, which timm adds to it."""
    vit = timm_vit()
    mask = torch.randn(1, 32)
    plain = ImageTower(
        of_file(VIT, saved(tmp_path / "a.pth", {**vit.state_dict(), "mask_token": mask}), VIT_SIZES),
        image_size=(56, 56),
    )
    assert torch.equal(plain.state_dict()["network.vit.mask_token"], mask)

    name = "vit_small_patch14_reg4_dinov2.lvd142m"
    vit = perturbed(timm.create_model(name, num_classes=0, **VIT_SIZES))
    ours = vit.state_dict()
    tower = ImageTower(of_file(name, saved(tmp_path / "timm.pth", ours), VIT_SIZES), image_size=(56, 56))
    of_class = torch.randn(1, 1, 32)
    theirs = {key: value for key, value in ours.items() if key not in ("reg_token", "cls_token", "pos_embed")}
    theirs["register_tokens"] = ours["reg_token"]
    theirs["cls_token"] = ours["cls_token"] - of_class
    theirs["pos_embed"] = torch.cat([of_class, ours["pos_embed"]], dim=1)
    read = ImageTower(of_file(name, saved(tmp_path / "b.pth", theirs), VIT_SIZES), image_size=(56, 56))
    for a, b in zip(read(pixels()), tower(pixels()), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_a_swiglu_network_of_dinov2_is_read_under_its_own_names(tmp_path: Path) -> None:
    name = "vit_giant_patch14_dinov2.lvd142m"
    tower = ImageTower(TowerConfig(architecture=name, overrides=VIT_SIZES), image_size=(56, 56))
    ours = {key.removeprefix("network.vit."): value for key, value in tower.state_dict().items()}
    renamed = {"mlp.fc1.": "mlp.w12.", "mlp.fc2.": "mlp.w3."}
    theirs = {}
    for key, value in ours.items():
        for new, old in renamed.items():
            key = key.replace(new, old)
        theirs[key] = value
    assert any("w12" in key for key in theirs)
    read = ImageTower(of_file(name, saved(tmp_path / "g.pth", theirs), VIT_SIZES), image_size=(56, 56))
    assert read.info.sha256 == tower.info.sha256


def test_classifiers_are_left_behind_and_wrappers_taken_off(tmp_path: Path) -> None:
    state = timm_vit().state_dict()
    wrapped = {f"module.{key}": value for key, value in state.items()}
    wrapped |= {"module.head.weight": torch.zeros(1000, 32), "module.head.bias": torch.zeros(1000)}
    one = ImageTower(of_file(VIT, saved(tmp_path / "a.pth", {"state_dict": wrapped}), VIT_SIZES), image_size=(56, 56))
    other = ImageTower(of_file(VIT, saved(tmp_path / "b.safetensors", state), VIT_SIZES), image_size=(56, 56))
    assert one.info.sha256 == other.info.sha256
    assert one.info.source != other.info.source


def test_weights_that_do_not_fit_are_listed(tmp_path: Path) -> None:
    state = timm_vit().state_dict()
    del state["blocks.1.norm1.weight"]
    state["blocks.9.norm1.weight"] = torch.ones(32)
    state["norm.weight"] = torch.ones(7)
    path = saved(tmp_path / "w.safetensors", state)
    with pytest.raises(ModelError) as caught:
        ImageTower(of_file(VIT, path, VIT_SIZES), image_size=(56, 56))
    for part in (
        "w.safetensors",
        "missing: vit.blocks.1.norm1.weight",
        "unexpected: vit.blocks.9.norm1.weight",
        "vit.norm.weight is [7], the model has [32]",
    ):
        assert part in str(caught.value)


def test_what_is_no_weight_is_refused(tmp_path: Path) -> None:
    state = timm_vit().state_dict()
    state["norm.bias"] = torch.full((32,), torch.nan)
    state["norm.weight"] = torch.ones(32, dtype=torch.int64)
    path = saved(tmp_path / "w.safetensors", state)
    with pytest.raises(
        ModelError, match=r"vit\.norm\.weight holds torch\.int64; vit\.norm\.bias holds NaN or infinity"
    ):
        ImageTower(of_file(VIT, path, VIT_SIZES), image_size=(56, 56))


def test_a_frozen_tower_stays_in_evaluation_and_has_no_gradients() -> None:
    tower = ImageTower(small(), image_size=(56, 56), layers=(2,))
    assert not tower.train().training
    assert not any(module.training for module in tower.modules())
    x = pixels().requires_grad_()
    assert not any(part.requires_grad for part in tower(x))
    assert not any(weight.requires_grad for weight in tower.parameters())
    assert tower.info.is_frozen


def test_a_tower_that_is_trained_along_learns_everywhere() -> None:
    torch.manual_seed(0)
    tower = ImageTower(
        TowerConfig(architecture=VIT, overrides={"embed_dim": 32, "depth": 2, "num_heads": 2}),
        image_size=(56, 28),
        layers=(1, 2),
        is_frozen=False,
    )
    assert tower.training
    assert tower.network.grid == (4, 2)
    last, layers, pooled = tower(pixels(2, 56, 28))
    (last.square().mean() + layers.square().mean() + pooled.square().mean()).backward()
    without = [name for name, weight in tower.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert without == []
    assert tower.info.weights == "trained-along"
    assert tower.info.says.startswith(f"image tower {VIT} (trained-along, reduced to")
    # It starts like the model's own layers, from the seed of the run.
    torch.manual_seed(1)
    other = ImageTower(tower.config, image_size=(56, 28), is_frozen=False)
    assert not torch.equal(other.state_dict()["network.vit.pos_embed"], tower.state_dict()["network.vit.pos_embed"])


def test_untrained_weights_follow_the_seed_alone() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = ImageTower(small(seed=4), image_size=(56, 56))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert ImageTower(small(seed=4), image_size=(56, 28)).info.sha256 == first.info.sha256
    assert ImageTower(small(seed=5), image_size=(56, 56)).info.sha256 != first.info.sha256
    assert first.info.source == "seed 4"
    assert first.info.is_reduced


def test_many_images_are_taken_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    tower = ImageTower(small(), image_size=(56, 28), layers=(1, 3))
    x = pixels(7, 56, 28)
    whole = tower(x)
    seen: list[int] = []
    tower.network.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    monkeypatch.setattr(gaitbench.towers.image, "_TOKENS_AT_ONCE", 20)
    parts = tower(x)
    assert seen == [2, 2, 2, 1]
    for a, b in zip(parts, whole, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_images_are_normalised_as_the_architecture_was_trained() -> None:
    tower = ImageTower(small(), image_size=(56, 56))
    assert tower.mean.flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert tower.std.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
    seen: list[Tensor] = []
    tower.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    tower(tower.mean.expand(1, 3, 56, 56))
    assert float(seen[0].abs().max()) < 1e-6
    assert not {"mean", "std"} & tower.state_dict().keys()


def test_images_of_another_size_are_resized() -> None:
    tower = ImageTower(small(), image_size=(56, 28))
    x = pixels(1, 64, 40)
    resized = torch.nn.functional.interpolate(x, (56, 28), mode="bilinear", antialias=True)
    assert torch.equal(tower(x).last, tower(resized).last)


@pytest.mark.parametrize(
    ("fields", "arguments", "error", "match"),
    [
        ({}, {"image_size": (64, 56)}, ModelError, "patches of 14 x 14 pixels, and 64 x 56 is no multiple"),
        ({}, {"image_size": (0, 56)}, ModelError, "no multiple"),
        ({}, {"layers": (0,)}, ModelError, r"layers of .* are 1 to 4, in rising order; got \[0\]"),
        ({}, {"layers": (5,)}, ModelError, "1 to 4"),
        ({}, {"layers": (3, 2)}, ModelError, "rising order"),
        ({}, {"layers": (2, 2)}, ModelError, "rising order"),
        ({"architecture": "vit_smal_patch14_dinov2"}, {}, UnknownNameError, "did you mean 'vit_small_patch14_dinov2'"),
        ({"architecture": "vit_small_patch14_dinov2.nope"}, {}, ModelError, "timm cannot build"),
        ({"architecture": "resnet10t", "overrides": {}}, {}, ModelError, "none of timm's plain vision"),
        ({"overrides": {"breadth": 3}}, {}, ModelError, "timm cannot build .* with breadth=3"),
        ({"overrides": {"embed_dim": 30, "num_heads": 4}}, {}, ModelError, "timm cannot build"),
        ({"architecture": "hashing", "overrides": {}}, {}, ModelError, "reads sentences"),
    ],
)
def test_impossible_towers_are_refused(
    fields: dict[str, Any], arguments: dict[str, Any], error: type[Exception], match: str
) -> None:
    config = TowerConfig.model_validate({"architecture": VIT, "overrides": VIT_SIZES, **fields})
    with pytest.raises(error, match=match):
        ImageTower(config, **{"image_size": (56, 56), **arguments})


def test_wrong_pixels_are_refused() -> None:
    tower = ImageTower(small(), image_size=(56, 56))
    with pytest.raises(ShapeError, match=r"\[N, 3, H, W\], got \[1, 1, 56, 56\]"):
        tower(torch.zeros(1, 1, 56, 56))
    with pytest.raises(ShapeError, match=r"got \[3, 56, 56\]"):
        tower(torch.zeros(3, 56, 56))
    with pytest.raises(ShapeError, match=r"got \[0, 3, 56, 56\]"):
        tower(torch.zeros(0, 3, 56, 56))
    with pytest.raises(ModelError, match="divide by 255"):
        tower(torch.zeros(1, 3, 56, 56, dtype=torch.uint8))


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ModelError, match=r"timm, which cannot be imported .*pip install 'gaitbench\[towers\]'"):
        ImageTower(small(), image_size=(56, 56))


def test_left_out_weights_need_no_file_and_loaded_ones_take_their_place(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.safetensors", timm_vit().state_dict())
    config = of_file(VIT, path, VIT_SIZES)
    tower = ImageTower(config, image_size=(56, 56))
    path.unlink()
    with weights_left_out():
        bare = ImageTower(config, image_size=(56, 56))
    assert (bare.info.weights, bare.info.sha256) == ("file", "")
    bare.load_state_dict(tower.state_dict())
    assert torch.equal(bare(pixels()).last, tower(pixels()).last)


def test_a_tower_without_projection_projects_nothing() -> None:
    tower = ImageTower(small(), image_size=(56, 56))
    last = tower(pixels()).last
    assert torch.equal(tower.project(last), last)
    assert tower.pooled_width == tower.width
