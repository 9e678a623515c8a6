"""Embeddings of raw network input and of datasets, with trained or converted weights."""

from pathlib import Path

import numpy as np
import pytest
import tiny_plugin
import torch

from gaitbench.embed_source import embed_arrays, embed_dataset, open_model
from gaitbench.errors import DatasetError, GaitbenchError, ModelError, ShapeError, UsageError
from gaitbench.model import GaitBatch
from gaitbench.quarantine import PluginInfo
from gaitbench.registry import Registry, build_registry
from gaitbench.weights import save_weights
from tests.support.tiny_dataset import prepare_tiny


@pytest.fixture
def registry() -> Registry:
    registry = build_registry([])
    info = PluginInfo(name="tiny", distribution="gaitbench-tiny", version="0.1", target="tiny_plugin")
    registry.load_plugin(info, lambda: tiny_plugin)
    return registry


@pytest.fixture
def model() -> tiny_plugin.TinyModel:
    torch.manual_seed(0)
    return tiny_plugin.TinyModel(tiny_plugin.TinyConfig(num_classes=3)).eval()


def masks(n: int = 5, t: int = 3) -> np.ndarray:
    return (np.random.default_rng(0).random((n, t, 64, 64)) < 0.4).astype(np.float32)


@pytest.mark.parametrize("channels", [False, True])
def test_arrays_reach_the_network_as_they_are(tmp_path: Path, model: tiny_plugin.TinyModel, channels: bool) -> None:
    given = masks()
    words = {"labels": ["a", "a", "b", "b", "c"], "types": ["nm"] * 5, "views": ["000"] * 5}
    np.savez(tmp_path / "x.npz", silhouette=given[:, :, None] if channels else given, **words)
    found = embed_arrays(model, tmp_path / "x.npz")
    clips = torch.from_numpy(given)[:, None]
    with torch.no_grad():
        expected = model(GaitBatch({"silhouette": clips}, {"silhouette": torch.full((5,), 3)})).embedding
    torch.testing.assert_close(found.embeddings, expected)
    assert found.table.subject_id.tolist() == words["labels"]


def test_batches_change_nothing_and_words_are_optional(
    tmp_path: Path, model: tiny_plugin.TinyModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "x.npz", inputs=masks())
    whole = embed_arrays(model, tmp_path / "x.npz")
    monkeypatch.setattr("gaitbench.embed_source.FRAMES_PER_BATCH", 4)
    torch.testing.assert_close(embed_arrays(model, tmp_path / "x.npz").embeddings, whole.embeddings)
    assert whole.table.subject_id.tolist() == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({}, DatasetError, "it has none"),
        ({"a": masks(), "b": masks()}, DatasetError, "it has a, b"),
        ({"a": np.array(["x"])}, DatasetError, "must be numbers"),
        ({"a": masks()[0, 0]}, ShapeError, r"\[N, T, H, W\]"),
        ({"a": masks()[..., :20]}, ModelError, r"cannot read a \[5, 3, 64, 20\]"),
        ({"a": masks(), "labels": ["a"]}, GaitbenchError, "label"),
        ({"a": np.full((2, 3, 64, 64), np.nan)}, ModelError, "NaN"),
    ],
)
def test_input_that_does_not_fit_is_named(
    tmp_path: Path, model: tiny_plugin.TinyModel, arrays: dict[str, np.ndarray], error: type[Exception], message: str
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(error, match=message):
        embed_arrays(model, tmp_path / "x.npz")


def test_every_sequence_of_a_dataset(tmp_path: Path, model: tiny_plugin.TinyModel) -> None:
    dataset = prepare_tiny(tmp_path / "d", num_subjects=3, num_sequences=2)
    found = embed_dataset(model, dataset)
    assert found.embeddings.shape == (len(dataset), 8, 1)
    assert found.table.sequence_id.tolist() == dataset.table.sequence_id.tolist()


def test_weights_say_which_model_they_are_of(tmp_path: Path, registry: Registry, model: tiny_plugin.TinyModel) -> None:
    save_weights(tmp_path / "w.safetensors", model, "tiny-net", source={})
    name, found = open_model(None, tmp_path / "w.safetensors", registry)
    assert name == "tiny-net"
    assert torch.equal(found.embed.weight, model.embed.weight)
    with pytest.raises(UsageError, match="holds weights of tiny-net, not of tiny-mean"):
        open_model("tiny-mean", tmp_path / "w.safetensors", registry)


@pytest.mark.parametrize("name", ["tiny-net", "tiny-mean"])
def test_untrained_weights_are_refused(registry: Registry, name: str) -> None:
    with pytest.raises(UsageError, match="untrained weights say nothing"):
        open_model(name, None, registry)
    with pytest.raises(UsageError, match="--model"):
        open_model(None, None, registry)
