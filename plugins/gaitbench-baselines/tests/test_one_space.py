from itertools import permutations

import pytest
import torch
from gaitbench_baselines.cl_gait import ClGaitConfig
from gaitbench_baselines.omnigait import OmniGaitConfig
from gaitbench_baselines.one_space import SensorConfig, cross_triplets, joined, triplets_within
from gaitbench_baselines.unicrossgait import UniCrossGaitConfig
from torch import Tensor

from gaitbench.model import GaitOutput

LABELS = torch.tensor([0, 0, 1, 2])


def by_definition(anchors: Tensor, others: Tensor, margin: float) -> float:
    """One direction, triplet by triplet."""
    per_part = []
    for p in range(anchors.shape[2]):
        active = []
        for i, positive, negative in ((i, j, k) for i in range(4) for j in range(4) for k in range(4)):
            if LABELS[i] == LABELS[positive] and LABELS[i] != LABELS[negative]:
                near = (anchors[i, :, p] - others[positive, :, p]).norm()
                far = (anchors[i, :, p] - others[negative, :, p]).norm()
                if (value := float(margin + near - far)) > 0:
                    active.append(value)
        per_part.append(sum(active) / max(1, len(active)))
    return sum(per_part) / len(per_part)


@pytest.mark.parametrize("seed", range(3))
def test_triplets_across_agree_with_the_definition(seed: int) -> None:
    embeddings = torch.randn(3, 4, 5, 2, generator=torch.Generator().manual_seed(seed))
    expected = sum(by_definition(a, b, 0.2) for a, b in permutations(embeddings, 2)) / 3
    assert cross_triplets(list(embeddings), LABELS, margin=0.2).item() == pytest.approx(expected, rel=1e-5)


def test_swapping_the_sensors_changes_nothing_and_equal_points_give_the_margin_each_way() -> None:
    a, b = torch.randn(2, 4, 5, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(cross_triplets([a, b], LABELS, margin=0.2), cross_triplets([b, a], LABELS, margin=0.2))
    same = torch.ones(4, 5, 2)
    assert cross_triplets([same, same], LABELS, margin=0.3).item() == pytest.approx(0.6)
    assert triplets_within([same, same], LABELS, margin=0.3).item() == pytest.approx(0.6)


def test_joined_is_the_mean_beside_all_or_the_only_one() -> None:
    a, b = GaitOutput(embedding=torch.zeros(2, 3, 1)), GaitOutput(embedding=torch.ones(2, 3, 1))
    both = joined({"silhouette": a, "depth": b})
    assert both.embedding.unique().tolist() == [0.5]
    assert list(both.by_modality) == ["silhouette", "depth"]
    assert joined({"depth": b}) is b


@pytest.mark.parametrize(
    ("modalities", "message"),
    [
        pytest.param(("silhouette",), "two different ones", id="one"),
        pytest.param(("rgb", "rgb"), "two different ones", id="twice"),
        pytest.param(("silhouette", "lidar"), "'lidar-depth'", id="points"),
        pytest.param(("silhouette", "sonar"), "sonar cannot be read", id="unknown"),
    ],
)
def test_modalities_that_cannot_be_compared_are_refused(modalities: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SensorConfig(modalities=modalities)


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        pytest.param(SensorConfig, {"bins": (7,)}, "end as 16x16, which bins", id="bins"),
        pytest.param(SensorConfig, {"width_px": 44, "bins": (16, 9)}, "end as 16x11, which bins", id="one-of-two"),
        pytest.param(ClGaitConfig, {"channels": (4, 8)}, "must name the same stages", id="stages"),
        pytest.param(OmniGaitConfig, {"stem_stride": 2, "bins": (128,)}, "end as 8x8, which bins", id="stem"),
        pytest.param(UniCrossGaitConfig, {"has_max_pool": True, "bins": (128,)}, "end as 8x8, which bins", id="pool"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_before_anything_is_built(
    cls: type[SensorConfig], fields: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        cls(**fields)  # type: ignore[arg-type]
