"""Pooled vector and patches in one space, of a tower that is frozen and of one that learns."""

import pytest
import torch

from gaitbench.errors import ModelError
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.image import ImageTower
from gaitbench.towers.projected_image import ProjectedImage

SMALL = {"patch_size": 8, "width": 16, "layers": 1, "head_width": 8, "embed_dim": 12, "image_size": 16}
CONFIG = TowerConfig(architecture="open_clip:ViT-B-16", overrides=SMALL, seed=3)


def test_both_are_what_the_tower_projects() -> None:
    image, pixels = ProjectedImage(CONFIG, (16, 24), is_trained=False), torch.rand(2, 3, 16, 24)
    assert (image.width, image.map_size) == (12, (2, 3))
    tower = ImageTower(CONFIG, image_size=(16, 24))
    seen = tower(pixels)
    found = image.project(pixels)
    torch.testing.assert_close(found.pooled, seen.pooled)
    torch.testing.assert_close(found.patches, tower.project(seen.last))


def test_a_frozen_tower_is_none_of_the_models_weights() -> None:
    image = ProjectedImage(CONFIG, (16, 16), is_trained=False)
    pixels = torch.rand(1, 3, 16, 16, requires_grad=True)
    assert not any(x.requires_grad for x in image.project(pixels))
    assert not list(image.parameters())
    assert set(image.state_dict()) == {"tower._extra_state"}


def test_a_trained_one_gets_gradients_and_keeps_its_digits_under_autocast() -> None:
    image, pixels = ProjectedImage(CONFIG, (16, 16), is_trained=True), torch.rand(2, 3, 16, 16)
    whole = image.project(pixels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = image.project(pixels)
    assert torch.equal(mixed.pooled, whole.pooled)
    (whole.pooled.sum() + whole.patches.square().sum()).backward()
    assert all(weight.grad is not None for weight in image.parameters())


def test_sizes_that_do_not_fit_are_refused_before_anything_is_drawn() -> None:
    with pytest.raises(ModelError, match="patches of 8 x 8 pixels"):
        ProjectedImage(CONFIG, (16, 20), is_trained=False)
