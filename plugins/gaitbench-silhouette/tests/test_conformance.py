"""The contract of a plugin, and what every dataset says of itself."""

import pytest
from gaitbench_silhouette.records import DATASETS
from gaitbench_silhouette.usf_gait17 import CITATION, PROTOCOL

from gaitbench.api import info
from gaitbench.registry import load_registry
from gaitbench.specs import DatasetSpec
from gaitbench.testing import check_plugin


def test_plugin() -> None:
    found = check_plugin("gaitbench-silhouette")
    datasets = sorted([spec.name for spec in DATASETS] + ["usf-gait17"])
    assert sorted(found.components) == [*(("dataset", name) for name in datasets), ("protocol", "usf-gait17")]


def test_usf_gait17_names_its_source_and_its_protocol() -> None:
    dataset = load_registry().get("dataset", "usf-gait17")
    assert isinstance(dataset, DatasetSpec)
    assert dataset.citation == CITATION
    assert dataset.protocols == (PROTOCOL.name,)


@pytest.mark.parametrize("spec", DATASETS, ids=lambda spec: spec.name)
def test_info_says_what_a_user_needs(spec: DatasetSpec) -> None:
    assert spec.redistribution is False, "none of these may be passed on"
    (found,) = info(spec.name, "dataset")
    told = {detail.label: detail.lines for detail in found.details}
    assert told["licence"] == (spec.licence,) != ("",)
    assert told["access"] == (spec.access,) != ("",)
    assert told["citation"] == (spec.citation,) != ("",)
    assert any(line.startswith("layout = 'auto'") for line in told["options"])
    assert any(line.startswith("pickles: pickled") for line in told["layouts"])


@pytest.mark.parametrize("spec", DATASETS, ids=lambda spec: spec.name)
def test_builder_states_the_record_that_it_is_registered_with(spec: DatasetSpec) -> None:
    assert load_registry().load(spec).spec is spec
