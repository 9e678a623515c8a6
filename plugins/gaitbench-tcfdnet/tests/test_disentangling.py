from typing import Any

import pytest
import torch
from gaitbench_tcfdnet.config import TcfdNetConfig
from gaitbench_tcfdnet.disentangling import Disentangling, retrieve
from torch import nn
from torch.nn import functional

from gaitbench.errors import ModelError


def made(sizes: dict[str, Any], **fields: Any) -> Disentangling:
    torch.manual_seed(0)
    return Disentangling(TcfdNetConfig(**{**sizes, **fields}))


@pytest.mark.parametrize("seed", range(4))
def test_retrieval_never_mixes_modalities(seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    bank, queries = torch.randn(2, 9, 5, generator=rng), torch.randn(6, 5, generator=rng)
    kind = torch.tensor([0, 1, 0, 1, 1, 0])
    found = retrieve(queries, bank, kind, 3)
    for row in range(6):
        cosines = functional.cosine_similarity(queries[row][None], bank[kind[row]], dim=1)
        order = sorted(range(9), key=lambda number: -float(cosines[number]))[:3]
        assert found.numbers[row].tolist() == order
        assert found.similarity[row].tolist() == pytest.approx(cosines[order].tolist(), abs=1e-6)
    # Whatever the other modality's sentences are, even the query itself, they are not looked at.
    changed = bank.clone()
    changed[1] = queries[0]
    assert torch.equal(retrieve(queries[:1], changed, kind[:1], 3).numbers, found.numbers[:1])


@pytest.mark.parametrize("count", [1, 3, 6])
def test_among_equals_the_first_ones_are_retrieved_whoever_else_asks(count: int) -> None:
    bank = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [2.0, 0.0], [3.0, 0.0], [0.5, 0.0]])[None]
    queries = torch.tensor([[1.0, 0.0]]).repeat(40, 1)
    expected = [1, 3, 4, 5, 2, 0][:count]
    for asked in (1, 7, 40):
        found = retrieve(queries[:asked], bank, torch.zeros(asked, dtype=torch.long), count)
        assert found.numbers.tolist() == [expected] * asked


@pytest.mark.parametrize("count", [0, 4])
def test_more_than_there_are_cannot_be_retrieved(count: int) -> None:
    with pytest.raises(ModelError, match=f"{count} of 3 prototypes of each modality"):
        retrieve(torch.ones(1, 2), torch.ones(2, 3, 2), torch.tensor([0]), count)


def test_as_many_as_there_are_is_all_of_them() -> None:
    rng = torch.Generator().manual_seed(0)
    found = retrieve(torch.randn(2, 4, generator=rng), torch.randn(2, 5, 4, generator=rng), torch.tensor([1, 0]), 5)
    assert [sorted(row) for row in found.numbers.tolist()] == [[0, 1, 2, 3, 4]] * 2


def test_parts_add_up_and_follow_the_formulas(sizes: dict[str, Any]) -> None:
    tfd = made(sizes, tau=0.5)
    maps, prototypes = torch.randn(3, 8, 4, 5), torch.randn(3, 4, 8)
    found = tfd(maps, prototypes)
    torch.testing.assert_close(found.shared + found.modality, maps)
    assert tfd.project is not None
    for row in range(3):
        gate = torch.sigmoid(tfd.gate(maps[row].mean(dim=(1, 2))))
        torch.testing.assert_close(found.gate[row], gate)
        units = functional.normalize(tfd.project(prototypes[row]), dim=1)  # [k, D]
        for place in ((0, 0), (3, 4), (2, 1)):
            u = maps[row][:, place[0], place[1]]
            omega = torch.softmax(torch.stack([functional.cosine_similarity(u, v, dim=0) for v in units]) / 0.5, dim=0)
            expected = gate * tfd.combine(omega @ units)
            torch.testing.assert_close(found.modality[row][:, place[0], place[1]], expected)


def test_with_alpha_0_the_shared_feature_is_the_feature(sizes: dict[str, Any]) -> None:
    tfd = made(sizes)
    last = tfd.gate[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(-torch.inf)
    maps = torch.randn(2, 8, 4, 4)
    found = tfd(maps, torch.randn(2, 4, 8))
    assert torch.equal(found.shared, maps)
    assert not found.gate.any()


def test_little_is_taken_away_at_first(sizes: dict[str, Any]) -> None:
    gate = made(sizes)(torch.zeros(2, 8, 4, 4), torch.randn(2, 4, 8)).gate
    assert gate.flatten().tolist() == pytest.approx([1 / (1 + 2.718281828**2)] * 16, abs=1e-6)


def test_gradients_reach_features_and_prototypes(sizes: dict[str, Any]) -> None:
    maps, prototypes = torch.randn(2, 8, 4, 4, requires_grad=True), torch.randn(2, 4, 8, requires_grad=True)
    made(sizes)(maps, prototypes).modality.square().sum().backward()
    assert maps.grad is not None
    assert prototypes.grad is not None
    assert maps.grad.any()
    assert prototypes.grad.any()


def test_prototypes_come_where_they_are_read(sizes: dict[str, Any]) -> None:
    maps = torch.randn(2, 8, 4, 4)
    with pytest.raises(ModelError, match="prototypes come where"):
        made(sizes)(maps, None)
    with pytest.raises(ModelError, match="prototypes come where"):
        made(sizes, prototypes="none")(maps, torch.randn(2, 4, 8))
    assert made(sizes, prototypes="none")(maps, None).modality.shape == maps.shape
