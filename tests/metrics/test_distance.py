import math

import pytest
import torch
from torch import Tensor

from gaitbench.errors import ModelError, ShapeError
from gaitbench.metrics import distance as module
from gaitbench.metrics.distance import distance_blocks, part_distance, set_distance


def embeddings(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["euclidean", "cosine"])
def test_agrees_with_a_loop_over_pairs_and_parts(dtype: torch.dtype, kind: str) -> None:
    probe, gallery = embeddings(0, 4, 6, 3, dtype=dtype), embeddings(1, 5, 6, 3, dtype=dtype)
    got = part_distance(probe, gallery, kind=kind)  # type: ignore[arg-type]
    assert got.dtype == torch.float32
    for q in range(4):
        for g in range(5):
            a, b = probe[q].double(), gallery[g].double()
            if kind == "euclidean":
                expected = torch.stack([(a[:, p] - b[:, p]).norm() for p in range(3)]).mean()
            else:
                cosines = [a[:, p] @ b[:, p] / (a[:, p].norm() * b[:, p].norm()) for p in range(3)]
                expected = 1 - torch.stack(cosines).mean()
            assert got[q, g].item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_equal_embeddings_have_distance_exactly_zero(scale: float) -> None:
    one = scale * embeddings(0, 1, 256, 16)
    assert part_distance(one.repeat(7, 1, 1), one.repeat(9, 1, 1)).eq(0).all()


def test_duplicates_in_the_gallery_are_exact_ties_wherever_they_stand() -> None:
    gallery = embeddings(0, 50, 64, 4)
    gallery = torch.cat([gallery, gallery.flip(0), gallery[:3]])
    distance = part_distance(embeddings(1, 33, 64, 4), gallery)
    assert torch.equal(distance[:, :50], distance[:, 50:100].flip(1))
    assert torch.equal(distance[:, :3], distance[:, 100:])


def test_nothing_depends_on_the_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    probe, gallery = embeddings(0, 37, 16, 4), embeddings(1, 29, 16, 4)
    whole = part_distance(probe, gallery)
    monkeypatch.setattr(module, "GALLERY_BLOCK", 7)
    for size in (1, 29, 100, 10_000):
        blocks = list(distance_blocks(probe, gallery, block_elements=size))
        assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
        assert torch.equal(torch.cat([block.distance for block in blocks]), whole)


def test_a_part_of_norm_zero_is_at_right_angles_to_everything() -> None:
    assert part_distance(torch.zeros(1, 2, 1), torch.ones(1, 2, 1), kind="cosine").item() == 1


def test_bad_input() -> None:
    good = torch.zeros(2, 3, 4)
    with pytest.raises(ShapeError, match=r"probe \[2, 3, 4\] and gallery \[2, 3, 5\]"):
        part_distance(good, torch.zeros(2, 3, 5))
    with pytest.raises(ShapeError):
        part_distance(good[0], good[0])
    with pytest.raises(ShapeError, match="no value to compare"):
        part_distance(torch.zeros(2, 0, 4), torch.zeros(2, 0, 4))
    for bad in (math.nan, math.inf):
        broken = good.clone()
        broken[0, 0, 0] = bad
        with pytest.raises(ModelError, match="1 of 24 gallery embedding values are NaN or infinite"):
            part_distance(good, broken)
    with pytest.raises(ValueError, match="'manhattan'"):
        part_distance(good, good, kind="manhattan")  # type: ignore[arg-type]


def test_set_distance_agrees_with_a_loop() -> None:
    rng = torch.Generator().manual_seed(3)
    distance = torch.rand(20, 30, generator=rng)
    probe_set, gallery_set = torch.arange(20) % 4, torch.arange(30) % 6
    got = set_distance(distance, probe_set, gallery_set)
    for p in range(4):
        for g in range(6):
            pairs = distance[probe_set == p][:, gallery_set == g]
            expected = pairs.amin(1).mean() + pairs.amin(0).mean()
            assert got[p, g].item() == pytest.approx(expected.item(), abs=1e-6)


def test_set_distance_bad_input() -> None:
    with pytest.raises(ShapeError, match=r"got distance \[2, 2\], 2 and 3 indices"):
        set_distance(torch.zeros(2, 2), torch.zeros(2).long(), torch.zeros(3).long())
    with pytest.raises(ShapeError, match="without holes"):
        set_distance(torch.zeros(2, 2), torch.tensor([0, 2]), torch.tensor([0, 1]))
    with pytest.raises(ModelError, match="NaN"):
        set_distance(torch.full((1, 1), math.nan), torch.tensor([0]), torch.tensor([0]))
