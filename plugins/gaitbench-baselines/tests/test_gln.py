import pytest
import torch
from gaitbench_baselines.gln import PRESETS, PUBLISHED_KEYS, Gln, GlnConfig
from torch.nn import functional

from gaitbench.layers import fold_frames, horizontal_pyramid_pool, rename_published
from gaitbench.model import GaitBatch
from gaitbench.optim import freeze
from gaitbench.recipe import Stage
from gaitbench.testing import check_model

SMALL = {
    "height_px": 32,
    "width_px": 24,
    "channels": (4, 4, 6),
    "lateral_width": 8,
    "embedding_width": 6,
    "bins": (4, 1),
    "num_classes": 3,
}
COMPACT = {**SMALL, "compact_width": 10}
FIXED = ("compact.norm.bias", "compact.reduced_norm.bias")


def batch(num_clips: int = 4, num_frames: int = 3) -> GaitBatch:
    clips = torch.rand(num_clips, 1, num_frames, 32, 24)
    lengths = torch.full((num_clips,), num_frames)
    return GaitBatch({"silhouette": clips}, {"silhouette": lengths}, labels=torch.arange(num_clips) // 2)


@pytest.mark.parametrize(("fields", "expected"), [({}, 8_541_984), (PRESETS["paper"].config, 14_703_904)])
def test_published_sizes(fields: dict[str, object], expected: int) -> None:
    with torch.device("meta"):
        model = Gln(GlnConfig(**fields))
    assert sum(weight.numel() for weight in model.parameters()) == expected


def test_published_keys_of_the_second_phase() -> None:
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    keys = [f"{layer}.{name}" for layer in ("encoder_bn", "reduce_bn") for name in norm]
    keys += ["reduce_fc.weight", "reduce_cls.weight"]
    ours = {key for key in Gln(GlnConfig(**COMPACT)).state_dict() if key.startswith("compact")}
    assert set(rename_published(keys, PUBLISHED_KEYS).values()) == ours


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(SMALL, id="first-phase"),
        pytest.param(COMPACT, id="second-phase"),
        pytest.param({**COMPACT, "test_embedding": "compact"}, id="compact-embedding"),
        pytest.param({**SMALL, "in_channels": 2}, id="two-channels"),
    ],
)
def test_contract(fields: dict[str, object]) -> None:
    check_model(Gln(GlnConfig(**fields)))


def test_agrees_with_the_layers_one_by_one() -> None:
    model, given = Gln(GlnConfig(**SMALL)).eval(), batch()
    x = given.inputs["silhouette"]

    def activated(stage: torch.nn.Module, maps: torch.Tensor) -> torch.Tensor:
        for conv in stage:
            maps = functional.leaky_relu(conv(maps))
        return maps

    first = torch.stack([activated(model.frame[0], frame) for frame in x.unbind(2)])  # [T, N, C, H, W]
    second = torch.stack([activated(model.frame[1], functional.max_pool2d(frame, 2)) for frame in first])
    third = torch.stack([activated(model.frame[2], functional.max_pool2d(frame, 2)) for frame in second])
    f0, f1, f2 = (maps.amax(dim=0) for maps in (first, second, third))
    s1 = activated(model.whole[0], functional.max_pool2d(f0, 2)) + f1
    s2 = activated(model.whole[1], functional.max_pool2d(s1, 2)) + f2
    lateral = [torch.cat(pair, dim=1) for pair in ((f0, f0), (f1, s1), (f2, s2))]
    found = model.maps(fold_frames(x), given.num_frames["silhouette"])
    assert [list(level.shape[2:]) for level in found] == [[32, 24], [16, 12], [8, 6]]
    torch.testing.assert_close(found, lateral)

    l1, l2, l3 = (conv(level) for conv, level in zip(model.lateral, lateral, strict=True))

    def doubled(level: torch.Tensor) -> torch.Tensor:
        return level.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)

    t2 = l2 + doubled(l3)
    t1 = l1 + doubled(t2)
    levels = [smooth(level) for smooth, level in zip(model.smooth, (t1, t2, l3), strict=True)]
    parts = torch.cat([horizontal_pyramid_pool(level, (4, 1)) for level in levels], dim=2)
    torch.testing.assert_close(model(given).embedding, model.head(parts))


def test_compact_block_by_its_layers() -> None:
    model, given = Gln(GlnConfig(**COMPACT)).eval(), batch()
    block = model.compact
    torch.nn.init.uniform_(block.norm.running_mean, -1, 1)
    torch.nn.init.uniform_(block.reduced_norm.running_var, 2, 3)
    output = model(given)
    assert output.embedding.shape == (4, 6, 15)
    flat = output.embedding.reshape(4, -1)  # channel-major
    normal = (flat - block.norm.running_mean) / (block.norm.running_var + 1e-5).sqrt() * block.norm.weight
    reduced = normal.clamp_min(0) @ block.reduce.weight.T
    feature = reduced / (block.reduced_norm.running_var + 1e-5).sqrt() * block.reduced_norm.weight
    torch.testing.assert_close(output.logits[:, :, 0], feature @ block.classifier.weight.T)

    short = Gln(GlnConfig(**COMPACT, test_embedding="compact")).eval()
    short.load_state_dict(model.state_dict())
    torch.testing.assert_close(short(given).embedding[:, :, 0], feature)


def test_biases_of_the_compact_block_stay_zero() -> None:
    model = Gln(GlnConfig(**COMPACT)).train()
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    given = batch()
    sum(model.losses(model(given), given, Stage()).values()).backward()
    optimizer.step()
    fixed = [key for key, weight in model.named_parameters() if not weight.requires_grad]
    assert sorted(fixed) == sorted(FIXED)
    assert not any(model.get_parameter(key).any() for key in FIXED)


def test_the_first_phase_trains_all_but_the_compact_block_by_triplets_alone() -> None:
    first, second = PRESETS["paper"].recipe.stages
    given = batch()
    model = Gln(GlnConfig(**COMPACT)).train()
    freeze(model, first.freeze)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    losses = model.losses(model(given), given, first)
    assert set(losses) == {"triplet"}
    losses["triplet"].backward()
    trained = {key for key, weight in model.named_parameters() if weight.grad is not None}
    assert trained == {key for key, _ in model.named_parameters() if not key.startswith("compact")}
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())

    model = Gln(GlnConfig(**COMPACT)).train()
    losses = model.losses(model(given), given, second)
    assert set(losses) == {"triplet", "cross_entropy"}
    assert second.loss_weights["cross_entropy"] == 0.1
    assert (first.optimizer.lr, second.optimizer.lr) == (0.1, 0.01)


def test_triplets_compare_the_parts_whatever_is_embedded_at_test_time() -> None:
    model, given = Gln(GlnConfig(**COMPACT)).eval(), batch()
    short = Gln(GlnConfig(**COMPACT, test_embedding="compact")).eval()
    short.load_state_dict(model.state_dict())
    one, two = (m.losses(m(given), given, Stage()) for m in (model, short))
    torch.testing.assert_close(one, two)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"height_px": 30}, "must be multiples of 4"),
        ({"bins": (5,)}, "do not divide the 768 pixels of level 0"),
        ({"test_embedding": "compact"}, "needs a compact_width"),
    ],
)
def test_sizes_that_do_not_fit(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GlnConfig(**{**SMALL, **fields})
