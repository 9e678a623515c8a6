import os
from pathlib import Path

import numpy as np
import pytest
import torch
from gaitbench_baselines.gei import Gei, GeiConfig, discriminants, ledoit_wolf, principal_axes, shrunk_covariance
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from gaitbench.errors import ShapeError, TrainingError
from gaitbench.model import GaitBatch

USF = Path(os.environ.get("GAITBENCH_SHARED", Path(__file__).parents[4] / "shared")) / "data" / "usf-gait17"


def samples(num: int = 60, width: int = 12, subjects: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % subjects
    centres = torch.randn(subjects, width, generator=rng, dtype=torch.float64)
    noise = torch.randn(num, width, generator=rng, dtype=torch.float64) * torch.linspace(0.3, 2, width)
    return centres[labels] + noise, labels


@pytest.mark.parametrize("width", [12, 100], ids=["tall", "wide"])
def test_principal_axes_agree_with_sklearn(width: int) -> None:
    x, _ = samples(width=width)
    x = x - x.mean(dim=0)
    axes = principal_axes(x, 6)
    oracle = PCA(6, svd_solver="full").fit(x.numpy()).components_.T
    np.testing.assert_allclose(np.abs((axes.numpy() * oracle).sum(axis=0)), 1, atol=1e-9)
    torch.testing.assert_close(axes.T @ axes, torch.eye(6, dtype=torch.float64))


def test_explained_variance_keeps_as_many_axes_as_sklearn() -> None:
    x, _ = samples()
    x = x - x.mean(dim=0)
    for share in (0.3, 0.9, 0.99):
        assert principal_axes(x, 100, share).shape[1] == PCA(share, svd_solver="full").fit(x.numpy()).n_components_


def test_directions_without_variance_are_left_out() -> None:
    x = torch.zeros(10, 4, dtype=torch.float64)
    x[:, 1] = torch.arange(10.0) - 4.5
    assert principal_axes(x, 4).shape == (4, 1)


def test_ledoit_wolf_agrees_with_sklearn() -> None:
    for seed in range(5):
        x, _ = samples(seed=seed)
        x = x - x.mean(dim=0)
        assert ledoit_wolf(x) == pytest.approx(ledoit_wolf_shrinkage(x.numpy(), assume_centered=True))


@pytest.mark.parametrize(("ours", "theirs"), [("ledoit-wolf", "auto"), (0.3, 0.3), (0.0, None)])
def test_discriminants_agree_with_sklearn(ours: float, theirs: float | str | None) -> None:
    x, labels = samples()
    got = x @ discriminants(x, labels, ours)
    oracle = LinearDiscriminantAnalysis(solver="eigen", shrinkage=theirs).fit(x.numpy(), labels.numpy())
    expected = torch.tensor(oracle.transform(x.numpy()))
    torch.testing.assert_close(torch.cdist(got, got), torch.cdist(expected, expected), rtol=1e-6, atol=1e-6)


def test_a_feature_without_variance_does_no_harm() -> None:
    x, labels = samples()
    x[:, 3] = 7
    assert shrunk_covariance(x, "ledoit-wolf").isfinite().all()
    assert discriminants(x, labels, "ledoit-wolf").isfinite().all()


def test_names_of_subjects_do_not_matter() -> None:
    x, labels = samples()
    model = Gei(GeiConfig(height_px=4, width_px=3, num_classes=5))
    model.fit(x.float(), labels)
    first = model.projection.clone()
    model.fit(x.float(), 100 - 7 * labels)
    torch.testing.assert_close(model.projection.abs(), first.abs(), rtol=1e-4, atol=1e-5)


def test_embeddings_come_back_from_a_state_dict_of_the_same_config() -> None:
    config = GeiConfig(height_px=4, width_px=3, num_classes=40, num_components=5)
    x, labels = samples()
    fitted, loaded = Gei(config), Gei(config)
    fitted.fit(x.float(), labels)
    loaded.load_state_dict(fitted.state_dict())
    batch = GaitBatch({"silhouette": torch.rand(2, 1, 6, 4, 3)}, {"silhouette": torch.tensor([6, 4])})
    assert torch.equal(loaded(batch).embedding, fitted(batch).embedding)
    assert loaded(batch).embedding.norm(dim=1).sub(1).abs().max() < 1e-6


def test_what_cannot_be_fitted() -> None:
    model = Gei(GeiConfig(height_px=4, width_px=3, num_classes=5))
    with pytest.raises(TrainingError, match="several sequences of some"):
        model.fit(torch.rand(4, 12), torch.arange(4))
    with pytest.raises(TrainingError, match="two subjects"):
        model.fit(torch.rand(4, 12), torch.zeros(4, dtype=torch.int64))
    with pytest.raises(ShapeError, match=r"features \[N, 12\]"):
        model.fit(torch.rand(4, 11), torch.arange(4))
    with pytest.raises(ShapeError, match="cannot be pooled by 3"):
        Gei(GeiConfig(pool=3))


def test_frames_need_their_number() -> None:
    model = Gei(GeiConfig(height_px=4, width_px=3, feature="frames", num_frames=3))
    clips = torch.rand(2, 1, 5, 4, 3)
    with pytest.raises(ShapeError, match=r"sequences of 3 frames, got \[2, 3\]; use feature='gei'"):
        model.features(GaitBatch({"silhouette": clips}, {"silhouette": torch.tensor([3, 2])}))
    features = model.features(GaitBatch({"silhouette": clips}, {"silhouette": torch.tensor([3, 3])}))
    assert torch.equal(features, clips[:, 0, :3].flatten(1))


@pytest.mark.needs_data
@pytest.mark.skipif(not USF.exists(), reason="needs data/usf-gait17 under GAITBENCH_SHARED")
def test_check_numbers_of_the_real_tensors() -> None:
    loadmat = pytest.importorskip("scipy.io").loadmat

    def read(name: str) -> tuple[GaitBatch, np.ndarray]:
        arrays = loadmat(USF / name)
        clips = torch.tensor(1 - arrays["fea3D"]).permute(3, 2, 0, 1)[:, None].float()  # [N, 1, T, H, W]
        return GaitBatch({"silhouette": clips}, {"silhouette": torch.full((len(clips),), 10)}), arrays["gnd"].ravel()

    gallery, subjects = read("USF17Gal.mat")
    model = Gei(GeiConfig(height_px=32, width_px=22, feature="frames", num_components=200, num_classes=71))
    model.fit(model.features(gallery), torch.tensor(subjects.astype(np.int64)))
    known = model(gallery).embedding[:, :, 0]
    rates = []
    for probe in "ABCD":
        batch, labels = read(f"Prb{probe}.mat")
        distance = (1 - model(batch).embedding[:, :, 0] @ known.T).numpy()
        hits = []
        for subject in np.unique(labels[labels > 0]):
            rows = distance[labels == subject]
            parts = [rows[:, subjects == other] for other in range(1, 72)]
            hits.append(1 + np.argmin([part.min(1).mean() + part.min(0).mean() for part in parts]) == subject)
        rates.append(round(100 * np.mean(hits), 1))
    # D: 22 of the 66 subjects of the gallery; counting the strangers as a 67th subject gives 32.8.
    assert rates == [93.0, 87.8, 68.3, 33.3]
