import pytest
import torch
from gaitbench_skeleton.graph import (
    COCO_EDGES,
    COCO_PARENTS,
    COCO_SWAP,
    NUM_JOINTS,
    hop_adjacency,
    hop_distance,
    propagate,
)

NEIGHBOURS = [7, 9, 9, 13, 13, 16, 16, 11, 11, 6, 6, 14, 14, 9, 9, 5, 5]
"""Joints within three hops of each joint, itself included, as published."""


def test_graph_of_the_published_networks() -> None:
    adjacency = hop_adjacency(3)
    assert (adjacency > 0).sum(dim=(1, 2)).tolist() == [17, 36, 50, 70]
    torch.testing.assert_close(1 / adjacency[0].diagonal(), torch.tensor(NEIGHBOURS).float())


@pytest.mark.parametrize("max_hop", [0, 1, 2, 3, 9])
def test_columns_of_the_sum_add_up_to_one(max_hop: int) -> None:
    torch.testing.assert_close(hop_adjacency(max_hop).sum(dim=(0, 1)), torch.ones(NUM_JOINTS))


def test_matrices_of_all_hops_share_one_divisor_per_column() -> None:
    adjacency = hop_adjacency(3)
    for joint, count in enumerate(NEIGHBOURS):
        column = adjacency[:, :, joint]
        torch.testing.assert_close(column[column > 0], torch.full((count,), 1 / count))


def test_hops_agree_with_powers_of_the_edge_matrix() -> None:
    step = torch.eye(NUM_JOINTS)
    for a, b in COCO_EDGES:
        step[a, b] = step[b, a] = 1
    distance = hop_distance()
    for hop in range(NUM_JOINTS):
        assert torch.equal(torch.linalg.matrix_power(step, hop) > 0, distance <= hop)


def test_sides_mirror_each_other() -> None:
    swap = list(COCO_SWAP)
    assert [swap[swap[joint]] for joint in range(NUM_JOINTS)] == list(range(NUM_JOINTS))
    assert {frozenset((swap[a], swap[b])) for a, b in COCO_EDGES} == {frozenset(edge) for edge in COCO_EDGES}
    # The nose is the one joint whose bone is not mirrored: it starts from the left shoulder.
    parents = COCO_PARENTS
    assert [joint for joint in range(NUM_JOINTS) if swap[parents[joint]] != parents[swap[joint]]] == [0]


def test_propagation_agrees_with_loops() -> None:
    rng = torch.Generator().manual_seed(0)
    x, adjacency = torch.randn(2, 3 * 4, 5, 6, generator=rng), torch.randn(3, 6, 6, generator=rng)
    expected = torch.zeros(2, 4, 5, 6)
    for k in range(3):
        for v in range(6):
            for w in range(6):
                expected[..., w] += x[:, 4 * k : 4 * k + 4, :, v] * adjacency[k, v, w]
    torch.testing.assert_close(propagate(x, adjacency), expected)


def test_impossible_graphs_are_refused() -> None:
    with pytest.raises(ValueError, match="max_hop must be 0 or more, got -1"):
        hop_adjacency(-1)
    with pytest.raises(ValueError, match=r"edges \[\(0, 3\)\] name joints outside 0\.\.2"):
        hop_distance([(0, 1), (0, 3)], 3)
