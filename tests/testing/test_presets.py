import mean_net
import pytest
import torch

from gaitbench.errors import PluginError, UnknownNameError, UsageError
from gaitbench.testing import load_preset, load_presets, load_published

REGISTRY = mean_net.registry_of()


def test_a_preset_is_built_with_its_recipe() -> None:
    model, recipe = load_preset("mean-net", "paper@casia-b", registry=REGISTRY)
    assert isinstance(model, mean_net.Good)
    assert model.training
    assert (model.config.width, model.config.num_classes) == (9, 3)
    assert recipe == mean_net.PRESETS["paper@casia-b"].recipe
    again = load_preset("mean-net", "paper@casia-b", registry=REGISTRY).model
    assert torch.equal(model.layer.weight, again.layer.weight)


def test_a_test_may_ask_for_another_size() -> None:
    model, _ = load_preset("mean-net", "paper@casia-b", config={"width": 2}, num_classes=5, registry=REGISTRY)
    assert (model.config.width, model.config.num_classes) == (2, 5)


def test_all_presets() -> None:
    assert load_presets("mean-net", registry=REGISTRY) == mean_net.PRESETS


def test_the_published_model_with_its_keys() -> None:
    model, keys = load_published("mean-net", config={"width": 4}, registry=REGISTRY)
    assert model.layer.out_features == 4
    assert keys == mean_net.PUBLISHED_KEYS


def test_unknown_names_and_sizes() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'quick'"):
        load_preset("mean-net", "quik", registry=REGISTRY)
    with pytest.raises(UnknownNameError, match="mean-net"):
        load_preset("meen-net", registry=REGISTRY)
    with pytest.raises(UsageError, match="does not fit mean-net"):
        load_preset("mean-net", config={"width": "wide"}, registry=REGISTRY)


def test_targets_of_another_kind() -> None:
    with pytest.raises(PluginError, match="must be a dict of name to"):
        load_presets("mean-net", registry=mean_net.registry_of(presets="mean_net:PUBLISHED_KEYS"))
    with pytest.raises(PluginError, match="must be a dict of published keys"):
        load_published("mean-net", registry=mean_net.registry_of(published_keys="mean_net:Good"))
    with pytest.raises(PluginError, match="names no published keys"):
        load_published("mean-net", registry=mean_net.registry_of(published_keys=""))
