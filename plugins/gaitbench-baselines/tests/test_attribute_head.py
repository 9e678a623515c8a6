"""Identity models with the head that tells attributes: they go on from the features that RA-GAR's baselines have."""

import pytest
import torch

from gaitbench.card import Attribute
from gaitbench.cells.wearing import preset_for_head
from gaitbench.registry import load_registry, resolve
from gaitbench.specs import ModelSpec
from gaitbench.testing import check_model, check_recipe, load_presets, synthetic_batch
from gaitbench.with_attributes import WithAttributes, WithAttributesConfig

SCHEMA = (
    Attribute(name="gender", title="Gender", classes=("male", "female")),
    Attribute(name="toe", title="Toe", classes=("straight", "in", "out")),
)
SMALL: dict[str, dict[str, object]] = {
    "gaitset": {"channels": (4, 4, 8), "embedding_width": 16},
    "gaitpart": {"channels": ((4,), (4,), (8,)), "num_strips": (1, 4, 8)},
    "gaitgl": {"channels": (4, 4, 8, 8)},
    "gaitbase": {"channels": (4, 4, 8, 8), "embedding_width": 16},
    "deepgaitv2-2d": {"channels": (4, 4, 8, 8), "num_blocks": (1, 1, 1, 1), "embedding_width": 16},
    "deepgaitv2-p3d": {"channels": (4, 4, 8, 8), "num_blocks": (1, 1, 1, 1), "embedding_width": 16},
    "deepgaitv2-3d": {"channels": (4, 4, 8, 8), "num_blocks": (1, 1, 1, 1), "embedding_width": 16},
}
PUBLISHED = {  # parts by width of what enters the head, at the published sizes
    "gaitset": (62, 256),
    "gaitpart": (16, 128),
    "gaitgl": (64, 128),
    "gaitbase": (16, 512),
    "deepgaitv2-2d": (16, 512),
    "deepgaitv2-p3d": (16, 512),
    "deepgaitv2-3d": (16, 512),
}


def spec_of(name: str) -> ModelSpec:
    spec = load_registry().get("model", name)
    assert isinstance(spec, ModelSpec)
    return spec


def worn(name: str, **head: object) -> WithAttributes:
    spec = spec_of(name)
    config = resolve(spec.config)(**SMALL[name])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return WithAttributes(
            WithAttributesConfig(
                target=spec.target,
                config_target=spec.config,
                config=config.model_dump(mode="json"),
                attributes=SCHEMA,
                **head,
            )
        )


@pytest.mark.parametrize("name", SMALL)
def test_contract(name: str) -> None:
    check_model(worn(name), num_frames=5)


@pytest.mark.parametrize("name", SMALL)
def test_what_only_recognition_needs_is_dropped(name: str) -> None:
    model = worn(name)
    with torch.no_grad():
        model.eval()
        batch = synthetic_batch(model.inputs, num_sequences=2, num_frames=5)
        features = model.backbone.part_features(batch)
    assert features.flatten(1).shape[1] == model.head.norm.num_features
    assert not any(hasattr(model.backbone, name) for name in model.backbone.beyond_features)


@pytest.mark.parametrize("name", SMALL)
def test_published_sizes(name: str) -> None:
    spec = spec_of(name)
    with torch.random.fork_rng(devices=[]):
        model = resolve(spec.target)(resolve(spec.config)()).eval()
    batch = synthetic_batch(model.inputs, num_sequences=1, num_frames=3)
    with torch.inference_mode():
        features = model.part_features(batch)
    assert (features.shape[2], features.shape[1]) == PUBLISHED[name]


@pytest.mark.parametrize("name", ["gaitbase", "gaitgl"])
@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_recipes(name: str, preset: str) -> None:
    spec = spec_of(name)
    found = preset_for_head(spec, resolve(spec.target), resolve(spec.config), load_presets(name)[preset], preset)
    check_recipe(worn(name), found.recipe, num_frames=5)
    (stage,) = found.recipe.stages
    assert stage.augment.flip == 0
    if preset == "paper":
        assert (stage.iterations, stage.clips.batch_size, stage.clips.num_frames) == (120_000, 32, 30)
        optimizer = stage.optimizer
        assert (optimizer.name, optimizer.lr, optimizer.weight_decay, optimizer.eps) == ("adam", 1e-4, 2e-5, 1e-6)
    else:
        own = load_presets(name)[preset].recipe.stages[0].clips
        assert stage.clips.batch_size == own.subjects_per_batch * own.sequences_per_subject
