"""Runs with kept features: they agree with runs without, whatever happened to them meanwhile."""

import json
from collections.abc import Callable
from pathlib import Path

import frozen_plugin
import numpy as np
import pytest
import torch

from gaitbench.checkpoint import load_tensors
from gaitbench.dataset import GaitDataset
from gaitbench.errors import ModelError, UsageError
from gaitbench.registry import Registry
from gaitbench.runner import RunResult, run

Settings = dict[str, object]
Runner = Callable[..., RunResult]


@pytest.fixture
def run_net(registry: Registry, dataset: GaitDataset) -> Runner:
    def run_one(
        out: Path, *, preset: str = "quick", cache: str = "none", feature_cache: bool, **fields: object
    ) -> RunResult:
        return run(
            "identity",
            ["frozen-net"],
            "tiny",
            data=dataset.root,
            preset=preset,
            set=fields,
            out=out,
            cache=cache,
            feature_cache=feature_cache,
            registry=registry,
        )

    return run_one


def embeddings_of(result: RunResult) -> torch.Tensor:
    folder = result.folders[0]
    sha256 = json.loads((folder / "embeddings.json").read_text())["sha256"]
    return load_tensors(folder / "embeddings.safetensors", sha256)["rgb"]


def losses_of(out: Path) -> np.ndarray:
    (log,) = out.glob("trainings/*/*/train.jsonl")
    return np.array([json.loads(line)["loss"] for line in log.read_text().splitlines()])


@pytest.mark.parametrize("where", ["none", "ram"])
def test_the_same_losses_and_embeddings(tmp_path: Path, run_net: Runner, where: str) -> None:
    direct = run_net(tmp_path / "direct", feature_cache=False)
    kept = run_net(tmp_path / "kept", feature_cache=True, cache=where)
    assert kept.records[0].run_id == direct.records[0].run_id
    assert len(losses_of(tmp_path / "kept")) == 9
    np.testing.assert_allclose(losses_of(tmp_path / "kept"), losses_of(tmp_path / "direct"), rtol=1e-6)
    torch.testing.assert_close(embeddings_of(kept), embeddings_of(direct), rtol=1e-6, atol=1e-6)
    assert (kept.records[0].environment.feature_cache, direct.records[0].environment.feature_cache) == (True, False)
    assert "feature_cache" not in json.loads((direct.folders[0] / "record.json").read_text())["environment"]


def test_flips_count(tmp_path: Path, run_net: Runner) -> None:
    """The agreement above would say little if mirrored clips gave the same losses."""
    run_net(tmp_path / "a", feature_cache=True)
    run_net(tmp_path / "b", feature_cache=True, **{"recipe.stages.0.augment.flip": 0.0})
    assert abs(losses_of(tmp_path / "a") - losses_of(tmp_path / "b"))[0] > 1e-5


def test_every_frame_is_computed_once(tmp_path: Path, run_net: Runner, cache: Path) -> None:
    first = run_net(tmp_path / "a", feature_cache=True)
    (folder,) = (cache / "features").iterdir()
    sequences = [s for path in folder.glob("0*.json") for s in json.loads(path.read_text())["sequences"]]
    num_frames = sum(s["num_frames"] for s in sequences)
    is_flipped = np.array([s["is_flipped"] for s in sequences])
    table = first.records[0].data
    assert is_flipped.sum() == table.num_train_sequences
    assert (~is_flipped).sum() == len(embeddings_of(first)) + table.num_train_sequences
    # Besides the features, a few frames at each opening, and those of the test sequence whose operations are counted.
    overhead = frozen_plugin.ConvFeatures.num_computed - num_frames
    assert 0 < overhead <= 3 * 4 + 20
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("0*")}
    frozen_plugin.ConvFeatures.num_computed = 0
    run_net(tmp_path / "b", feature_cache=True)
    assert frozen_plugin.ConvFeatures.num_computed == overhead
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("0*")} == before


def test_float16_is_a_run_of_its_own(tmp_path: Path, run_net: Runner, cache: Path) -> None:
    direct = run_net(tmp_path, feature_cache=False, dtype="float16")
    kept = run_net(tmp_path, feature_cache=True, dtype="float16")
    assert kept.records[0].run_id != direct.records[0].run_id
    plan = json.loads((kept.folders[0] / "plan.json").read_text())
    assert plan["determines"]["feature_cache"] == "float16"
    torch.testing.assert_close(embeddings_of(kept), embeddings_of(direct), rtol=0.02, atol=0.02)
    assert not torch.equal(embeddings_of(kept), embeddings_of(direct))
    (folder,) = (cache / "features").iterdir()
    assert json.loads((folder / "about.json").read_text())["dtype"] == "float16"


def test_a_tower_that_trains_along_is_found_out(tmp_path: Path, run_net: Runner) -> None:
    with pytest.raises(ModelError, match="Its frozen tower was trained"):
        run_net(tmp_path, feature_cache=True, is_frozen=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(
            {"preset": "turned"},
            r"stage 'turned' changes frames at random \(rotate 0.2, erase 0.1\), and only flips can be kept",
            id="augmentation",
        ),
        pytest.param({"has_kept_features": False}, "'frozen-net' has no frozen features to keep", id="no-tower"),
    ],
)
def test_what_cannot_be_kept_is_refused_at_once(
    tmp_path: Path, run_net: Runner, cache: Path, settings: Settings, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run_net(tmp_path, feature_cache=True, **settings)
    assert not (cache / "features").exists()
