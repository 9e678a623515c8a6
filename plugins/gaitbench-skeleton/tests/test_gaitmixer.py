import pytest
import torch
from gaitbench_skeleton.gaitmixer import GaitMixer, GaitMixerConfig, JointMixer, TemporalMixer

from gaitbench.errors import ShapeError
from gaitbench.model import GaitBatch
from gaitbench.recipe import Stage
from gaitbench.testing import check_model

SMALL = {
    "num_frames": 8,
    "kernel_size": 5,
    "joint_width": 8,
    "num_heads": 2,
    "num_joint_blocks": 2,
    "channels": (8, 12),
    "embedding_width": 10,
}


def small(**fields: object) -> GaitMixer:
    torch.manual_seed(0)
    return GaitMixer(GaitMixerConfig.model_validate({**SMALL, **fields})).eval()


def a_batch(num_frames: int = 8, seed: int = 0) -> GaitBatch:
    joints = 300 * torch.rand(4, 3, num_frames, 17, generator=torch.Generator().manual_seed(seed))
    return GaitBatch({"skeleton2d": joints}, {"skeleton2d": torch.full((4,), num_frames)}, labels=torch.arange(4) // 2)


def test_size_is_the_published_one() -> None:
    assert sum(weight.numel() for weight in GaitMixer(GaitMixerConfig()).parameters()) == 166_304


@pytest.mark.parametrize("fields", [{}, {"num_test_windows": 3}], ids=str)
def test_contract(fields: dict[str, object]) -> None:
    check_model(small(**fields), num_frames=11)


@pytest.mark.parametrize("num_test_windows", [1, 4])
def test_embeddings_have_length_one(num_test_windows: int) -> None:
    with torch.no_grad():
        embedding = small(num_test_windows=num_test_windows)(a_batch(29)).embedding
    assert embedding.shape == (4, 10, 1)
    torch.testing.assert_close(embedding.norm(dim=1), torch.ones(4, 1))


def test_confidence_is_not_read() -> None:
    model, batch = small(), a_batch()
    joints = batch.inputs["skeleton2d"].clone()
    joints[:, 2] = 7
    with torch.no_grad():
        after = model(GaitBatch({"skeleton2d": joints}, batch.num_frames)).embedding
        torch.testing.assert_close(after, model(batch).embedding)


@pytest.mark.parametrize(("num_frames", "seen"), [(11, range(1, 9)), (3, [0, 1, 2, 0, 1, 2, 0, 1]), (1, [0] * 8)])
def test_a_sequence_of_any_length_is_brought_to_the_fixed_one(num_frames: int, seen: list[int]) -> None:
    model, batch = small(), a_batch(num_frames)
    window = batch.inputs["skeleton2d"][:, :2, list(seen)] / 320
    with torch.no_grad():
        torch.testing.assert_close(model(batch).embedding, model.embed_raw(window.permute(0, 2, 3, 1)))


def test_windows_go_from_the_first_to_the_last_frame() -> None:
    model, batch = small(num_test_windows=2), a_batch(20)
    x = (batch.inputs["skeleton2d"][:, :2] / 320).permute(0, 2, 3, 1)
    with torch.no_grad():
        both = model.embed_raw(x[:, :8]) + model.embed_raw(x[:, 12:])
        expected = torch.nn.functional.normalize(both, dim=1)
        torch.testing.assert_close(model(batch).embedding, expected)


def test_padding_changes_nothing() -> None:
    model, batch = small(), a_batch(11)
    padded = torch.cat([batch.inputs["skeleton2d"], torch.full((4, 3, 6, 17), float("nan"))], dim=2)
    with torch.no_grad():
        after = model(GaitBatch({"skeleton2d": padded}, batch.num_frames)).embedding
        torch.testing.assert_close(after, model(batch).embedding)


def test_a_frame_hears_of_its_past_only() -> None:
    torch.manual_seed(0)
    mixer = TemporalMixer(4, 6, kernel_size=5).eval()
    x = torch.randn(1, 4, 20, 17)
    changed = x.clone()
    changed[:, :, 10] += 1
    with torch.no_grad():
        moved = (mixer(changed) - mixer(x)).abs().amax(dim=(0, 1, 3)) > 1e-7
    assert moved.tolist() == [10 <= t <= 14 for t in range(20)]


def test_temporal_mixer_agrees_with_loops() -> None:
    torch.manual_seed(0)
    mixer = TemporalMixer(2, 3, kernel_size=3).eval()
    for norm in (mixer.norm, mixer.widen_norm):
        assert isinstance(norm, torch.nn.BatchNorm2d)
        torch.nn.init.normal_(norm.running_mean)
        norm.running_var.uniform_(0.5, 1.5)
    x = torch.randn(1, 2, 5, 1)
    got = mixer(x)[0, :, :, 0]
    kernel = mixer.depth_wise.weight[:, 0, :, 0]
    past = torch.cat([x[:, :, [2, 1]], x], dim=2)[0, :, :, 0]  # reflected without the first frame itself
    filtered = torch.stack([(past[:, t : t + 3] * kernel).sum(dim=1) for t in range(5)], dim=1)
    filtered = filtered + mixer.depth_wise.bias[:, None]

    def normed(y: torch.Tensor, norm: torch.nn.BatchNorm2d) -> torch.Tensor:
        scaled = (y - norm.running_mean[:, None]) / (norm.running_var[:, None] + 1e-3).sqrt()
        return scaled * norm.weight[:, None] + norm.bias[:, None]

    def gelu(y: torch.Tensor) -> torch.Tensor:
        return y * 0.5 * (1 + torch.erf(y / 2**0.5))

    mixed = mixer.point_wise.weight[:, :, 0, 0] @ filtered + mixer.point_wise.bias[:, None]
    linear = mixer.widen
    assert isinstance(linear, torch.nn.Linear)
    residual = linear.weight @ x[0, :, :, 0] + linear.bias[:, None]
    torch.testing.assert_close(got, normed(gelu(mixed), mixer.norm) + normed(gelu(residual), mixer.widen_norm))


def test_dropout_leaves_the_residual_alone() -> None:
    mixer = TemporalMixer(3, 3, kernel_size=3, dropout=0.999).train()
    torch.nn.init.zeros_(mixer.norm.weight)
    x = torch.randn(2, 3, 5, 17)
    torch.testing.assert_close(mixer(x), x)


def test_joint_mixer_agrees_with_loops() -> None:
    torch.manual_seed(0)
    mixer = JointMixer(4, num_heads=2, mlp_ratio=2)
    x = torch.randn(1, 5, 4)
    with torch.no_grad():
        query, key, value = mixer.qkv(mixer.norm1(x))[0].chunk(3, dim=1)  # each [V, C]
        heads = []
        for head in (slice(0, 2), slice(2, 4)):
            attention = (query[:, head] @ key[:, head].T / 2**0.5).softmax(dim=1)
            torch.testing.assert_close(attention.sum(dim=1), torch.ones(5))
            heads.append(attention @ value[:, head])
        y = x + mixer.project(torch.cat(heads, dim=1))
        torch.testing.assert_close(mixer(x), y + mixer.mlp(mixer.norm2(y)))


def test_joints_are_told_apart_only_by_their_embedding() -> None:
    model = small()
    order = torch.randperm(17, generator=torch.Generator().manual_seed(2))
    batch = a_batch()
    shuffled = GaitBatch({"skeleton2d": batch.inputs["skeleton2d"][..., order]}, batch.num_frames)
    with torch.no_grad():
        assert (model(shuffled).embedding - model(batch).embedding).abs().max() > 1e-6
        model.joint_embedding.zero_()
        torch.testing.assert_close(model(shuffled).embedding, model(batch).embedding, rtol=1e-4, atol=1e-5)


def test_mixed_precision_trains() -> None:
    model, batch = small().train(), a_batch()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(batch)
    (loss,) = model.losses(output, batch, Stage()).values()
    loss.backward()
    assert loss.isfinite()
    assert loss > 0
    assert output.embedding.dtype == torch.float32
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_training_repeats_for_a_step() -> None:
    model = small(augment={"time_flip": 0.5, "mirror": 0.5, "point_noise": 5.0}, temporal_dropout=0.0).train()
    batch = a_batch(20)
    with torch.no_grad():
        torch.manual_seed(1)
        first = model(batch).embedding
        torch.manual_seed(1)
        assert torch.equal(model(batch).embedding, first)
        batch.step = 1
        assert not torch.equal(model(batch).embedding, first)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match="num_frames 4 must be kernel_size 5 or more"):
        small(num_frames=4)
    with pytest.raises(ValueError, match="multiple of num_heads"):
        small(num_heads=3)
    with pytest.raises(ShapeError, match=r"T of 5 or more"):
        small().embed_raw(torch.zeros(2, 4, 17, 2))
