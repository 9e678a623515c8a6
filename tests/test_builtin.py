import pytest

from gaitbench.builtin import ATTRIBUTE_PROTOCOLS, METRICS, PROTOCOLS
from gaitbench.modality import CORE_MODALITIES
from gaitbench.registry import build_registry
from gaitbench.specs import DatasetSpec
from gaitbench.testing import check_metric, check_modality, check_task

REGISTRY = build_registry([])


def test_core_is_loaded_like_a_plugin() -> None:
    (core,) = REGISTRY.plugins()
    assert (core.distribution, core.status, core.api_version) == ("gaitbench", "loaded", 1)


def test_modalities() -> None:
    assert REGISTRY.names("modality") == sorted(modality.name for modality in CORE_MODALITIES)


def test_datasets_protocols_and_tasks() -> None:
    assert REGISTRY.names("dataset") == ["folder", "walkers"]
    assert REGISTRY.names("protocol") == sorted(
        ["folder", "walkers", *(spec.name for spec in (*PROTOCOLS, *ATTRIBUTE_PROTOCOLS))]
    )
    assert REGISTRY.names("task") == ["attribute", "crossmodal", "identity"]
    assert REGISTRY.names("model") == []


@pytest.mark.parametrize("modality", CORE_MODALITIES, ids=lambda modality: modality.name)
def test_modality_passes_its_check(modality) -> None:
    check_modality(modality)


@pytest.mark.parametrize("spec", [spec for spec in METRICS if spec.unit == "probe"], ids=lambda spec: spec.name)
def test_metric_passes_its_check(spec) -> None:
    check_metric(REGISTRY.load(spec), higher_is_better=spec.higher_is_better)


@pytest.mark.parametrize("name", ["identity", "crossmodal", "attribute"])
def test_task_passes_its_check(name: str) -> None:
    task = REGISTRY.load(REGISTRY.get("task", name))
    check_task(task())
    assert task.name == name


def test_walkers_spec_agrees_with_its_code() -> None:
    spec = REGISTRY.get("dataset", "walkers")
    assert isinstance(spec, DatasetSpec)
    options = REGISTRY.load(spec, "options")
    card = REGISTRY.load(spec)(options(), None).card()
    assert set(spec.modalities) == set(card.streams)
    assert card.name == spec.name
    protocol = REGISTRY.load(REGISTRY.get("protocol", spec.protocols[0]))
    assert (protocol.name, protocol.dataset) == ("walkers", "walkers")
    assert callable(REGISTRY.load(spec, "preview"))
