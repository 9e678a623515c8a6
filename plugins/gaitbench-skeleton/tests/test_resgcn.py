from collections.abc import Sequence

import pytest
import torch
from gaitbench_skeleton.graph import hop_adjacency
from gaitbench_skeleton.resgcn import ResGCN

from gaitbench.errors import ShapeError


def small(block: str = "bottleneck", num_streams: int = 2) -> ResGCN:
    torch.manual_seed(0)
    return ResGCN((3, 8, 4), (4, 8, 8), num_streams=num_streams, embedding_width=6, reduction=2, block=block).eval()


def streams(num_frames: int = 9, num_streams: int = 2) -> torch.Tensor:
    return torch.randn(2, num_streams, 3, num_frames, 17, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("branch", "main", "num_streams", "reduction", "size"),
    [
        pytest.param((3, 64, 64, 32), (32, 128, 128, 256, 256), 1, 8, 319_530, id="gaitgraph"),
        pytest.param((5, 64, 32), (32, 128, 256), 3, 8, 350_822, id="gaitgraph2"),
        pytest.param((5, 64, 64, 32), (32, 128, 128, 128, 256, 256, 256), 3, 4, 763_178, id="gaitgraph2-large"),
    ],
)
def test_sizes_are_the_published_ones(
    branch: Sequence[int], main: Sequence[int], num_streams: int, reduction: int, size: int
) -> None:
    network = ResGCN(branch, main, num_streams=num_streams, embedding_width=128, reduction=reduction)
    assert sum(weight.numel() for weight in network.parameters()) == size


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        pytest.param((4, 8, 8, 12, 12), [5, 5, 3, 3], id="where-the-width-changes"),
        pytest.param((4, 8, 8, 8), [5, 5, 5], id="once"),
        pytest.param((4, 4, 4), [5, 5], id="first-block-always"),
    ],
)
def test_time_is_halved_rounded_up(main: Sequence[int], expected: list[int]) -> None:
    network = ResGCN((3, 8, 4), main, num_streams=1, embedding_width=6, reduction=2).eval()
    seen: list[int] = []
    for block in network.main:
        block.register_forward_hook(lambda _module, _args, out: seen.append(out.shape[2]))
    network(streams(9, 1))
    assert seen == expected


def test_a_new_network_holds_the_published_graph_and_masks_of_one() -> None:
    state = small().state_dict()
    adjacency = [value for key, value in state.items() if key.endswith("adjacency")]
    assert len(adjacency) == 2
    assert all(torch.equal(value, hop_adjacency(3)) for value in adjacency)
    edges = [value for key, value in state.items() if key.endswith("edge")]
    assert len(edges) == 6
    assert all(torch.equal(value, torch.ones(4, 17, 17)) for value in edges)


@pytest.mark.parametrize("block", ["bottleneck", "basic"])
def test_the_last_branch_has_the_graph_that_counts_and_hop_3_is_never_read(block: str) -> None:
    network, x = small(block), streams()
    before = network(x)
    with torch.no_grad():
        network.branches[0].adjacency.zero_()
        network.branches[1].adjacency[3].fill_(9.0)
        for name, weight in network.named_parameters():
            if name.endswith("edge"):
                weight[3].fill_(9.0)
    assert torch.equal(network(x), before)
    network.branches[1].adjacency[2].zero_()
    assert not torch.equal(network(x), before)


def test_graph_convolution_agrees_with_loops() -> None:
    block = small().branches[0].blocks[0]
    with torch.no_grad():
        block.edge.copy_(torch.rand(4, 17, 17, generator=torch.Generator().manual_seed(3)))
    x, adjacency = streams()[:, 0], hop_adjacency(3)[:3]
    weight, bias = block.spatial.core.weight[:, :, 0, 0].unflatten(0, (3, 8)), block.spatial.core.bias.view(3, 8)
    expected = torch.zeros(2, 8, 9, 17)
    for hop in range(3):
        sent = torch.einsum("oc,nctv->notv", weight[hop], x) + bias[hop][:, None, None]
        for v in range(17):
            for w in range(17):
                expected[..., w] += sent[..., v] * adjacency[hop, v, w] * block.edge[hop, v, w]
    got: list[torch.Tensor] = []
    block.spatial.norm.register_forward_hook(lambda _module, args, _out: got.append(args[0]))
    block(x, adjacency)
    torch.testing.assert_close(got[0], expected, rtol=1e-4, atol=1e-5)


def test_first_block_of_a_branch_has_no_residual_and_bottlenecks_have_two() -> None:
    network = small()
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if ".norm." in name or ".expand.1." in name:
                weight.zero_()  # the core of every half gives 0, so that only residuals are left
    branch, x = network.branches[0], streams()[:, 0]
    assert not branch.blocks[0](x, branch.adjacency[:3]).any()
    inner = torch.rand(2, 8, 9, 17)
    same = network.main[1]
    torch.testing.assert_close(same(inner, branch.adjacency[:3]), inner)


def test_basic_blocks_have_one_residual_around_the_whole() -> None:
    network = small("basic")
    block = network.main[1]
    with torch.no_grad():
        for weight in block.temporal.norm.parameters():
            weight.zero_()
    inner = torch.rand(2, 8, 9, 17)
    torch.testing.assert_close(block(inner, network.branches[0].adjacency[:3]), inner)


def test_channels_last_gives_the_same_output_and_gradients() -> None:
    x, found = streams(), []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        network = small().train().to(memory_format=memory_format)
        network(x).square().sum().backward()
        found.append([weight.grad for weight in network.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("branch", "main", "message"),
    [
        pytest.param((3,), (4, 8), "need two widths or more", id="no-block"),
        pytest.param((3, 8, 4), (8, 8), "branches end at width 4, but the main part begins with 8", id="gap"),
        pytest.param((3, 1, 4), (4, 8), "a block of width 1 cannot be narrowed 2 times", id="too-narrow"),
    ],
)
def test_widths_that_do_not_fit_are_refused(branch: Sequence[int], main: Sequence[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResGCN(branch, main, num_streams=1, embedding_width=4, reduction=2)


@pytest.mark.parametrize("shape", [(2, 1, 3, 9, 17), (2, 2, 5, 9, 17), (2, 2, 3, 9, 18), (2, 3, 9, 17)])
def test_other_streams_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"streams must be \[N, 2, 3, T, 17\]"):
        small()(torch.zeros(shape))
