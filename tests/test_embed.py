"""Embeddings come in the order asked for, the same alone and in company, and broken models are stopped."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gaitbench.dataset import GaitDataset
from gaitbench.embed import check_embeddings, embed
from gaitbench.errors import DatasetError, ModelError
from gaitbench.model import GaitBatch, GaitOutput

sys.path.insert(0, str(Path(__file__).parent / "support"))

from tiny_dataset import prepare_tiny
from tiny_plugin import TinyConfig, TinyModel


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> GaitDataset:
    return prepare_tiny(tmp_path_factory.mktemp("tiny"), ("silhouette", "lidar-depth"))


def model(**config: object) -> TinyModel:
    torch.manual_seed(0)
    return TinyModel(TinyConfig(num_classes=3, **config))


def test_rows_follow_the_index_whatever_the_batches(dataset: GaitDataset) -> None:
    index = np.array([5, 0, 17, 3, 8], dtype=np.int64)
    together = embed(model(), dataset, index, ["silhouette"])
    assert together.embeddings.shape == (5, 8, 1)
    assert together.embeddings.dtype == torch.float32
    assert not together.embeddings.is_inference()
    assert together.table.sequence_id.tolist() == dataset.table.sequence_id[index].tolist()
    for row, i in enumerate(index):
        alone = embed(model(), dataset, index[row : row + 1], ["silhouette"], frames_per_batch=1)
        assert alone.table.sequence_id.tolist() == [dataset.table.sequence_id[i]]
        torch.testing.assert_close(alone.embeddings[0], together.embeddings[row], rtol=1e-5, atol=1e-6)


def test_one_modality_of_several_is_shown(dataset: GaitDataset) -> None:
    index = np.arange(4)
    net = model(modalities=("silhouette", "lidar-depth"))
    apart = [embed(net, dataset, index, [name]).embeddings for name in ("silhouette", "lidar-depth")]
    joint = embed(net, dataset, index, ["silhouette", "lidar-depth"]).embeddings
    assert not torch.allclose(*apart)
    torch.testing.assert_close(joint, (apart[0] + apart[1]) / 2)


def test_longer_sequences_are_cut_to_max_frames(dataset: GaitDataset) -> None:
    index = np.arange(6)
    cut = embed(model(), dataset, index, ["silhouette"], max_frames=3).embeddings
    assert not torch.allclose(cut, embed(model(), dataset, index, ["silhouette"]).embeddings)


def test_training_mode_is_left(dataset: GaitDataset) -> None:
    net = model().train()
    before = net.norm.running_mean.clone()
    embed(net, dataset, np.arange(3), ["silhouette"])
    assert not net.training
    assert torch.equal(before, net.norm.running_mean)


class Broken(TinyModel):
    def __init__(self, how: str) -> None:
        super().__init__(TinyConfig(num_classes=3))
        self.how = how
        self.calls = 0

    def forward(self, batch: GaitBatch) -> GaitOutput:
        self.calls += 1
        output = super().forward(batch)
        n = output.embedding.shape[0]
        match self.how:
            case "nan":
                output.embedding[-1, 0, 0] = torch.nan
            case "constant":
                output.embedding = torch.ones(n, 4, 1)
            case "flat":
                output.embedding = output.embedding[..., 0]
            case "few":
                output.embedding = torch.rand(n + 1, 4, 1)
            case "changing":
                output.embedding = torch.rand(n, 3 + self.calls, 1)
            case "type":
                return output.embedding
        return output


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan", r"hold NaN or infinity \(first: 00"),
        ("constant", "all 24 embeddings are identical"),
        ("flat", r"must embed 2 sequences as \[2, D, P\], got \[2, 8\]|must embed 1 .* got \[1, 8\]"),
        ("few", r"sequences as \[\d, D, P\], got \[\d, 4, 1\]"),
        ("changing", r"\[D, P\] = \[5, 1\] for some sequences and \[4, 1\] for others"),
        ("type", "must return a GaitOutput, got Tensor"),
    ],
)
def test_broken_models_are_stopped(dataset: GaitDataset, how: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        embed(Broken(how), dataset, np.arange(24), ["silhouette"], frames_per_batch=20)


def test_nothing_to_embed(dataset: GaitDataset) -> None:
    with pytest.raises(DatasetError, match="no sequence to embed"):
        embed(model(), dataset, np.zeros(0, dtype=np.int64), ["silhouette"])


def test_a_single_embedding_may_be_constant() -> None:
    check_embeddings(torch.ones(1, 2, 1), np.array(["a"]), "m")
