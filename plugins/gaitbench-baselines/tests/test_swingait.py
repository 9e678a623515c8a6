"""SwinGait: sizes, the part too many, and attention within shifted windows against a slow version."""

from pathlib import Path

import pytest
import torch
from gaitbench_baselines import swingait
from gaitbench_baselines.deepgaitv2 import DeepGaitV2, DeepGaitV2Config
from gaitbench_baselines.swingait import SwinGait, SwinGaitConfig
from gaitbench_baselines.video_swin import VideoSwin
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from gaitbench.model import GaitBatch
from gaitbench.optim import build_optimizer
from gaitbench.recipe import Stage, StartWeights
from gaitbench.start_weights import start_weights
from gaitbench.testing import check_model

SMALL = {
    "channels": (4, 6),
    "num_blocks": (1, 1),
    "widths": (8, 12),
    "depths": (2, 2),
    "heads": (2, 2),
    "embedding_width": 12,
    "num_classes": 3,
}


def small(**fields: object) -> SwinGait:
    torch.manual_seed(0)
    return SwinGait(SwinGaitConfig(**{**SMALL, **fields})).eval()


def batch_of(num_frames: int, num_clips: int = 4) -> GaitBatch:
    clips = torch.rand(num_clips, 1, num_frames, 64, 44, generator=torch.Generator().manual_seed(1)).round()
    lengths = torch.full((num_clips,), num_frames)
    return GaitBatch({"silhouette": clips}, {"silhouette": lengths}, labels=torch.arange(num_clips) // 2)


def slow_block(block: nn.Module, x: Tensor, window: tuple[int, int, int], is_shifted: bool) -> Tensor:
    """One block on one clip ``[T, H, W, C]``: every pair of tokens is asked whether it shares a window."""
    clip = x.shape[:3]
    fitted = [min(a, b) for a, b in zip(clip, window, strict=True)]
    padded = [-(-a // b) * b for a, b in zip(clip, fitted, strict=True)]
    shift = [w // 2 if is_shifted and c > w else 0 for c, w in zip(clip, window, strict=True)]
    inner = torch.zeros(*padded, x.shape[3])
    inner[: clip[0], : clip[1], : clip[2]] = block.norm1(x)
    places = [(t, h, w) for t in range(padded[0]) for h in range(padded[1]) for w in range(padded[2])]
    tokens = torch.stack([inner[place] for place in places])
    attention, heads = block.attention, block.attention.heads
    query, key, value = attention.qkv(tokens).view(len(places), 3, heads, -1).unbind(1)
    rolled = [[(p - s) % n for p, s, n in zip(place, shift, padded, strict=True)] for place in places]
    scores = torch.full((heads, len(places), len(places)), -torch.inf)
    for i, a in enumerate(rolled):
        for j, b in enumerate(rolled):
            if all(p // size == q // size for p, q, size in zip(a, b, fitted, strict=True)):
                offset = [p - q for p, q in zip(a, b, strict=True)]
                row = (offset[0] + 2) * 45 + (offset[1] + 2) * 9 + (offset[2] + 4)
                score = (query[i] * key[j]).sum(1) * query.shape[2] ** -0.5 + attention.position_bias[row]
                is_torn = any((p >= s) != (q >= s) for p, q, s in zip(places[i], places[j], shift, strict=True))
                scores[:, i, j] = score - 100 * is_torn
    mixed = torch.einsum("hij,jhd->ihd", scores.softmax(2), value).flatten(1)
    out = attention.proj(mixed).view(*padded, -1)[: clip[0], : clip[1], : clip[2]]
    x = x + out
    return x + block.mlp(block.norm2(x))


@pytest.mark.parametrize(
    "clip", [(4, 6, 10), (3, 6, 10), (1, 3, 10), (2, 6, 5), (5, 4, 7)], ids=lambda clip: "x".join(map(str, clip))
)
@torch.no_grad()
def test_attention_agrees_with_a_slow_version(clip: tuple[int, int, int]) -> None:
    torch.manual_seed(0)
    net = VideoSwin(3, widths=(8,), depths=(2,), heads=(2,), patch_px=(1, 1)).eval()
    for weight in net.parameters():
        weight.normal_(0, 0.4)
    x = torch.randn(1, 3, *clip)
    tokens = net.patch_norm(net.patch(x).permute(0, 2, 3, 4, 1))[0]
    plain, shifted = net.stages[0].blocks
    tokens = slow_block(plain, tokens, (3, 3, 5), is_shifted=False)
    tokens = slow_block(shifted, tokens, (3, 3, 5), is_shifted=True)
    torch.testing.assert_close(net(x)[0].permute(1, 2, 3, 0), net.norm(tokens), rtol=1e-3, atol=1e-4)


def test_bias_table_has_a_row_for_every_offset() -> None:
    attention = VideoSwin(3, widths=(8,), depths=(1,), heads=(2,)).stages[0].blocks[0].attention
    index = attention.position_index.view(3, 3, 5, 3, 3, 5)
    assert attention.position_bias.shape == (225, 2)
    assert index[0, 0, 0, 0, 0, 0] == 2 * 45 + 2 * 9 + 4
    assert index[2, 0, 4, 0, 1, 0] == (2 + 2) * 45 + (-1 + 2) * 9 + (4 + 4)
    assert index.unique().tolist() == list(range(225))


def test_sizes_are_those_published() -> None:
    def count(**fields: object) -> int:
        with torch.device("meta"):
            return sum(weight.numel() for weight in SwinGait(SwinGaitConfig(**fields)).parameters())

    shallow = {"num_blocks": (1, 1), "depths": (2, 2)}
    assert count() == 25_539_136
    assert count(num_classes=250, **shallow) == 11_653_920
    assert count(num_classes=100, **shallow) == 11_039_520


@pytest.mark.parametrize("num_frames", [3, 7])
def test_contract(num_frames: int) -> None:
    check_model(small(), num_frames=num_frames)


def test_one_part_more_has_parameters_than_is_shown() -> None:
    model = small()
    assert model.head.weight.shape[0] == model.neck.weight.shape[0] == 16
    batch = batch_of(5)
    with torch.no_grad():
        before = model(batch)
        model.head.weight[15].add_(1)
        model.neck.weight[15].add_(1)
        after = model(batch)
    assert before.embedding.shape == (4, 12, 15)
    assert before.logits.shape == (4, 3, 15)
    assert torch.equal(before.embedding, after.embedding)
    assert torch.equal(before.logits, after.logits)
    with torch.no_grad():
        neck = small(embedding="neck")(batch)
    torch.testing.assert_close(neck.embedding.norm(dim=1), torch.ones(4, 15))


def test_the_copied_part_gives_no_gradient() -> None:
    model = small().train()
    parts = torch.randn(4, 12, 15, requires_grad=True)
    output = model.embed_parts(parts)
    sum(model.losses(output, batch_of(2), Stage()).values()).backward()
    assert parts.grad.isfinite().all()
    assert model.head.weight.grad[15].abs().max() == 0 < model.head.weight.grad[14].abs().max()


def test_skipped_blocks_are_made_up_for() -> None:
    torch.manual_seed(0)
    block = VideoSwin(3, widths=(8,), depths=(3,), heads=(2,), drop_path=0.5).stages[0].blocks
    assert [part.drop_path for part in block] == [0, 0.25, 0.5]
    x = torch.ones(4000, 1, 1, 1, 1)
    kept = block[2].train()._drop(x)
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert abs(float(kept.mean()) - 1) < 0.1
    assert torch.equal(block[2].eval()._drop(x), x)


def test_a_trained_deepgaitv2_is_the_start(tmp_path: Path) -> None:
    """Stem, first stages, head and neck are called alike in both; the transformer starts afresh."""
    sizes = {"channels": (4, 6, 8, 12), "num_blocks": (1, 1, 1, 1), "embedding_width": 12, "num_classes": 3}
    torch.manual_seed(5)
    trained = DeepGaitV2(DeepGaitV2Config.model_validate(sizes))
    save_file(trained.state_dict(), tmp_path / "w.safetensors")
    model = small()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    taken = start_weights(model, StartWeights(path=tmp_path / "w.safetensors"))
    theirs, after = trained.state_dict(), model.state_dict()
    same = [key for key in after if key in theirs]
    assert taken == len(same)
    assert {key.split(".")[0] for key in same} == {"stem", "stages", "head", "neck"}
    assert [key for key in after if key not in theirs and not key.startswith("transformer.")] == []
    assert all(torch.equal(after[key], theirs[key] if key in theirs else before[key]) for key in after)


def test_groups_of_the_optimizer() -> None:
    model = small()
    (stage,) = swingait.PRESETS["paper"].recipe.stages
    assert (stage.iterations, stage.schedule.cosine_steps, stage.schedule.update_every) == (80_000, 60_000, 1000)
    groups = {
        (round(group["lr"], 9), group["weight_decay"]): group["params"]
        for group in build_optimizer(model, stage.optimizer).param_groups
    }
    assert set(groups) == {(3e-5, 0.02), (3e-4, 0.0), (3e-4, 0.02)}
    sizes = {key: {id(weight) for weight in params} for key, params in groups.items()}
    block = model.transformer.stages[0].blocks[0]
    for weight in (model.transformer.patch.weight, block.norm1.bias, block.attention.position_bias):
        assert id(weight) in sizes[3e-4, 0.0]
    for weight in (block.attention.qkv.weight, block.mlp[0].bias, model.transformer.stages[0].widen.weight):
        assert id(weight) in sizes[3e-4, 0.02]
    for weight in (model.stem[0].weight, model.stages[1][0].norm1.weight, model.head.weight, model.neck.weight):
        assert id(weight) in sizes[3e-5, 0.02]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"depths": (2, 2, 2)}, "must name the same stages"),
        ({"heads": (3, 2)}, r"must divide widths \(8, 12\)"),
        ({"map_px": (31, 20)}, r"do not fill maps of \(31, 20\)"),
    ],
)
def test_sizes_must_agree(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SwinGaitConfig(**{**SMALL, **fields})


def test_maps_are_resized_with_aligned_corners() -> None:
    frames = torch.arange(32.0)[:, None].expand(1, 1, 32, 22)
    resized = small()._resize(frames)
    torch.testing.assert_close(resized[0, 0, :, 0], torch.linspace(0, 31, 30))
    assert resized.shape == (1, 1, 30, 20)
    assert not torch.allclose(resized, functional.interpolate(frames, size=(30, 20), mode="bilinear"))
