import pytest
import torch
from gaitbench_baselines.parsinggait import (
    COARSE,
    FINE,
    PRESETS,
    ParsingGait,
    ParsingGaitConfig,
    PartGraph,
    PartGraphConfig,
    symmetric_adjacency,
)

from gaitbench.model import GaitBatch
from gaitbench.testing import check_model
from gaitbench.walkers.solids import PARSING_LABELS

SMALL = {"channels": (4, 6, 8, 10), "embedding_width": 12, "num_classes": 3}


def small(**fields: object) -> ParsingGait:
    torch.manual_seed(0)
    return ParsingGait(ParsingGaitConfig.model_validate({**SMALL, **fields})).eval()


def a_batch(num_frames: int = 4) -> GaitBatch:
    maps = torch.randint(12, (3, 1, num_frames, 64, 44), generator=torch.Generator().manual_seed(0)).float()
    return GaitBatch({"parsing": maps}, {"parsing": torch.full((3,), num_frames)})


@pytest.mark.parametrize(
    ("graphs", "num_parts", "size"),
    [
        ((COARSE,), 21, 8_185_029),
        ((FINE,), 27, 8_983_755),
        ((FINE, COARSE), 32, 10_174_672),
        ((), 16, 6_994_112),
    ],
    ids=["coarse", "fine", "both", "none"],
)
def test_sizes_are_the_published_ones(graphs: tuple[PartGraphConfig, ...], num_parts: int, size: int) -> None:
    with torch.device("meta"):
        model = ParsingGait(ParsingGaitConfig(graphs=graphs))
    neck = sum(weight.numel() for weight in model.neck.parameters())
    assert sum(weight.numel() for weight in model.parameters()) - neck == size
    assert neck == num_parts * 256 * 3000 + 2 * 256 * num_parts


def test_size_with_neck_is_the_published_one() -> None:
    with torch.device("meta"):
        model = ParsingGait(ParsingGaitConfig())
    assert sum(weight.numel() for weight in model.parameters()) == 24_323_781


@pytest.mark.parametrize("fields", [{}, {"graphs": (FINE, COARSE)}, {"graphs": ()}], ids=str)
def test_contract(fields: dict[str, object]) -> None:
    check_model(small(**fields))


def test_order_and_repetition_of_frames_do_not_matter() -> None:
    model, batch = small(graphs=(FINE, COARSE)), a_batch()
    maps = batch.inputs["parsing"][:, :, [2, 0, 3, 3, 1, 2]]
    with torch.no_grad():
        twice = model(GaitBatch({"parsing": maps}, {"parsing": torch.full((3,), 6)})).embedding
        torch.testing.assert_close(twice, model(batch).embedding, rtol=1e-5, atol=1e-6)


def test_nodes_by_hand() -> None:
    graph = PartGraph(PartGraphConfig(parts=((1,), (2, 3)), edges=((0, 1),)), channels=1)
    x = torch.tensor([[4.0, 8.0], [16.0, 40.0]])[None, None]
    labels = torch.tensor([[[1.0, 2.0], [3.0, 0.0]]])
    # Part 1: 3, 2, 4, 10. Parts 2 and 3: 1, 6, 12, 10.
    expected = torch.tensor([[[19 / 4 + 10], [29 / 4 + 12]]])
    torch.testing.assert_close(graph.nodes(x, labels), expected)


def test_weights_of_parts_are_learned_from_three_quarters() -> None:
    graph = PartGraph(COARSE, channels=3)
    assert graph.inside_weight.tolist() == [0.75] * 5
    graph(torch.rand(2, 3, 4, 4), torch.randint(12, (2, 4, 4))).square().sum().backward()
    assert graph.inside_weight.grad is not None
    assert (graph.inside_weight.grad != 0).all()


def test_layers_agree_with_loops() -> None:
    torch.manual_seed(1)
    graph = PartGraph(COARSE, channels=3).eval()
    for layer in graph.layers:
        torch.nn.init.normal_(layer.bias)
        torch.nn.init.normal_(layer.norm.running_mean)
        layer.norm.running_var.uniform_(0.5, 1.5)
    x, labels = torch.rand(2, 3, 4, 4), torch.randint(12, (2, 4, 4))
    nodes = graph.nodes(x, labels)
    neighbours = {0: [0, 1, 2, 3, 4], **{limb: [0, limb] for limb in range(1, 5)}}
    degree = {node: len(others) for node, others in neighbours.items()}
    for layer in graph.layers:
        norm, out = layer.norm, torch.zeros_like(nodes)
        for m in range(len(nodes)):
            for v, others in neighbours.items():
                for w in others:
                    out[m, v] += nodes[m, w] @ layer.weight / (degree[v] * degree[w]) ** 0.5
                out[m, v] += layer.bias
        for v in range(5):
            here = slice(3 * v, 3 * v + 3)
            scaled = (out[:, v] - norm.running_mean[here]) / (norm.running_var[here] + 1e-5).sqrt()
            out[:, v] = scaled * norm.weight[here] + norm.bias[here]
        nodes = out.clamp_min(0)
    torch.testing.assert_close(graph(x, labels), nodes, rtol=1e-4, atol=1e-5)


def test_adjacency_of_the_star() -> None:
    adjacency = symmetric_adjacency(5, COARSE.edges)
    torch.testing.assert_close(adjacency, adjacency.T)
    torch.testing.assert_close(adjacency[0], torch.tensor([1 / 5] + [1 / 10**0.5] * 4))
    torch.testing.assert_close(adjacency[1], torch.tensor([1 / 10**0.5, 0.5, 0, 0, 0]))


def test_labels_without_a_part_belong_to_none() -> None:
    graph = PartGraph(PartGraphConfig(parts=((1,), (2,)), edges=()), channels=2)
    x = torch.rand(1, 2, 3, 3)
    outside = graph.nodes(x, torch.full((1, 3, 3), 200.0))
    torch.testing.assert_close(outside, graph.nodes(x, torch.zeros(1, 3, 3)))


def test_only_the_graph_sees_which_part_a_label_is() -> None:
    """Exchanging two limbs' labels in the graph changes its nodes and leaves the strips."""
    model = small()
    parts = ((1, 2, 11), (4, 6), (3, 5), (7, 9), (8, 10))
    swapped = small(graphs=(PartGraphConfig(name="coarse", parts=parts, edges=COARSE.edges),))
    swapped.load_state_dict(model.state_dict())
    with torch.no_grad():
        ours, theirs = model(a_batch()).embedding, swapped(a_batch()).embedding
    torch.testing.assert_close(ours[..., :16], theirs[..., :16])
    assert (ours[..., 17] - theirs[..., 17]).abs().max() > 1e-6


def test_quick_parts_cover_the_walkers_labels() -> None:
    (graph,) = PRESETS["quick"].config["graphs"]  # type: ignore[misc]
    words = [{PARSING_LABELS[label] for label in part} for part in graph["parts"]]
    assert words[0] == {"head", "hair", "torso", "coat"}
    assert [sorted(word.split()[0] for word in part) for part in words[1:]] == [["left"] * 2, ["right"] * 2] * 2


def test_impossible_graphs_are_refused() -> None:
    with pytest.raises(ValueError, match="do not join two of the 2 nodes"):
        PartGraphConfig(parts=((1,), (2,)), edges=((0, 2),))
    with pytest.raises(ValueError, match="do not join"):
        PartGraphConfig(parts=((1,), (2,)), edges=((1, 1),))
    with pytest.raises(ValueError, match="each node a label"):
        PartGraphConfig(parts=((1,), ()), edges=())
    with pytest.raises(ValueError, match="names of their own, got coarse, coarse"):
        ParsingGaitConfig(graphs=(COARSE, COARSE))


def test_neighbours_in_the_fine_graph() -> None:
    words = ["head", "torso", "l arm", "r arm", "l hand", "r hand", "l leg", "r leg", "l foot", "r foot", "dress"]
    joined = {tuple(sorted((words[a], words[b]))) for a, b in FINE.edges}
    body = {("head", "torso"), *((f"{side} {a}", "torso") for side in "lr" for a in ("arm", "leg"))}
    limbs = {(f"{side} arm", f"{side} hand") for side in "lr"} | {(f"{side} foot", f"{side} leg") for side in "lr"}
    dress = {("dress", word) for word in ("head", "l arm", "r arm", "l leg", "r leg")}
    assert joined == body | limbs | dress
