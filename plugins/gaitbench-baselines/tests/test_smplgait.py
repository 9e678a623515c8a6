import pytest
import torch
from gaitbench_baselines.smplgait import PRESETS, SMPLGait, SMPLGaitConfig, SMPLTransform, square_maps

from gaitbench.errors import ModelError, ShapeError
from gaitbench.layers import rename_published
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage
from gaitbench.testing import check_model

SMALL = {"channels": (4, 6, 8), "embedding_width": 12, "smpl_widths": (8, 8), "num_classes": 3}


def small(**fields: object) -> SMPLGait:
    torch.manual_seed(0)
    return SMPLGait(SMPLGaitConfig.model_validate({**SMALL, **fields})).eval()


def a_batch(num_frames: int = 5, seed: int = 0, **more: torch.Tensor) -> GaitBatch:
    rng = torch.Generator().manual_seed(seed)
    inputs = {
        "silhouette": (torch.rand(4, 1, num_frames, 64, 44, generator=rng) > 0.6).float(),
        "smpl": torch.randn(4, 85, num_frames, 1, generator=rng),
        **more,
    }
    lengths = dict.fromkeys(inputs, torch.full((4,), num_frames))
    return GaitBatch(inputs, lengths, labels=torch.arange(4) // 2)


class OneBody(SMPLGait):
    """Takes the first of the 17 joints that made-up batches have."""

    def forward(self, batch: GaitBatch) -> object:  # type: ignore[override]
        inputs = {**batch.inputs, "smpl": batch.inputs["smpl"][..., :1]}
        return super().forward(GaitBatch(inputs, batch.num_frames, labels=batch.labels))


def test_contract() -> None:
    check_model(OneBody(SMPLGaitConfig.model_validate(SMALL)))
    check_model(SMPLGait(SMPLGaitConfig.model_validate({**SMALL, "has_smpl": False})))


def test_size_is_the_published_one() -> None:
    with torch.device("meta"):
        model = SMPLGait(SMPLGaitConfig())
    assert sum(weight.numel() for weight in model.parameters()) == 27_110_976


def test_a_zero_matrix_gives_the_plain_network_on_padded_maps() -> None:
    model = small()
    last = model.transform.norms[-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    plain = small(has_smpl=False, width_px=64)
    plain.load_state_dict({key: value for key, value in model.state_dict().items() if "transform" not in key})

    class Padded(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return square_maps(trunk(x))

    trunk, plain.trunk = plain.trunk, Padded()
    batch = a_batch()
    with torch.no_grad():
        torch.testing.assert_close(model(batch).embedding, plain(batch).embedding, rtol=1e-5, atol=1e-6)


def test_transform_by_hand() -> None:
    transform = SMPLTransform(side=2, widths=(3, 3)).eval()
    for part in (*transform.linears, *transform.norms):
        torch.nn.init.zeros_(part.bias)
    torch.nn.init.zeros_(transform.linears[-1].weight)
    with torch.no_grad():
        transform.norms[-1].bias.copy_(torch.tensor([0.0, 2.0, -5.0, 1.0]))  # ReLU takes the -5
    x = torch.tensor([[1.0, 10.0], [2.0, 20.0]])[None, None]
    got = transform(x, torch.randn(1, 85))[0, 0]
    # X (I + M) with M = [[0, 2], [0, 1]]
    torch.testing.assert_close(got, torch.tensor([[1.0, 10 + 2 + 10], [2.0, 20 + 4 + 20]]))


def test_every_frame_has_its_own_matrix() -> None:
    model, batch = small(), a_batch()
    order = torch.tensor([3, 1, 0, 4, 2])
    together = {key: value[:, :, order] for key, value in batch.inputs.items()}
    apart = {**batch.inputs, "smpl": batch.inputs["smpl"][:, :, order]}
    with torch.no_grad():
        embedding = model(batch).embedding
        same = model(GaitBatch(together, batch.num_frames)).embedding
        other = model(GaitBatch(apart, batch.num_frames)).embedding
    torch.testing.assert_close(same, embedding, rtol=1e-5, atol=1e-6)
    assert (other - embedding).abs().max() > 1e-3 * embedding.abs().max()


@pytest.mark.parametrize(
    ("padding", "shape", "expected"),
    [
        ("end", (3, 1), [[1, 0, 0]] * 3),
        ("both", (4, 1), [[0, 1, 0, 0]] * 4),
        ("both", (1, 3), [[0, 0, 0], [1, 1, 1], [0, 0, 0]]),
        ("end", (1, 2), [[1, 1], [0, 0]]),
        ("both", (2, 2), [[1, 1], [1, 1]]),
    ],
)
def test_maps_become_square(padding: str, shape: tuple[int, int], expected: list[list[int]]) -> None:
    assert square_maps(torch.ones(1, 1, *shape), padding)[0, 0].tolist() == expected  # type: ignore[arg-type]


def test_side_of_the_padding_matters_and_other_sizes_work() -> None:
    batch = a_batch()
    with torch.no_grad():
        end, both = (small(square_padding=padding)(batch).embedding for padding in ("end", "both"))
        wide = small(height_px=32, width_px=64, bins=(4, 1), stem_stride=2)
        wide_batch = a_batch(silhouette=torch.rand(4, 1, 5, 32, 64))
        assert wide(wide_batch).embedding.shape == (4, 12, 5)
    assert (end - both).abs().max() > 1e-3 * end.abs().max()
    assert wide.transform.side == 16


def test_published_recipe_weighs_the_cross_entropy() -> None:
    (stage,) = PRESETS["paper"].recipe.stages
    assert stage.loss_weights == {"triplet": 1.0, "cross_entropy": 0.1}
    assert stage.clips.subjects_per_batch * stage.clips.sequences_per_subject == 128


def test_frames_that_do_not_fit_are_refused() -> None:
    model = small()
    with pytest.raises(ShapeError, match=r"\[N, 85, T, 1\]"):
        model(a_batch(smpl=torch.zeros(4, 85, 5, 17)))
    with pytest.raises(ShapeError, match="16 frames of smpl do not fit 20"):
        model(a_batch(smpl=torch.zeros(4, 85, 4, 1)))
    batch = a_batch()
    del batch.inputs["smpl"]
    with pytest.raises(ModelError, match="has_smpl=False"):
        model(batch)
    with pytest.raises(ValueError, match="multiples of 4"):
        small(width_px=43)


def test_gradient_reaches_the_body_model() -> None:
    model = small().train()
    batch = a_batch()
    batch.inputs["smpl"].requires_grad_()
    sum(model.losses(model(batch), batch, Stage()).values()).backward()
    assert batch.inputs["smpl"].grad is not None
    assert batch.inputs["smpl"].grad.abs().sum() > 0


def test_published_names_lead_to_parameters_of_ours() -> None:
    from gaitbench_baselines.smplgait import PUBLISHED_KEYS

    published = [f"Backbone.forward_block.feature.{index}.conv.weight" for index in (0, 2, 5, 7, 10, 12)]
    published += [
        f"{layer}{index}.{kind}" for layer in ("fc", "bn") for index in (1, 2, 3) for kind in ("weight", "bias")
    ]
    published += [f"bn{index}.{kind}" for index in (1, 2, 3) for kind in ("running_mean", "running_var")]
    published += [f"bn{index}.num_batches_tracked" for index in (1, 2, 3)]
    published += ["FCs.fc_bin", "BNNecks.fc_bin"]
    published += [f"BNNecks.bn1d.{kind}" for kind in ("weight", "bias", "running_mean", "running_var")]
    published += ["BNNecks.bn1d.num_batches_tracked"]
    assert sorted(rename_published(published, PUBLISHED_KEYS).values()) == sorted(small().state_dict())
