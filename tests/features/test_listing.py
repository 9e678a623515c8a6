"""What is kept can be seen and removed."""

import contextlib
import json
from pathlib import Path

import pytest
from frozen_plugin import FrozenConfig, FrozenNet

import gaitbench
from gaitbench.cli import main
from gaitbench.dataset import GaitDataset
from gaitbench.errors import UnknownNameError
from gaitbench.features.cache import FeatureCache, Wanted


@pytest.fixture
def two(dataset: GaitDataset) -> list[str]:
    """Names of two kinds of features of three sequences."""
    for dtype in ("float32", "float16"):
        model = FrozenNet(FrozenConfig(dtype=dtype))
        kept = FeatureCache(model, device="cpu", autocast=contextlib.nullcontext, precision="32-true")
        kept.require([Wanted(dataset.take([0, 1, 2]))])
    return [kept.name for kept in gaitbench.list_features()]


def test_nothing_is_kept_at_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert gaitbench.list_features() == []
    assert main(["features"]) == 0
    assert "no features are kept" in capsys.readouterr().out


def test_kept_features_are_listed(two: list[str], dataset: GaitDataset, capsys: pytest.CaptureFixture[str]) -> None:
    found = {kept.dtype: kept for kept in gaitbench.list_features()}
    wide = found["float32"]
    assert (wide.dataset, wide.model, wide.features, wide.shape) == ("tiny", "FrozenNet", "rgb:features", (6, 8, 8))
    num_values = int(dataset.table.num_frames[:3].sum()) * 6 * 8 * 8
    assert 4 * num_values <= wide.num_bytes <= 4 * num_values + 4000
    capsys.readouterr()
    assert main(["features"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in two)
    assert "6x8x8 float16" in text
    assert main(["features", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == two


def test_features_are_removed_by_name(two: list[str], cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean '{two[0]}'"):
        gaitbench.remove_features([two[1], two[0][:-1]])
    assert len(gaitbench.list_features()) == 2
    assert main(["features", "--remove", two[0]]) == 0
    assert two[0] in capsys.readouterr().out
    assert [path.name for path in (cache / "features").iterdir()] == [two[1]]
    assert len(gaitbench.remove_features(["all"])) == 1
    assert gaitbench.list_features() == []


def test_a_folder_without_a_description_is_listed_too(two: list[str], cache: Path) -> None:
    (cache / "features" / two[0] / "about.json").write_text("[]")
    assert {kept.dataset for kept in gaitbench.list_features()} == {"?", "tiny"}
    gaitbench.remove_features([two[0]])
    assert len(gaitbench.list_features()) == 1
