"""GEI with PCA and linear discriminant analysis, the classical baseline.

Axes: N sequences, F features, D embedding width, K subjects.
"""

from typing import Literal

import torch
from pydantic import BaseModel, Field, PositiveInt
from torch import Tensor
from torch.nn import functional

from gaitbench.errors import ModelError, ShapeError, TrainingError
from gaitbench.model import ClosedFormModel, GaitBatch, GaitOutput, InputSpec
from gaitbench.recipe import Preset, Recipe, Stage
from gaitbench_baselines.energy_image import energy_image

__all__ = ["PRESETS", "Gei", "GeiConfig", "discriminants", "ledoit_wolf", "principal_axes", "shrunk_covariance"]


class GeiConfig(BaseModel, frozen=True, extra="forbid", use_attribute_docstrings=True):
    """What is projected, and how."""

    height_px: PositiveInt = 64
    """Rows of the silhouettes."""
    width_px: PositiveInt = 44
    """Columns of the silhouettes."""
    feature: Literal["gei", "frames"] = "gei"
    """``gei``: the mean frame. ``frames``: all frames of a sequence one after the other, which must be
    :attr:`num_frames` long, such as time-normalised cycles."""
    num_frames: PositiveInt = 10
    """Frames per sequence of the feature ``frames``."""
    pool: PositiveInt = 1
    """Blocks of ``pool`` x ``pool`` pixels are averaged before anything is fitted."""
    num_components: PositiveInt = 200
    """Principal components kept, at most."""
    explained_variance: float = Field(1.0, gt=0, le=1)
    """With a value below 1, components beyond this share of the variance are dropped too."""
    shrinkage: Literal["ledoit-wolf"] | float = "ledoit-wolf"
    """Pull of the within-subject covariance towards a multiple of the identity, in [0, 1]."""
    is_normalised: bool = True
    """Embeddings get length 1, so that Euclidean distance orders like the cosine."""
    num_classes: PositiveInt = 74
    """Training subjects; the runner sets it."""


class Gei(ClosedFormModel):
    """Principal components, then the directions that tell subjects apart relative to their own scatter.

    Fitted once in float64; the result is one affine map, kept as buffers.

    Source:
        Han and Bhanu, "Individual Recognition Using Gait Energy Image", TPAMI 2006, sections on PCA and multiple
        discriminant analysis (the real templates; no synthetic ones). The shrinkage is ours: Ledoit and Wolf, "A
        well-conditioned estimator for large-dimensional covariance matrices", J. Multivariate Analysis 2004.

    Example:
        >>> model = Gei(GeiConfig(height_px=8, width_px=4, num_classes=2, num_components=3))
        >>> _ = torch.manual_seed(0)
        >>> model.fit(torch.rand(10, 32), torch.arange(10) % 2)
        >>> batch = GaitBatch({"silhouette": torch.rand(1, 1, 5, 8, 4)}, {"silhouette": torch.tensor([5])})
        >>> model(batch).embedding.shape
        torch.Size([1, 1, 1])
    """

    padding = "masked"
    config: GeiConfig
    origin: Tensor
    projection: Tensor

    def __init__(self, config: GeiConfig) -> None:
        super().__init__(config)
        if config.height_px % config.pool or config.width_px % config.pool:
            raise ShapeError(f"{config.height_px}x{config.width_px} pixels cannot be pooled by {config.pool}")
        pixels = config.height_px * config.width_px // config.pool**2
        num_features = pixels * (config.num_frames if config.feature == "frames" else 1)
        width = max(1, min(config.num_classes - 1, config.num_components, num_features))
        self.register_buffer("origin", torch.zeros(num_features))
        self.register_buffer("projection", torch.zeros(num_features, width))

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Silhouettes in [0, 1]."""
        config = self.config
        return (InputSpec(modality="silhouette", height_px=config.height_px, width_px=config.width_px),)

    def features(self, batch: GaitBatch) -> Tensor:
        """``[N, F]``: the pixels of the energy image, or of all frames.

        Raises:
            ModelError: The batch has no silhouettes.
            ShapeError: The feature ``frames`` is asked of sequences that are not ``num_frames`` long.
        """
        if "silhouette" not in batch.inputs:
            raise ModelError(f"the batch holds {', '.join(batch.inputs) or 'nothing'}, but gei reads silhouettes")
        x, num_frames = batch.inputs["silhouette"], batch.num_frames["silhouette"]  # [N, 1, T, H, W]
        if self.config.feature == "gei":
            images = energy_image(x, num_frames)
        else:
            expected = self.config.num_frames
            if bool((num_frames != expected).any()):
                raise ShapeError(
                    f"gei with feature='frames' needs sequences of {expected} frames, got "
                    f"{sorted(set(num_frames.tolist()))}; use feature='gei' for sequences of any length"
                )
            images = x[:, 0, :expected].float()  # [N, T, H, W]
        pooled: Tensor = functional.avg_pool2d(images, self.config.pool)
        return pooled.flatten(1)

    def fit(self, features: Tensor, labels: Tensor) -> None:
        """Fit the projection to ``[N, F]`` features of ``[N]`` labels.

        Raises:
            ShapeError: The features are not those of this configuration.
            TrainingError: There are fewer than two subjects, or no more sequences than subjects.
        """
        if features.dim() != 2 or features.shape[1] != len(self.origin) or labels.shape != features.shape[:1]:
            raise ShapeError(
                f"gei needs features [N, {len(self.origin)}] and labels [N], got {list(features.shape)} and "
                f"{list(labels.shape)}"
            )
        num_subjects = len(torch.unique(labels))
        if not 2 <= num_subjects < len(labels):
            raise TrainingError(
                f"gei needs two subjects or more and several sequences of some, got {len(labels)} sequences of "
                f"{num_subjects} subjects"
            )
        config = self.config
        x = features.double()
        origin = x.mean(dim=0)
        axes = principal_axes(x - origin, config.num_components, config.explained_variance)  # [F, components]
        directions = discriminants((x - origin) @ axes, labels, config.shrinkage)  # [components, <= K - 1]
        projection = axes @ directions
        kept = min(projection.shape[1], self.projection.shape[1])
        self.origin.copy_(origin)
        self.projection.zero_()
        self.projection[:, :kept] = projection[:, :kept]

    def forward(self, batch: GaitBatch) -> GaitOutput:
        """Embed silhouettes ``[N, 1, T, H, W]`` as ``[N, D, 1]``; padding changes nothing."""
        features = self.features(batch)
        with torch.autocast(features.device.type, enabled=False):
            embedding = (features - self.origin) @ self.projection
        if self.config.is_normalised:
            embedding = functional.normalize(embedding, dim=1)
        return GaitOutput(embedding=embedding.unsqueeze(2))


def principal_axes(x: Tensor, num_components: int, explained_variance: float = 1.0) -> Tensor:
    """Find the directions of largest variance.

    Args:
        x: ``[N, F]`` centred features, float64.
        num_components: Directions, at most.
        explained_variance: Directions beyond this share of the variance are dropped; one is always kept.

    Returns:
        ``[F, components]`` orthonormal columns, largest variance first; directions without variance are left out.

    Example:
        >>> x = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
        >>> principal_axes(x, 1).abs().round(decimals=6).tolist()
        [[1.0], [0.0]]
    """
    num_samples, num_features = x.shape
    is_wide = num_features > num_samples
    values, vectors = torch.linalg.eigh(x @ x.T if is_wide else x.T @ x)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    share = values.cumsum(0) / values.sum().clamp_min(torch.finfo(x.dtype).tiny)
    is_needed = (share - values / values.sum() < explained_variance) & (values > 1e-12 * values[0])
    kept = min(num_components, max(1, int(is_needed.sum())))
    vectors = vectors[:, :kept]
    if is_wide:
        vectors = functional.normalize(x.T @ vectors, dim=0)
    axes: Tensor = vectors
    return axes


def ledoit_wolf(x: Tensor) -> float:
    """Choose how far to pull the covariance of centred samples towards a multiple of the identity.

    Args:
        x: ``[N, F]`` centred samples, float64.

    Returns:
        Shrinkage in [0, 1].

    Source:
        Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", J. Multivariate
        Analysis 2004, section 3.3.

    Example:
        >>> ledoit_wolf(torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64))
        0.0
    """
    num_samples, num_features = x.shape
    covariance = x.T @ x / num_samples
    mean = covariance.diagonal().mean()
    spread = covariance.square().sum() - num_features * mean**2  # squared distance to the multiple of the identity
    noise = (x.square().sum(dim=1).square().sum() / num_samples - covariance.square().sum()) / num_samples
    if spread <= 0:
        return 1.0
    return float((noise / spread).clamp(0, 1))


def shrunk_covariance(x: Tensor, shrinkage: Literal["ledoit-wolf"] | float) -> Tensor:
    """Estimate a covariance that few samples cannot make singular.

    Args:
        x: ``[N, F]`` samples, float64.
        shrinkage: In [0, 1], or ``ledoit-wolf``: chosen from the data after giving every feature variance 1, which
            is undone afterwards.

    Returns:
        ``[F, F]``.

    Example:
        >>> x = torch.tensor([[2.0, 0.0], [-2.0, 0.0]], dtype=torch.float64)
        >>> shrunk_covariance(x, 0.5).tolist()
        [[3.0, 0.0], [0.0, 1.0]]
    """
    centred = x - x.mean(dim=0)
    scale = torch.ones_like(centred[0])
    if shrinkage == "ledoit-wolf":
        scale = centred.square().mean(dim=0).sqrt()
        scale = torch.where(scale > 0, scale, 1.0)
    centred = centred / scale
    amount = ledoit_wolf(centred) if shrinkage == "ledoit-wolf" else float(shrinkage)
    covariance = centred.T @ centred / len(x)
    shrunk = (1 - amount) * covariance
    shrunk.diagonal().add_(amount * covariance.diagonal().mean())
    rescaled: Tensor = scale[:, None] * shrunk * scale
    return rescaled


def discriminants(x: Tensor, labels: Tensor, shrinkage: Literal["ledoit-wolf"] | float) -> Tensor:
    """Find the directions in which subjects differ most, relative to the scatter within a subject.

    The scatter within is the mean over samples of their subject's own shrunk covariance; the scatter between is the
    shrunk covariance of all samples less that.

    Args:
        x: ``[N, F]`` features, float64.
        labels: ``[N]`` subject labels of any values.
        shrinkage: As for :func:`shrunk_covariance`.

    Returns:
        ``[F, min(F, K - 1)]``, best first; projected by it, the scatter within is the identity.

    Example:
        >>> x = torch.tensor([[0.0, 9.0], [0.1, -9.0], [1.0, 9.0], [1.1, -9.0]], dtype=torch.float64)
        >>> ratio = discriminants(x, torch.tensor([0, 0, 1, 1]), 1e-6).abs()
        >>> bool(ratio[0] > 10 * ratio[1])
        True
    """
    subjects, counts = torch.unique(labels, return_counts=True)
    shares = (counts / len(x)).tolist()
    within = torch.zeros(x.shape[1], x.shape[1], dtype=x.dtype, device=x.device)
    for subject, share in zip(subjects, shares, strict=True):
        within += share * shrunk_covariance(x[labels == subject], shrinkage)
    between = shrunk_covariance(x, shrinkage) - within
    values, vectors = torch.linalg.eigh(within)
    whiten = vectors / values.clamp_min(1e-10 * values[-1]).sqrt()  # [F, F]
    _, directions = torch.linalg.eigh(whiten.T @ between @ whiten)
    kept = min(x.shape[1], len(subjects) - 1)
    best: Tensor = whiten @ directions.flip(1)[:, :kept]
    return best


_FIT = Recipe(stages=(Stage(name="fit", kind="closed-form", iterations=0),))

PRESETS: dict[str, Preset] = {
    "quick": Preset(config={"pool": 2}, recipe=_FIT, note="energy images at half resolution"),
    "paper": Preset(config={"explained_variance": 0.99}, recipe=_FIT),
    "quick@usf-gait17": Preset(
        config={"height_px": 32, "width_px": 22, "feature": "frames", "num_frames": 10},
        recipe=_FIT,
        note="all ten frames of a half-cycle instead of their mean",
    ),
    "paper@usf-gait17": Preset(config={"height_px": 32, "width_px": 22}, recipe=_FIT, note="mean of the ten frames"),
}
"""Presets by name; ``NAME@DATASET`` goes before ``NAME`` on that dataset."""
