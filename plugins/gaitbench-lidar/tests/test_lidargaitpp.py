from typing import Any

import pytest
import torch
from gaitbench_lidar import lidargaitpp
from gaitbench_lidar.lidargaitpp import PRESETS, LidarGaitPP, LidarGaitPPConfig
from gaitbench_lidar.prepared_points import prepare_points
from pydantic import ValidationError

from gaitbench.errors import ModelError, ShapeError
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage

SMALL: dict[str, Any] = {
    "num_points": 40,
    "channels": 2,
    "num_centres": (24, 16, 8),
    "num_neighbours": 4,
    "point_width": 12,
    "embedding_width": 6,
    "num_classes": 3,
}


def small(**fields: Any) -> LidarGaitPP:
    torch.manual_seed(0)
    return LidarGaitPP(LidarGaitPPConfig(**{**SMALL, **fields})).eval()


def walks(num_clips: int = 4, num_frames: int = 3, num_points: int = 40, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    size = torch.tensor([0.2, 0.2, 0.4])
    return torch.randn(num_clips, num_frames, num_points, 3, generator=rng) * size + torch.tensor([9.0, 1.0, -0.5])


def batch(clips: torch.Tensor, lengths: list[int] | None = None, step: int = 0) -> GaitBatch:
    num_frames = torch.tensor(lengths) if lengths else torch.full((len(clips),), clips.shape[1])
    return GaitBatch({"lidar": clips}, {"lidar": num_frames}, labels=torch.arange(len(clips)) // 2, step=step)


def embed(model: LidarGaitPP, clips: torch.Tensor, lengths: list[int] | None = None) -> torch.Tensor:
    with torch.no_grad():
        return model(batch(clips, lengths)).embedding


@pytest.mark.parametrize(
    ("preset", "classes", "expected"),
    [
        pytest.param("paper", 250, 4_320_000, id="sustech1k"),
        pytest.param("paper@freegait", 500, 7_023_872, id="freegait"),
    ],
)
def test_published_numbers_of_parameters(preset: str, classes: int, expected: int) -> None:
    with torch.device("meta"):
        model = LidarGaitPP(LidarGaitPPConfig(**PRESETS[preset].config, num_classes=classes))
    assert sum(weight.numel() for weight in model.parameters()) == expected
    if preset == "paper":
        without_neck = expected - sum(weight.numel() for weight in model.neck.parameters())
        assert without_neck == pytest.approx(2_320_000, abs=5000)


def test_published_recipes() -> None:
    for preset, iterations, scale, flip in (
        ("paper@sustech1k", 40_000, 1.0, 0.15),
        ("paper@freegait", 80_000, 0.2, 0.1),
    ):
        (stage,) = PRESETS[preset].recipe.stages
        assert (stage.iterations, stage.clips.subjects_per_batch, stage.clips.sequences_per_subject) == (
            iterations,
            32,
            4,
        )
        assert (stage.clips.num_frames, stage.clips.order) == (10, "unordered")
        assert (stage.optimizer.name, stage.optimizer.lr, stage.optimizer.weight_decay) == ("sgd", 0.1, 5e-4)
        assert stage.optimizer.lr * stage.schedule.final_factor == pytest.approx(1e-4)
        assert stage.loss_weights == {"triplet": 1.0, "cross_entropy": 0.1}
        config = LidarGaitPPConfig(**PRESETS[preset].config)
        assert (config.augment.scale, config.augment.flip) == (scale, flip)
        assert (config.margin, config.logit_scale) == (0.2, 31.0)


def test_forward_prepares_what_embed_prepared_takes() -> None:
    model, clips = small(), walks()
    with torch.no_grad():
        prepared = model.embed_prepared(prepare_points(clips))
    torch.testing.assert_close(embed(model, clips), prepared.embedding)


def test_order_and_repetition_of_frames_do_not_matter() -> None:
    model, clips = small(), walks()
    twice = torch.cat([clips[:, [2, 0, 1]], clips], dim=1)
    torch.testing.assert_close(embed(model, twice), embed(model, clips), rtol=1e-5, atol=1e-6)


def test_order_of_points_but_the_first_does_not_matter() -> None:
    model, clips = small(), walks()
    order = torch.cat([torch.zeros(1, dtype=torch.int64), 1 + torch.randperm(39)])
    torch.testing.assert_close(embed(model, clips[:, :, order]), embed(model, clips), rtol=1e-4, atol=1e-5)


def test_padding_and_company_change_nothing() -> None:
    model, clips, lengths = small(), walks(num_frames=5), [5, 2, 4, 1]
    for row, length in enumerate(lengths):
        clips[row, length:] = 7.0
    together = embed(model, clips, lengths)
    alone = torch.cat([embed(model, clips[n : n + 1, :length]) for n, length in enumerate(lengths)])
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("is_training", [False, True])
def test_empty_frames_change_nothing(is_training: bool) -> None:
    clips = walks()
    gaps = torch.cat([clips[:, :1], torch.zeros(4, 2, 40, 3), clips[:, 1:]], dim=1)
    model = small().train(is_training)
    torch.testing.assert_close(embed(small().train(is_training), gaps), embed(model, clips), rtol=1e-5, atol=1e-6)


def test_a_clip_without_any_point_embeds_as_zero() -> None:
    model, clips = small(), walks()
    clips[1] = 0
    embedding = embed(model, clips)
    assert torch.equal(embedding[1], torch.zeros(6, 31))
    torch.testing.assert_close(embedding[[0, 2, 3]], embed(model, walks()[[0, 2, 3]]))
    nothing = model.train()(batch(torch.zeros(4, 2, 40, 3)))
    assert nothing.embedding.isfinite().all()
    assert nothing.logits.isfinite().all()


def test_few_distinct_points_are_enough() -> None:
    model, clips = small().train(), walks()
    clips[0] = clips[0, :, :1]  # one place
    clips[1] = clips[1, :, torch.arange(40) % 3]  # three
    output = model(batch(clips))
    losses = model.losses(output, batch(clips), Stage())
    sum(losses.values()).backward()
    assert output.embedding.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())


@pytest.mark.parametrize("num_points", [1, 3, 24, 100])
def test_any_number_of_points(num_points: int) -> None:
    assert embed(small(), walks(num_points=num_points)).isfinite().all()


def test_a_taller_body_reaches_higher_slices() -> None:
    model, clips = small(is_size_aware=False, bins=(4,)), torch.rand(1, 2, 40, 3)  # at most 1 m tall
    assert (embed(model, clips)[..., 2:] == 0).all()
    assert (embed(model, 1.9 * clips)[..., 3] != 0).any()
    # Without the height among its inputs the network itself sees no size.
    torch.testing.assert_close(
        embed(small(is_size_aware=False, bins=(1,)), clips),
        embed(small(is_size_aware=False, bins=(1,)), 1.9 * clips),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("pooling", ["extent", "count"])
def test_relative_slices_do_not_see_size(pooling: str) -> None:
    model, clips = small(pooling=pooling, is_size_aware=False), walks()
    torch.testing.assert_close(embed(model, clips), embed(model, 2 * clips), rtol=1e-3, atol=1e-4)
    assert not torch.allclose(embed(model, clips), embed(small(is_size_aware=False), clips), atol=1e-3)


def test_offsets_are_divided_by_the_radii() -> None:
    clips = walks()
    plain = embed(small(is_offset_scaled=False), clips)
    torch.testing.assert_close(embed(small(radii=(1, 1, 1)), clips), plain)
    assert not torch.allclose(embed(small(), clips), plain, atol=1e-3)


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, clips = small(), walks()
    whole = embed(model, clips)
    monkeypatch.setattr(lidargaitpp, "_CHUNK", 1)
    torch.testing.assert_close(embed(model, clips), whole, rtol=1e-5, atol=1e-6)


def test_training_augments_by_the_step_and_evaluation_does_not() -> None:
    model, clips = small(augment={"scale": 1.0, "jitter": 1.0}).train(), walks()
    before = torch.get_rng_state()
    with torch.no_grad():
        one, again, other = (model(batch(clips, step=step)).embedding for step in (3, 3, 4))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    assert torch.equal(torch.get_rng_state(), before)
    torch.testing.assert_close(embed(small(augment={"scale": 1.0}), clips), embed(small(), clips), rtol=0, atol=0)


def test_bfloat16_gives_finite_losses_and_gradients() -> None:
    model, clips = small().train(), walks()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(batch(clips))
    assert output.embedding.dtype == torch.float32
    sum(model.losses(output, batch(clips), Stage()).values()).backward()
    assert all(weight.grad.isfinite().all() for weight in model.parameters())
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rough = model(batch(clips)).embedding
    exact = embed(model, clips)
    assert (rough - exact).abs().max() < 0.05 * exact.abs().max()


def test_training_steps_tell_two_subjects_apart() -> None:
    model, clips = small(bins=(1, 2)).train(), walks()
    clips[2:, ..., 2] *= 2.0
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    history = []
    for _ in range(15):
        loss = sum(model.losses(model(batch(clips)), batch(clips), Stage()).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.7 * history[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_centres": (8, 16, 4)}, "must not rise"),
        ({"height_range": (2.0, 2.0)}, "height_range must rise"),
        ({"bins": ()}, "a scale at least"),
        ({"radii": (0.1, 0.0, 0.4)}, "greater than 0"),
        ({"pooling": "depth"}, "'height', 'extent' or 'count'"),
    ],
)
def test_configs_that_cannot_work(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        LidarGaitPPConfig(**fields)


def test_what_does_not_fit() -> None:
    model = small()
    with pytest.raises(ModelError, match="holds silhouette, but the model reads lidar"):
        model(GaitBatch({"silhouette": torch.zeros(1, 1, 2, 64, 44)}, {"silhouette": torch.tensor([2])}))
    with pytest.raises(ShapeError, match=r"\[N, T, M, 3\], got \[4, 3, 40, 2\]"):
        embed(model, walks()[..., :2])
    with pytest.raises(ShapeError, match=r"\[N, T, M, 4\], got \[4, 3, 40, 3\]"):
        model.embed_prepared(walks())
    unlabelled = batch(walks())
    unlabelled.labels = None
    with pytest.raises(ModelError, match="losses need labels"):
        model.losses(model(unlabelled), unlabelled, Stage())
