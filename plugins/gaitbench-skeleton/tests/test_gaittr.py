import pytest
import torch
from gaitbench_skeleton.gaittr import GaitTR, GaitTRConfig
from gaitbench_skeleton.streams import ten_channels
from pydantic import ValidationError
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.losses import batch_all_triplet, batch_hard_triplet
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage


def small(**fields: object) -> GaitTR:
    torch.manual_seed(0)
    config = {"channels": (10, 16, 16, 24), "num_heads": 2, "embedding_width": 6, **fields}
    model = GaitTR(GaitTRConfig.model_validate(config))
    for module in model.modules():  # statistics that a test would miss if they were 0 and 1
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
    return model.eval()


def joints(num_frames: int = 7, num_clips: int = 2) -> torch.Tensor:
    return torch.randn(num_clips, 3, num_frames, 17, generator=torch.Generator().manual_seed(5))


def embed(model: GaitTR, x: torch.Tensor, lengths: list[int] | None = None) -> torch.Tensor:
    num_frames = torch.tensor(lengths or [x.shape[2]] * len(x))
    with torch.no_grad():
        return model(GaitBatch({"skeleton2d": x}, {"skeleton2d": num_frames})).embedding


@pytest.mark.parametrize(("width", "size"), [(128, 512_010), (256, 544_906)])
def test_sizes_are_the_published_ones(width: int, size: int) -> None:
    assert sum(weight.numel() for weight in GaitTR(GaitTRConfig(embedding_width=width)).parameters()) == size


def test_attention_rows_add_up_to_one() -> None:
    attention = small().blocks[0].spatial.attention
    query, key = torch.randn(2, 2, 4, 5, 17)
    weights = attention.weights(query, key)
    assert weights.shape == (2, 2, 5, 17, 17)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 2, 5, 17))


def test_attention_agrees_with_loops() -> None:
    attention, x = small().blocks[0].spatial.attention, torch.randn(2, 10, 3, 17)
    every = attention.query_key_value(x)
    expected = torch.zeros(2, 16, 3, 17)
    for n in range(2):
        for t in range(3):
            for head in range(2):
                query = every[n, 2 * head : 2 * head + 2, t].T  # [V, 2]
                key = every[n, 4 + 2 * head : 6 + 2 * head, t].T
                value = every[n, 8 + 8 * head : 16 + 8 * head, t].T  # [V, 8]
                scores = (query @ key.T) / 2**0.5
                expected[n, 8 * head : 8 * head + 8, t] = (scores.softmax(dim=1) @ value).T
    torch.testing.assert_close(attention(x), attention.merge(expected), rtol=1e-4, atol=1e-5)


def test_batch_norms_index_joints_and_channels_as_published() -> None:
    model, x = small(), joints()
    seen: dict[str, torch.Tensor] = {}
    model.norm.register_forward_hook(lambda _module, args, _out: seen.update(first=args[0]))
    model.blocks[0].spatial.joint_norm.register_forward_hook(lambda _module, args, _out: seen.update(joint=args[0]))
    model.blocks[0].temporal.register_forward_hook(lambda _module, args, out: seen.update(x=args[0], change=out))
    embed(model, x)
    channels = ten_channels(x)
    torch.testing.assert_close(seen["first"][3, 16 * 10 + 7], channels[0, 7, 3, 16])  # joint * 10 + channel
    inner = seen["x"] + seen["change"]
    torch.testing.assert_close(seen["joint"][3, 7 * 17 + 16], inner[0, 7, 3, 16])  # channel * 17 + joint


def test_blocks_agree_with_their_formula() -> None:
    block, u = small().blocks[2], torch.randn(2, 16, 5, 17)
    temporal, spatial = block.temporal, block.spatial
    a = u + temporal.norm(functional.mish(temporal.conv(u)))
    rows = a.permute(0, 2, 1, 3).reshape(10, 16 * 17)
    normed = spatial.joint_norm(rows).reshape(2, 5, 16, 17).permute(0, 2, 1, 3)
    conv, norm = block.shortcut
    b = spatial.norm(functional.mish(spatial.attention(normed))) + norm(conv(a))
    conv, _, norm = block.skip
    torch.testing.assert_close(block(u, None), b + norm(functional.mish(conv(u))), rtol=1e-4, atol=1e-5)


def test_equal_widths_need_no_projection() -> None:
    block = small().blocks[1]
    assert not list(block.shortcut.parameters())
    assert not list(block.skip.parameters())


def test_joints_matter_only_through_their_batch_norms() -> None:
    """Batch norms that treat all joints alike leave an output that does not know the order of joints."""
    model = small()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm1d):
            shape = (17, -1) if name == "norm" else (-1, 17)
            for values in (module.weight, module.bias, module.running_mean, module.running_var):
                alike = values.data.view(shape).select(shape.index(17), 0)
                values.data.copy_(
                    (alike[None] if name == "norm" else alike[:, None]).expand(*values.view(shape).shape).flatten()
                )
    x = torch.randn(1, 7, 10, 17, 1)
    order = torch.randperm(17, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(model.embed_raw(x[..., order, :]), model.embed_raw(x), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(small().embed_raw(x[..., order, :]), small().embed_raw(x), rtol=1e-3)


def test_order_of_frames_matters() -> None:
    x = joints()
    assert not torch.allclose(embed(small(), x), embed(small(), x.flip(2)), rtol=1e-3)


@pytest.mark.parametrize("rubbish", [0.0, 50.0, float("nan")])
def test_padding_changes_nothing(rubbish: float) -> None:
    x, model = joints(9), small()
    x[1, :, 5:] = rubbish
    together = embed(model, x, [9, 5])
    torch.testing.assert_close(together[1:], embed(model, x[1:, :, :5]), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(together[:1], embed(model, x[:1]), rtol=1e-4, atol=1e-6)


def test_whole_sequences_or_their_middle() -> None:
    x = joints(15)
    torch.testing.assert_close(embed(small(num_test_frames=7), x), embed(small(), x[:, :, 4:11]))
    assert not torch.allclose(embed(small(), x), embed(small(), x[:, :, 4:11]), rtol=1e-3)


def test_raw_input_is_what_a_batch_becomes() -> None:
    x = joints()
    raw = ten_channels(x).transpose(1, 2)[..., None]
    with torch.no_grad():
        torch.testing.assert_close(small().embed_raw(raw), embed(small(), x))
    with pytest.raises(ShapeError, match=r"\[N, T, 10, 17, 1\]"):
        small().embed_raw(torch.zeros(2, 7, 3, 17, 1))


@pytest.mark.parametrize(("kind", "loss"), [("batch-all", batch_all_triplet), ("batch-hard", batch_hard_triplet)])
def test_triplets_of_both_published_codes(kind: str, loss: object) -> None:
    model, labels = small(triplets=kind), torch.tensor([0, 0, 1, 1])
    batch = GaitBatch({"skeleton2d": joints(7, 4)}, {"skeleton2d": torch.full((4,), 7)}, labels=labels)
    output = model(batch)
    assert model.losses(output, batch, Stage())["triplet"] == loss(output.embedding, labels, margin=0.3)


def test_dropout_acts_in_training_only() -> None:
    model, x = small(dropout=0.5, augment={}), joints()
    batch = GaitBatch({"skeleton2d": x}, {"skeleton2d": torch.full((2,), 7)})
    assert torch.equal(model(batch).embedding, model(batch).embedding)
    model.train()
    assert not torch.equal(model(batch).embedding, model(batch).embedding)


@pytest.mark.parametrize(
    ("channels", "message"),
    [((3, 16), "channels must be 10 and"), ((10,), "channels must be 10 and"), ((10, 16, 20), r"widths \[20\]")],
)
def test_impossible_widths_are_refused(channels: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        small(channels=channels)
