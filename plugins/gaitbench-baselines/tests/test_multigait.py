import pytest
import torch
from gaitbench_baselines.multigait import PRESETS, Disentangling, MultiGait, MultiGaitConfig

from gaitbench.errors import ModelError, ShapeError
from gaitbench.model import GaitBatch
from gaitbench.testing import check_model, synthetic_batch

PAIR = {"part_1": ({"modality": "silhouette"},), "part_2": ({"modality": "parsing"},)}
SMALL = {"channels": (4, 6, 8, 10), "embedding_width": 12, "num_classes": 3}


def small(**fields: object) -> MultiGait:
    torch.manual_seed(0)
    return MultiGait(MultiGaitConfig.model_validate({**SMALL, **fields})).eval()


@pytest.mark.parametrize(("num_blocks", "size"), [((1, 1, 1, 1), 11_093_632), ((1, 2, 2, 1), 16_261_504)])
def test_sizes_are_the_published_ones(num_blocks: tuple[int, ...], size: int) -> None:
    with torch.device("meta"):
        model = MultiGait(MultiGaitConfig.model_validate({"num_blocks": num_blocks}))
    neck = sum(weight.numel() for weight in model.neck.parameters())
    assert sum(weight.numel() for weight in model.parameters()) - neck == size
    assert neck == 16 * 256 * 100 + 8192


@pytest.mark.parametrize(
    "fields", [{}, PAIR, {**PAIR, "stem_stride": 2, "bins": (8, 1)}], ids=["ccpg", "gait3d", "fast"]
)
def test_contract(fields: dict[str, object]) -> None:
    check_model(small(**fields), num_frames=4)


def test_maps_are_fused_at_full_size_and_pooled_at_a_quarter() -> None:
    model, sizes = small(), {}
    model.disentangle.register_forward_hook(lambda *a: sizes.update(attention=a[2].shared.shape[2:]))
    model.last.register_forward_hook(lambda *a: sizes.update(last=a[2].shape[2:]))
    model.join.register_forward_hook(lambda *a: sizes.update(join=a[1][0].shape))
    with torch.no_grad():
        assert model(synthetic_batch(model.inputs, num_frames=3)).embedding.shape == (4, 12, 16)
    assert sizes == {"attention": (64, 44), "join": (12, 24, 16, 11), "last": (3, 16, 11)}


@pytest.mark.parametrize("seed", range(4))
def test_attention_spans_every_pixel(seed: int) -> None:
    torch.manual_seed(seed)
    disentangle = Disentangling(channels=8).eval()
    x1, x2 = torch.randn(2, 2, 8, 5, 3)
    with torch.no_grad():
        weights, common = disentangle.attention(x1, x2)
    torch.testing.assert_close(weights.sum(dim=0), torch.ones_like(common))
    assert common.min() == 0
    assert common.max() <= 1
    low, high = common.amin(dim=1), common.amax(dim=1)
    assert (low == 0).all()
    lesser = weights.amin(dim=0)
    differs = lesser.amax(dim=1) - lesser.amin(dim=1) > 1e-3
    assert differs.any()
    assert (high[differs] > 0.99).all()
    assert (high[lesser.amax(dim=1) == lesser.amin(dim=1)] == 0).all()


def test_pixels_without_hidden_units_share_nothing() -> None:
    disentangle = Disentangling(channels=6).eval()
    for gate in disentangle.gates:
        torch.nn.init.zeros_(gate[4].weight)
        torch.nn.init.constant_(gate[4].bias, -1.0)
    x1, x2 = torch.rand(2, 1, 6, 2, 2)
    own, shared, other = disentangle(x1, x2)
    torch.testing.assert_close(own, x1 / 2)
    torch.testing.assert_close(other, x2 / 2)
    assert not shared.any()


def test_streams_by_hand() -> None:
    disentangle = Disentangling(channels=3)
    logits = torch.tensor([[[0.0, 1.0, 3.0]], [[0.0, 2.0, 1.0]]])[..., None, None]  # [2, 1, 3, 1, 1]
    disentangle.gates = torch.nn.ModuleList([Constant(value) for value in logits])
    x1, x2 = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1), torch.tensor([5.0, 7.0, 9.0]).view(1, 3, 1, 1)
    first = [1 / 2, 1 / (1 + torch.e), 1 / (1 + torch.e**-2)]
    lesser = [min(w, 1 - w) for w in first]
    common = [(value - min(lesser)) / (max(lesser) - min(lesser) + 1e-6) for value in lesser]
    own, shared, other = (stream.flatten().tolist() for stream in disentangle(x1, x2))
    assert own == pytest.approx([x * (1 - a) * w for x, a, w in zip((1, 2, 3), common, first, strict=True)], abs=1e-6)
    assert shared == pytest.approx([x * a for x, a in zip((3, 4.5, 6), common, strict=True)], abs=1e-6)
    expected = [x * (1 - a) * (1 - w) for x, a, w in zip((5, 7, 9), common, first, strict=True)]
    assert other == pytest.approx(expected, abs=1e-6)


class Constant(torch.nn.Module):
    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.value.expand_as(x)


def test_streams_are_joined_own_shared_other() -> None:
    """Without one third of the join's weights, that stream must not matter, and the others must."""
    model = small(**PAIR)
    batch = synthetic_batch(model.inputs, num_frames=3)
    with torch.no_grad():
        for index in range(3):
            kept = model.join.weight.clone()
            model.join.weight[:, 8 * index : 8 * index + 8] = 0
            before = model(batch).embedding
            for j, stages in enumerate(model.streams):
                norm = stages[1][0].norm2
                norm.bias += 1
                changed = (model(batch).embedding - before).abs().max() > 1e-6
                assert bool(changed) == (j != index)
                norm.bias -= 1
            model.join.weight.copy_(kept)


def test_order_of_frames_matters() -> None:
    model = small(**PAIR)
    batch = synthetic_batch(model.inputs, num_frames=5)
    backwards = GaitBatch({key: clip.flip(2) for key, clip in batch.inputs.items()}, batch.num_frames)
    with torch.no_grad():
        forth, back = model(batch).embedding, model(backwards).embedding
    assert (forth - back).abs().max() > 1e-3 * forth.abs().max()


def test_channels_are_those_of_the_groups() -> None:
    model = small()
    assert [(spec.modality, spec.channels, spec.scale) for spec in model.inputs] == [
        ("silhouette", 1, 1.0),
        ("parsing", 1, 1.0),
        ("optical-flow", 3, 255.0),
    ]
    assert [stem[0].in_channels for stem in model.stems] == [2, 3]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="none twice"):
        MultiGaitConfig.model_validate({**PAIR, "part_2": PAIR["part_1"]})
    with pytest.raises(ValueError, match="one or more modalities each"):
        MultiGaitConfig.model_validate({**PAIR, "part_1": ()})
    model = small(**PAIR)
    batch = synthetic_batch(model.inputs, num_frames=3)
    batch.inputs["parsing"] = batch.inputs["parsing"][:, :, :2]
    batch.num_frames["parsing"] = batch.num_frames["parsing"].clamp(max=2)
    with pytest.raises(ShapeError, match="'parsing': 2"):
        model(batch)
    del batch.inputs["parsing"]
    with pytest.raises(ModelError, match="reads parsing"):
        model(batch)


def test_recipe_of_gait3d_reads_silhouettes_and_parsings() -> None:
    with torch.device("meta"):
        model = MultiGait(MultiGaitConfig.model_validate(PRESETS["paper@gait3d"].config))
    assert [spec.modality for spec in model.inputs] == ["silhouette", "parsing"]
    assert [len(stage) for stage in model.streams[0]] == [2, 2]
