"""The human skeleton as a graph: who is joined to whom, how many hops apart, and which joint mirrors which.

Axes: N batch, C channels, T frames, V = 17 joints in COCO's order, K subsets of neighbours, such as hop distances.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["COCO_EDGES", "COCO_PARENTS", "COCO_SWAP", "NUM_JOINTS", "hop_adjacency", "hop_distance", "propagate"]

NUM_JOINTS = 17
"""Nose; eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, each left before right."""

COCO_EDGES = (
    *((0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 6), (5, 7), (7, 9)),
    *((6, 8), (8, 10), (5, 11), (6, 12), (11, 12), (11, 13), (13, 15), (12, 14), (14, 16)),
)
"""Pairs of joints that are joined."""

COCO_PARENTS = (5, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14)
"""The joint that each joint's bone starts from; the nose hangs on the left shoulder, as in the published code."""

COCO_SWAP = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""The joint on the other side of the body."""


def hop_distance(edges: Sequence[tuple[int, int]] = COCO_EDGES, num_joints: int = NUM_JOINTS) -> Tensor:
    """Count the edges on the shortest way between any two joints.

    Args:
        edges: Undirected.
        num_joints: V.

    Returns:
        ``[V, V]`` int64, symmetric; V where there is no way.

    Raises:
        ValueError: An edge names a joint that does not exist.

    Example:
        >>> hop_distance([(0, 1), (1, 2)], 4)
        tensor([[0, 1, 2, 4],
                [1, 0, 1, 4],
                [2, 1, 0, 4],
                [4, 4, 4, 0]])
    """
    if wrong := [edge for edge in edges if not all(0 <= joint < num_joints for joint in edge)]:
        raise ValueError(f"edges {wrong} name joints outside 0..{num_joints - 1}")
    distance = torch.full((num_joints, num_joints), num_joints)
    distance.fill_diagonal_(0)
    for a, b in edges:
        distance[a, b] = distance[b, a] = 1
    for via in range(num_joints):  # Floyd and Warshall
        distance = torch.minimum(distance, distance[:, via, None] + distance[None, via])
    return distance.clamp_max_(num_joints)


def hop_adjacency(max_hop: int, edges: Sequence[tuple[int, int]] = COCO_EDGES, num_joints: int = NUM_JOINTS) -> Tensor:
    """Give one matrix per hop distance, normalised together.

    Args:
        max_hop: Largest distance, 0 or more.
        edges: Undirected.
        num_joints: V.

    Returns:
        ``[max_hop + 1, V, V]`` float32: entry ``[k, v, w]`` is 1 over the number of joints within ``max_hop`` of w,
        w included, where v and w are k hops apart; else 0. Columns of the sum over k add up to 1.

    Raises:
        ValueError: ``max_hop`` is negative, or an edge names a joint that does not exist.

    Source:
        Song et al., "Stronger, Faster and More Explainable: A Graph Convolutional Baseline for Skeleton-Based Action
        Recognition" (ResGCN), ACM MM 2020: distance partition up to a maximum graph distance; Yan et al., "Spatial
        Temporal Graph Convolutional Networks", AAAI 2018, section "Partition Strategies".

    Example:
        >>> hop_adjacency(1, [(0, 1), (1, 2)], 3).sum(dim=0)
        tensor([[0.5000, 0.3333, 0.0000],
                [0.5000, 0.3333, 0.5000],
                [0.0000, 0.3333, 0.5000]])
    """
    if max_hop < 0:
        raise ValueError(f"max_hop must be 0 or more, got {max_hop}")
    distance = hop_distance(edges, num_joints)
    adjacency = torch.stack([(distance == hop).float() for hop in range(max_hop + 1)])
    return adjacency / adjacency.sum(dim=(0, 1))


def propagate(x: Tensor, adjacency: Tensor) -> Tensor:
    """Sum what every joint sends to its neighbours, each subset of neighbours with features of its own.

    Args:
        x: ``[N, K * C, T, V]``, the subset slowest among the channels.
        adjacency: ``[K, V, V]``, from the sending joint (second axis) to the receiving one (third).

    Returns:
        ``[N, C, T, V]``: at joint w, the sum over k and v of ``x[k, v] * adjacency[k, v, w]``.

    Source:
        Yan et al., "Spatial Temporal Graph Convolutional Networks", AAAI 2018, section "Implementing ST-GCN".

    Example:
        >>> x = torch.tensor([1.0, 2.0, 10.0, 20.0]).reshape(1, 2, 1, 2)  # two subsets of one channel
        >>> propagate(x, torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]]))
        tensor([[[[21., 12.]]]])
    """
    return torch.einsum("nkctv,kvw->nctw", x.unflatten(1, (len(adjacency), -1)), adjacency)
