"""Scoliosis1K: the class is an attribute, whatever its folder's spelling."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from gaitbench_silhouette.scoliosis1k import Scoliosis1K

from gaitbench.streams.silhouettes import SilhouetteOptions
from gaitbench.testing import check_dataset

WALKS = ("00000/positive/000_180", "00001/neutral/000_180", "00002/Negative/000-180", "01492/negative/000_180")


def build(source: Path) -> Scoliosis1K:
    return Scoliosis1K(SilhouetteOptions(), source)


@pytest.fixture
def pickles(tmp_path: Path, aligned: Callable, write_pickle: Callable) -> Path:
    for take, walk in enumerate(WALKS):
        write_pickle(tmp_path / "s" / walk / "000.pkl", aligned(take))
    return tmp_path / "s"


def test_classes_have_the_published_numbers(pickles: Path, aligned: Callable) -> None:
    builder = build(pickles)
    infos = builder.sequences()
    assert [info.attributes for info in infos] == [(2,), (1,), (0,), (0,)]
    (attribute,) = builder.card().attributes
    assert attribute.name == "scoliosis"
    assert attribute.classes == ("negative", "neutral", "positive")
    assert np.isnan(infos[0].view_deg), "000_180 is no angle"
    for take, got in enumerate(builder.frames(infos, "silhouette")):
        np.testing.assert_array_equal(got[:, 0], aligned(take))
    assert "people who walked twice cannot be told" in builder.card().description
    check_dataset(builder)


def test_other_classes_are_left_out_and_said(pickles: Path) -> None:
    (pickles / "00003" / "unsure" / "000_180").mkdir(parents=True)
    builder = build(pickles)
    assert len(builder.sequences()) == 4
    assert "00003/unsure" in [example for item in builder.left_out() for example in item.examples]


def test_frames(tmp_path: Path, raw: Callable, write_images: Callable) -> None:
    for take, walk in enumerate(WALKS[:2]):
        write_images(tmp_path / walk, raw(take))
    assert build(tmp_path).layout.name == "frames"
    check_dataset(build(tmp_path))


def test_poses(tmp_path: Path, write_pickle: Callable) -> None:
    joints = np.random.default_rng(0).random((5, 17, 3), dtype=np.float32) * 100
    for walk in WALKS[:2]:
        write_pickle(tmp_path / walk / "000.pkl", joints)
    builder = build(tmp_path)
    assert builder.layout.name == "poses"
    assert set(builder.card().streams) == {"skeleton2d"} < set(Scoliosis1K.spec.modalities)
    check_dataset(builder)
