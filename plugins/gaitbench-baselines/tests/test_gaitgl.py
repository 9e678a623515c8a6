import pytest
import torch
from gaitbench_baselines.gaitgl import (
    PRESETS,
    PUBLISHED_KEYS,
    GaitGL,
    GaitGLConfig,
    GeneralisedMean,
    GlobalLocalConv,
    at_least,
)
from torch import nn
from torch.nn import functional

from gaitbench.errors import ShapeError
from gaitbench.layers import rename_published
from gaitbench.model import GaitBatch
from gaitbench.testing import check_model

SMALL = {"height_px": 32, "width_px": 22, "channels": (4, 4, 6, 8), "bins": (8,), "num_classes": 3}
DEEP = {**SMALL, "convs_per_stage": 2, "num_strips": 2}


def batch(clips: torch.Tensor, num_frames: list[int] | None = None) -> GaitBatch:
    lengths = torch.full((len(clips),), clips.shape[2]) if num_frames is None else torch.tensor(num_frames)
    return GaitBatch({"silhouette": clips}, {"silhouette": lengths})


@pytest.mark.parametrize(
    ("preset", "num_classes", "expected"), [("paper", 74, 3_096_673), ("paper@ou-mvlp", 5153, 95_620_449)]
)
def test_published_sizes(preset: str, num_classes: int, expected: int) -> None:
    with torch.device("meta"):
        model = GaitGL(GaitGLConfig(**PRESETS[preset].config, num_classes=num_classes))
    assert sum(weight.numel() for weight in model.parameters()) == expected


def test_published_keys_of_the_deep_form_with_a_neck() -> None:
    model = GaitGL(GaitGLConfig(**{**DEEP, "neck": "bnneck"}))
    keys = ["conv3d.0.conv3d.weight", "conv3d.2.conv3d.weight", "LTA.0.conv3d.weight", "HPP.p", "Head0.fc_bin"]
    keys += [
        f"GLConv{stage}.{index}.{branch}_conv3d.conv3d.weight"
        for stage in ("A0", "A1", "B2")
        for index in (0, 1)
        for branch in ("global", "local")
    ]
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    keys += ["BNNecks.fc_bin", *(f"BNNecks.bn1d.{name}" for name in norm)]
    assert set(rename_published(keys, PUBLISHED_KEYS).values()) == set(model.state_dict())


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(SMALL, id="small"),
        pytest.param(DEEP, id="deep"),
        pytest.param({**DEEP, "neck": "bnneck"}, id="deep-bnneck"),
        pytest.param({**SMALL, "in_channels": 3, "embedding_width": 5, "bins": (16, 4)}, id="other-widths"),
    ],
)
def test_contract(fields: dict[str, object]) -> None:
    check_model(GaitGL(GaitGLConfig(**fields)))


def test_global_and_local_are_activated_then_added_or_stacked() -> None:
    x = torch.randn(2, 3, 4, 8, 5)
    layer = GlobalLocalConv(3, 4, num_strips=2)
    whole = functional.leaky_relu(layer.whole(x))
    strips = functional.leaky_relu(torch.cat([layer.strip(half) for half in x.chunk(2, dim=3)], dim=3))
    torch.testing.assert_close(layer(x), whole + strips)
    layer.is_stacked = True
    torch.testing.assert_close(layer(x), torch.cat([whole, strips], dim=3))


@pytest.mark.parametrize("fields", [SMALL, DEEP], ids=["small", "deep"])
def test_agrees_with_the_layers_one_by_one(fields: dict[str, object]) -> None:
    model = GaitGL(GaitGLConfig(**fields)).eval()
    clips = torch.rand(2, 1, 8, 32, 22)
    activate, seen = functional.leaky_relu, []
    x = clips
    for conv in model.stem:
        x = activate(conv(x))
    x = activate(model.shorten(x))
    assert x.shape[2] == 8 // 3
    for index, stage in enumerate(model.stages):
        if index == 1:
            x = nn.MaxPool3d((1, 2, 2))(x)
        for conv in stage:
            x = conv(x)
            seen.append(x.shape[3])
    assert seen == [32, 16, 32] if model.config.convs_per_stage == 1 else [32, 32, 16, 16, 16, 32]
    expected = model.norm(model.head(model.pool(x.amax(dim=2))))
    output = model(batch(clips))
    torch.testing.assert_close(output.embedding, expected)
    torch.testing.assert_close(output.logits, model.classifier(expected))


def test_with_a_neck_the_embedding_is_what_goes_into_it() -> None:
    model = GaitGL(GaitGLConfig(**SMALL, neck="bnneck")).eval()
    nn.init.uniform_(model.neck.norm.running_var, 2, 3)
    output = model(batch(torch.rand(2, 1, 4, 32, 22)))
    torch.testing.assert_close(model.neck(output.embedding).logits, output.logits)
    assert output.logits.abs().max() <= 1.001


@pytest.mark.parametrize(("length", "played"), [(1, [0, 0, 0]), (2, [0, 1, 0, 1])])
def test_one_and_two_frames_are_played_again(length: int, played: list[int]) -> None:
    model = GaitGL(GaitGLConfig(**SMALL)).eval()
    clips = torch.rand(1, 1, length, 32, 22)
    with torch.no_grad():
        torch.testing.assert_close(model(batch(clips)).embedding, model(batch(clips[:, :, played])).embedding)


def test_at_least_agrees_with_tiling_each_clip() -> None:
    clips, lengths = torch.rand(5, 2, 6, 1, 1), [1, 2, 3, 4, 6]
    longer, num_frames = at_least(3, clips, torch.tensor(lengths))
    assert num_frames.tolist() == [3, 4, 3, 4, 6]
    for row, (length, count) in enumerate(zip(lengths, num_frames.tolist(), strict=True)):
        tiled = clips[row, :, :length].tile(1, 3, 1, 1)[:, :count]
        assert torch.equal(longer[row, :, :count], tiled)


@pytest.mark.parametrize("fields", [SMALL, DEEP], ids=["small", "deep"])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 8])
def test_padding_is_ignored_even_if_it_is_nan(length: int, fields: dict[str, object]) -> None:
    model = GaitGL(GaitGLConfig(**fields)).eval()
    clips = torch.rand(2, 1, 10, 32, 22)
    clips[0, :, length:] = torch.nan
    with torch.no_grad():
        together = model(batch(clips, [length, 10])).embedding
        alone = model(batch(clips[:1, :, :length])).embedding
    torch.testing.assert_close(together[:1], alone, rtol=1e-5, atol=1e-6)


def test_generalised_mean_is_the_formula() -> None:
    pool = GeneralisedMean([4, 2])
    x = torch.rand(2, 3, 4, 5, dtype=torch.float64).float() * 3
    exponent = pool.exponent.item()
    rows = (x.double() ** exponent).mean(dim=3) ** (1 / exponent)
    halves = (x.double().reshape(2, 3, 2, 10) ** exponent).mean(dim=3) ** (1 / exponent)
    torch.testing.assert_close(pool(x).double(), torch.cat([rows, halves], dim=2), rtol=1e-5, atol=1e-6)


def test_gradients_of_the_generalised_mean_are_those_of_the_formula() -> None:
    pool = GeneralisedMean([2]).double()
    x = (torch.rand(2, 3, 4, 5, dtype=torch.float64) + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(pool, (x,))
    plain = (x.reshape(2, 3, 2, 10) ** pool.exponent).mean(dim=3) ** (1 / pool.exponent)
    (expected,) = torch.autograd.grad(plain.sum(), [pool.exponent])
    (found,) = torch.autograd.grad(pool(x).sum(), [pool.exponent])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("value", [-1.0, 0.0, 1e-6, 1e20])
def test_empty_and_large_rows_have_finite_gradients(value: float) -> None:
    pool = GeneralisedMean([1], exponent=12.0)
    x = torch.full((1, 1, 2, 2), value, requires_grad=True)
    pooled = pool(x)
    torch.testing.assert_close(pooled, torch.full((1, 1, 1), max(value, 1e-6)), rtol=1e-5, atol=0)
    pooled.sum().backward()
    assert x.grad.isfinite().all()
    assert pool.exponent.grad.isfinite().all()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_strips": 12}, "does not divide the maps of 64 and 32 rows"),
        ({"bins": (48,)}, r"do not divide the last map, 64x22"),
    ],
)
def test_sizes_that_do_not_fit(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GaitGLConfig(**fields)
    with pytest.raises(ShapeError, match="cannot be cut"):
        GeneralisedMean([3])(torch.zeros(1, 1, 2, 2))
