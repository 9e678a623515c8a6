"""The contract of the plugin."""

from gaitbench_rgb.records import DATASETS

from gaitbench.testing import check_plugin


def test_plugin() -> None:
    info = check_plugin("gaitbench-rgb")
    assert info.components == tuple((spec.kind, spec.name) for spec in DATASETS)


def test_every_dataset_says_how_to_get_it_and_what_to_cite() -> None:
    for spec in DATASETS:
        assert spec.licence
        assert spec.access
        assert spec.citation
        assert spec.redistribution is False
