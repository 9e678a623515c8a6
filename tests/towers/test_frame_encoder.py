from typing import Any

import pytest
import torch
from pydantic import ValidationError
from small_towers import VIT, VIT_SIZES
from torch import Tensor

from gaitbench.errors import ModelError, ShapeError
from gaitbench.layers import fit_frame
from gaitbench.model import GaitBatch
from gaitbench.towers.borrowed import Borrowed
from gaitbench.towers.config import TowerConfig
from gaitbench.towers.frame_encoder import FrameEncoder, FrameEncoderConfig

SMALL: dict[str, Any] = {
    "image": TowerConfig(architecture=VIT, overrides=VIT_SIZES),
    "image_px": (56, 28),
    "layers": (2, 4),
    "rgb_px": (64, 32),
    "ratio": "frame",
}
STRETCHED: dict[str, Any] = {**SMALL, "rgb_px": (32, 32), "rgb_form": "stretched", "ratio": "stream"}


def encoder(**fields: Any) -> FrameEncoder:
    return FrameEncoder(FrameEncoderConfig(**{**SMALL, **fields}))


def clips(height: int = 64, width: int = 32) -> Tensor:
    return torch.rand(2, 3, 3, height, width, generator=torch.Generator().manual_seed(0))


def batch_of(rgb: Tensor, lengths: tuple[int, int] = (3, 2), ratio: Tensor | None = None) -> GaitBatch:
    inputs = {"rgb": rgb} | ({} if ratio is None else {"aspect-ratio": ratio})
    return GaitBatch(inputs, dict.fromkeys(inputs, torch.tensor(lengths)))


def ratios() -> Tensor:
    return torch.tensor([[0.3, 0.4, 0.5], [0.6, 0.35, 9.0]]).view(2, 1, 3, 1)


def test_maps_are_the_towers_on_real_frames() -> None:
    model, batch = encoder(), batch_of(clips())
    frames = model.real_frames(batch)
    maps = model(batch, frames)
    assert isinstance(model.tower, Borrowed)
    pixels = torch.cat([batch.inputs["rgb"][0].transpose(0, 1), batch.inputs["rgb"][1, :, :2].transpose(0, 1)])
    seen = model.tower(fit_frame(pixels, (56, 28)))
    torch.testing.assert_close(maps.last, seen.last)
    assert maps.layers.shape == (5, 64, 4, 2)
    torch.testing.assert_close(maps.layers.mean(dim=1), torch.zeros(5, 4, 2), atol=1e-5, rtol=0)
    expected = (seen.layers - seen.layers.mean(1, keepdim=True)) / seen.layers.std(1, keepdim=True, correction=0)
    torch.testing.assert_close(maps.layers, expected, atol=1e-4, rtol=1e-4)
    assert maps.ratio.tolist() == [0.5] * 5


def test_stretched_crops_are_fitted_by_their_ratios() -> None:
    model = FrameEncoder(FrameEncoderConfig(**STRETCHED))
    batch = batch_of(clips(32, 32), ratio=ratios())
    maps = model(batch, model.real_frames(batch))
    torch.testing.assert_close(maps.ratio, torch.tensor([0.3, 0.4, 0.5, 0.6, 0.35]))
    first = fit_frame(batch.inputs["rgb"][:1, :, 0], (56, 28), torch.tensor([0.3]), form="stretched")
    torch.testing.assert_close(maps.last[:1], model.tower(first).last)


@pytest.mark.parametrize("config", [SMALL, STRETCHED])
def test_kept_features_give_the_same_maps(config: dict[str, Any]) -> None:
    model = FrameEncoder(FrameEncoderConfig(**config))
    batch = batch_of(clips(*config["rgb_px"]), ratio=ratios() if config is STRETCHED else None)
    features = model.frozen_features
    assert features is not None
    kept = features.of(batch)
    assert kept.shape[1:] == (features.shape[0], 3, *features.shape[1:])
    del batch.inputs["rgb"]
    direct = model(
        batch_of(clips(*config["rgb_px"]), ratio=ratios() if config is STRETCHED else None),
        model.real_frames(batch_of(clips(*config["rgb_px"]))),
    )
    carried = GaitBatch({**batch.inputs, features.name: kept}, batch.num_frames)
    indirect = model(carried, model.real_frames(carried))
    for one, other in zip(direct, indirect, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)


def test_the_key_names_everything_that_matters() -> None:
    def key(**fields: Any) -> Any:
        features = encoder(**fields).frozen_features
        assert features is not None
        return features.key

    assert key() == key()
    other = TowerConfig(architecture=VIT, overrides=VIT_SIZES, seed=1)
    for fields in ({"layers": (1, 2)}, {"image_px": (28, 14)}, {"image": other}):
        assert key(**fields) != key()


def test_a_trained_tower_is_the_models_and_is_not_kept() -> None:
    model = encoder(is_image_trained=True)
    assert model.frozen_features is None
    assert model.info.weights == "trained-along"
    batch = batch_of(clips())
    model(batch, model.real_frames(batch)).layers.square().sum().backward()
    idle = {name.removeprefix("tower.network.") for name, weight in model.named_parameters() if weight.grad is None}
    assert idle == {"vit.norm.weight", "vit.norm.bias"}
    alone = FrameEncoder(model.config, reads_last=False)
    still = {
        name.removeprefix("tower.network.") for name, weight in alone.named_parameters() if not weight.requires_grad
    }
    assert still == idle
    assert all(weight.requires_grad for weight in model.parameters())
    frozen = encoder()
    assert not list(frozen.parameters())


def test_building_reads_no_weights(tmp_path: Any) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"no weights at all")
    model = encoder(image=TowerConfig(architecture=VIT, weights="file", path=path))
    assert (model.width, model.map_size) == (384, (4, 2))
    with pytest.raises(ModelError, match="cannot be read"):
        model(batch_of(clips()), model.real_frames(batch_of(clips())))


def test_raw_crops_are_standardised_as_published() -> None:
    model = encoder()
    rgb = clips()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    standard = (rgb.transpose(1, 2) - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    raw = model.raw_batch(standard)
    torch.testing.assert_close(raw.inputs["rgb"], rgb)
    assert set(raw.inputs) == {"rgb"}
    stream = encoder(ratio="stream")
    assert torch.equal(stream.raw_batch(standard).inputs["aspect-ratio"], torch.full((2, 1, 3, 1), 0.5))
    given = stream.raw_batch(standard, torch.rand(2, 3)).inputs["aspect-ratio"]
    assert given.shape == (2, 1, 3, 1)
    with pytest.raises(ShapeError, match=r"\[N, T, 3, 64, 32\], got \[1, 4, 3, 32, 32\]"):
        model.raw_batch(torch.zeros(1, 4, 3, 32, 32))
    with pytest.raises(ModelError, match="give ratio"):
        FrameEncoder(FrameEncoderConfig(**STRETCHED)).raw_batch(torch.zeros(1, 2, 3, 32, 32))
    with pytest.raises(ShapeError, match="as many ratios"):
        stream.raw_batch(standard, torch.rand(2, 2))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rgb_form": "stretched"}, "use ratio='stream'"),
        ({"rgb_px": (64, 64)}, "would be distorted to 56x28"),
        ({"layers": ()}, "at least 1 item"),
        (
            {"is_image_trained": True, "image": TowerConfig(architecture=VIT, weights="pretrained", revision="a" * 40)},
            "set is_image_trained=false",
        ),
    ],
)
def test_contradictions_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FrameEncoderConfig(**{**SMALL, **fields})


def test_what_is_missing_is_named() -> None:
    model = encoder(ratio="stream")
    batch = batch_of(clips())
    with pytest.raises(ModelError, match="holds rgb, but the model reads aspect-ratio, too"):
        model(batch, model.real_frames(batch))
    with pytest.raises(ModelError, match="holds depth, but the model reads rgb"):
        model.real_frames(GaitBatch({"depth": torch.zeros(1, 1, 2, 4, 4)}, {"depth": torch.tensor([2])}))
    with pytest.raises(ShapeError, match=r"3 channels for colours, got \[2, 1, 3, 64, 32\]"):
        model.real_frames(batch_of(clips()[:, :1]))
