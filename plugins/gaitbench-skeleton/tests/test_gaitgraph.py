"""GaitGraph and GaitGraph2: what their embeddings do and do not depend on."""

from collections.abc import Mapping

import pytest
import torch
from gaitbench_skeleton.gaitgraph import GaitGraph, GaitGraphConfig
from gaitbench_skeleton.gaitgraph2 import GaitGraph2, GaitGraph2Config
from gaitbench_skeleton.graph import COCO_SWAP
from gaitbench_skeleton.streams import five_channel_streams
from gaitbench_skeleton.windows import spread_windows
from pydantic import ValidationError

from gaitbench.errors import ShapeError
from gaitbench.losses import supervised_contrastive
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage

SIZES: Mapping[str, object] = {
    "main_channels": (4, 8, 8),
    "reduction": 2,
    "embedding_width": 6,
    "num_frames": 8,
}
SWAP = list(COCO_SWAP)


def first(**fields: object) -> GaitGraph:
    torch.manual_seed(0)
    config = {"branch_channels": (3, 8, 4), **SIZES, **fields}
    return GaitGraph(GaitGraphConfig.model_validate(config)).eval()


def second(**fields: object) -> GaitGraph2:
    torch.manual_seed(0)
    config = {"branch_channels": (5, 8, 4), **SIZES, **fields}
    return GaitGraph2(GaitGraph2Config.model_validate(config)).eval()


def joints(num_clips: int = 3, num_frames: int = 8) -> torch.Tensor:
    return torch.randn(num_clips, 3, num_frames, 17, generator=torch.Generator().manual_seed(5))


def a_batch(x: torch.Tensor, labels: list[int] | None = None) -> GaitBatch:
    return GaitBatch(
        {"skeleton2d": x},
        {"skeleton2d": torch.full((len(x),), x.shape[2])},
        labels=None if labels is None else torch.tensor(labels),
    )


def embed(model: GaitGraph | GaitGraph2, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(a_batch(x)).embedding


def test_gaitgraph_is_the_mean_of_two_unit_vectors() -> None:
    x = joints()
    ahead, back = (embed(first(test_reversal=False), part) for part in (x, x.flip(2)))
    torch.testing.assert_close(ahead.norm(dim=1), torch.ones(3, 1))
    torch.testing.assert_close(embed(first(), x), (ahead + back) / 2)
    assert (embed(first(), x).norm(dim=1) < 1).all()


@pytest.mark.parametrize("num_frames", [8, 16], ids=["whole", "window"])
def test_gaitgraph_does_not_change_when_time_is_reversed(num_frames: int) -> None:
    x, model = joints(num_frames=num_frames), first()
    torch.testing.assert_close(embed(model, x), embed(model, x.flip(2)), rtol=1e-4, atol=1e-6)
    plain = first(test_reversal=False)
    assert not torch.allclose(embed(plain, x), embed(plain, x.flip(2)), rtol=1e-3)


def test_gaitgraph_without_confidence() -> None:
    model, x = first(branch_channels=(2, 8, 4)), joints()
    other = x * torch.tensor([1.0, 1.0, 9.0])[:, None, None]
    assert torch.equal(embed(model, x), embed(model, other))


def test_gaitgraph2_joins_three_outputs() -> None:
    x = joints() + 5  # no joint is missing
    plain = second(test_flips=False)
    expected = [embed(plain, part) for part in (x, x.flip(2), x[..., SWAP])]
    torch.testing.assert_close(embed(second(), x), torch.cat(expected, dim=1))


def test_flipped_streams_are_built_from_flipped_joints() -> None:
    x, model = joints() + 5, second()
    flipped = five_channel_streams(x).flip(3)
    direct = model.embed_raw(flipped.permute(0, 3, 4, 1, 2))[:, :6]
    assert not torch.allclose(direct, embed(model, x)[:, 6:12], rtol=1e-2)


def test_raw_input_is_what_a_batch_becomes() -> None:
    x = joints() + 5
    torch.testing.assert_close(first().embed_raw(x[..., None]), embed(first(), x))
    raw = five_channel_streams(x).permute(0, 3, 4, 1, 2)
    torch.testing.assert_close(second().embed_raw(raw), embed(second(), x))


def test_raw_input_may_have_any_length() -> None:
    assert first().embed_raw(torch.randn(2, 3, 11, 17, 1)).shape == (2, 6, 1)
    assert second().embed_raw(torch.randn(2, 11, 17, 3, 5)).shape == (2, 18, 1)


def test_missing_joints_are_filled_before_anything_is_computed() -> None:
    x = joints() + 5
    x[:, :, :, 9] = 0.0
    filled = x.clone()
    filled[:, :2, :, 9] = x[:, :2].mean(dim=3)
    torch.testing.assert_close(embed(second(), x), embed(second(is_filled=False), filled))
    assert not torch.allclose(embed(second(), x), embed(second(is_filled=False), x), rtol=1e-3)


def test_unit_length_on_request() -> None:
    x = joints()
    plain, unit = embed(second(), x), embed(second(is_unit_length=True), x)
    torch.testing.assert_close(unit, plain / plain.norm(dim=1, keepdim=True))


@pytest.mark.parametrize("build", [first, second])
def test_windows_of_a_long_sequence_are_averaged(build: type[GaitGraph] | type[GaitGraph2]) -> None:
    x = joints(num_frames=29) + 5
    windows = spread_windows(x, torch.full((3,), 29), length=8, num_windows=3)
    expected = embed(build(), windows).unflatten(0, (3, 3)).mean(dim=1)
    torch.testing.assert_close(embed(build(num_test_windows=3), x), expected)
    torch.testing.assert_close(embed(build(), x), embed(build(), x[:, :, 10:18]))


def test_the_loss_of_gaitgraph_sees_both_views() -> None:
    model, batch = first().train(), a_batch(joints(4, 20), [0, 0, 1, 1])
    output = model(batch)
    views = torch.cat([output.embedding, output.extras["second_view"]])
    assert not torch.equal(*views.chunk(2))
    torch.testing.assert_close(views.norm(dim=1), torch.ones(8, 1))
    (loss,) = model.losses(output, batch, Stage()).values()
    labels = torch.tensor([0, 0, 1, 1, 0, 0, 1, 1])
    torch.testing.assert_close(loss, supervised_contrastive(views, labels, temperature=0.01, base_temperature=0.07))


def test_subjects_with_one_clip_have_their_second_view() -> None:
    model, batch = first().train(), a_batch(joints(3), [0, 1, 2])
    (loss,) = model.losses(model(batch), batch, Stage()).values()
    loss.backward()
    assert loss > 0


def test_the_loss_of_gaitgraph2_is_on_distances_of_active_anchors() -> None:
    model, batch = second().train(), a_batch(joints(5), [0, 0, 1, 1, 2])
    output = model(batch)
    assert output.embedding.shape == (5, 6, 1)
    (loss,) = model.losses(output, batch, Stage()).values()
    expected = supervised_contrastive(
        output.embedding, batch.labels, temperature=0.01, similarity="negative-distance", is_mean_of_active=True
    )
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"branch_channels": (4, 8, 4)}, "streams have 5 channels, branch_channels begins with 4"),
        ({"branch_channels": (5, 8, 6)}, "branches end at width 6"),
        ({"reduction": 100}, "cannot be narrowed 100 times"),
    ],
)
def test_impossible_configurations_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        second(**fields)


def test_raw_input_of_other_axes_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"\[N, C, T, V, 1\]"):
        first().embed_raw(torch.zeros(2, 3, 8, 17, 2))
    with pytest.raises(ShapeError, match=r"\[N, T, V, 3, 5\]"):
        second().embed_raw(torch.zeros(2, 3, 8, 17, 1))
