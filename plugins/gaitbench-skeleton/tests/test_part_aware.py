import pytest
import torch
from gaitbench_skeleton.gpgait import ARMS, HALVES, LIMBS, THIRDS, WHOLE
from gaitbench_skeleton.part_aware import PartAwareBlock, PartAwareConv, PartAwareTemporalBlock, part_mask, subgraph

EVERYONE = tuple(range(17))
BODY = tuple(range(5, 17))


def conv(attention: str, partition: tuple[tuple[int, ...], ...] = LIMBS) -> PartAwareConv:
    torch.manual_seed(0)
    return PartAwareConv(3, 8, subgraph(EVERYONE), part_mask(partition, EVERYONE), attention)  # type: ignore[arg-type]


def test_columns_of_the_skeleton_add_up_to_one() -> None:
    for joints in (EVERYONE, BODY):
        adjacency = subgraph(joints)
        assert adjacency.shape == (3, len(joints), len(joints))
        torch.testing.assert_close(adjacency.sum(dim=(0, 1)), torch.ones(len(joints)))


@pytest.mark.parametrize("attention", ["sequence", "frame"])
def test_weights_agree_with_loops(attention: str) -> None:
    graph = conv(attention)
    x = torch.randn(2, 3, 4, 17)
    query, key = (torch.cat([conv(x) for conv in convs], dim=1) for convs in (graph.queries, graph.keys))
    got = graph.weights(x)
    for k in range(3):
        q, p = query[:, 2 * k : 2 * k + 2], key[:, 2 * k : 2 * k + 2]  # C' = 8 / 4
        each = torch.stack([q[:, :, t].transpose(1, 2) @ p[:, :, t] for t in range(4)], dim=1)  # [N, T, V, V]
        logits = each / 2 if attention == "frame" else each.sum(dim=1) / (2 * 4)
        expected = (graph.adjacency[k] + 1e-6 + logits.softmax(dim=-2)) * graph.mask
        torch.testing.assert_close(got[:, k], expected)


def test_columns_of_the_attention_add_up_to_one() -> None:
    graph = conv("sequence", WHOLE)
    attention = graph.weights(torch.randn(2, 3, 4, 17)) - graph.adjacency - graph.learned
    torch.testing.assert_close(attention.sum(dim=-2), torch.ones(2, 3, 17))


@pytest.mark.parametrize("block", [PartAwareBlock, PartAwareTemporalBlock])
@pytest.mark.parametrize("partition", [LIMBS, HALVES, THIRDS])
def test_parts_hear_nothing_of_each_other(block: type, partition: tuple[tuple[int, ...], ...]) -> None:
    torch.manual_seed(0)
    model = block(3, 8, subgraph(EVERYONE), part_mask(partition, EVERYONE), "softmax").eval()
    x = torch.randn(1, 3, 5, 17)
    first, others = list(partition[0]), [joint for joint in EVERYONE if joint not in partition[0]]
    changed = x.clone()
    changed[..., first[1]] += 1
    with torch.no_grad():
        moved = (model(changed) - model(x)).abs().amax(dim=(0, 1, 2))
    assert moved[first].min() > 1e-6
    assert moved[others].max() == 0


def test_by_default_attention_to_other_parts_is_dropped() -> None:
    x = torch.randn(2, 3, 4, 17)
    dropped, shared = conv("sequence"), conv("sequence")
    shared.masking = "softmax"
    fixed = (dropped.adjacency + dropped.learned) * dropped.mask
    ours, theirs = dropped.weights(x) - fixed, shared.weights(x) - fixed
    assert not ours[..., dropped.mask == 0].any()
    assert (ours.sum(dim=-2) < 0.9).all()
    torch.testing.assert_close(theirs.sum(dim=-2), torch.ones(2, 3, 17))
    # Within a part, both share attention out in the same proportions.
    torch.testing.assert_close(ours / ours.sum(dim=-2, keepdim=True), theirs)


@pytest.mark.parametrize(("partition", "num_parts"), [(WHOLE, 1), (LIMBS, 5), (ARMS, 2), (HALVES, 2), (THIRDS, 3)])
def test_partitions_cover_the_body(partition: tuple[tuple[int, ...], ...], num_parts: int) -> None:
    assert len(partition) == num_parts
    assert {joint for part in partition for joint in part} == set(EVERYONE)
    mask = part_mask(partition, EVERYONE)
    torch.testing.assert_close(mask, mask.T)
    assert (mask.diagonal() == 1).all()


def test_arms_are_apart_from_head_and_legs() -> None:
    mask = part_mask(ARMS, EVERYONE)
    assert mask[5, 10] == 1
    assert mask[0, 16] == 1
    assert mask[5, 0] == mask[5, 11] == 0


def test_masks_of_the_body_go_without_the_head() -> None:
    mask = part_mask(LIMBS, BODY)
    assert mask.shape == (12, 12)
    assert mask.sum() == 4 * 9


def test_padding_is_not_attended_to() -> None:
    graph = conv("sequence")
    x = torch.randn(1, 3, 4, 17)
    padded = torch.cat([x, torch.full((1, 3, 2, 17), 9.0)], dim=2)
    is_padding = torch.tensor([[False] * 4 + [True] * 2])
    torch.testing.assert_close(graph.weights(padded, is_padding), graph.weights(x))
    assert (graph.weights(padded) - graph.weights(x)).abs().max() > 1e-3


def test_temporal_block_sees_four_frames_either_way() -> None:
    torch.manual_seed(0)
    block = PartAwareTemporalBlock(3, 8, subgraph(EVERYONE), part_mask(WHOLE, EVERYONE)).eval()
    x = torch.randn(1, 3, 15, 17)
    changed = x.clone()
    changed[:, :, 7] += 1
    with torch.no_grad():
        moved = (block(changed) - block(x)).abs().amax(dim=(0, 1, 3)) > 1e-7
    assert moved.tolist() == [abs(t - 7) <= 4 for t in range(15)]


def test_temporal_block_is_cut_into_thirds() -> None:
    block = PartAwareTemporalBlock(3, 64, subgraph(EVERYONE), part_mask(WHOLE, EVERYONE))
    assert [block.temporal.out_channels, block.still[0].out_channels, block.skip.out_channels] == [22, 21, 21]


def test_temporal_block_agrees_with_its_parts() -> None:
    """Graph beside joint; then time beside joint beside input, each normed by itself, some of them activated."""
    torch.manual_seed(0)
    block = PartAwareTemporalBlock(3, 8, subgraph(EVERYONE), part_mask(LIMBS, EVERYONE))
    for module in block.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            module.running_var.uniform_(0.5, 1.5)
    block.eval()
    x, mish = torch.randn(2, 3, 5, 17), torch.nn.functional.mish
    with torch.no_grad():
        inner = torch.cat([mish(block.norm(block.graph(x))), block.joint[1](block.joint[0](x))], dim=1)
        time = block.temporal_norm(mish(block.temporal(inner)))
        still, skip = block.still[1](block.still[0](inner)), block.skip_norm(mish(block.skip(x)))
        torch.testing.assert_close(block(x), torch.cat([time, still, skip], dim=1))
    assert [part.shape[1] for part in (time, still, skip)] == [3, 2, 3]


def test_without_masking_the_whole_body_is_seen() -> None:
    free = PartAwareConv(3, 8, subgraph(EVERYONE), part_mask(LIMBS, EVERYONE), "frame", "none")
    weights = free.weights(torch.randn(1, 3, 2, 17))
    torch.testing.assert_close(weights.sum(dim=(1, 3)), 4 + 3 * 17e-6 + torch.zeros(1, 2, 17))
